"""What tests of all papers have to know of TOFlow."""

from tests.helpers.tiny_runs import TinyRun

TINY = TinyRun(  # three stages of 4 steps of 2 samples, a period of 2
    paper="toflow",
    config="TOFlow_denoise_tiny",
    project="TOFlow_IJCV2019",
    clips=(
        ("vimeo_septuplet", "--clips", 3, "--test_clips", 2, "--frames", 7),
        ("sintel", "--clips", 1, "--test_clips", 2, "--frames", 4),
    ),
    settings=(
        "--set", "stages=flow,processing,joint", "--set", "steps=4,4,4", "--set", "learning_rates=1e-3,1e-3,1e-3",
        "--set", "total_batch=2", "--set", "flow_batch=2", "--set", "flow_crop=32", "--set", "crop=32",
        "--set", "valid_every_step=2", "--set", "write_log_every_step=2", "--set", "save_every_step=1", "-th", "0",
        "--device", "cpu",
    ),
    epochs=6,
    back=4,
    step=7,
    place="step 7",
    suffix="_noise_blind",
    on_clips=("--set", "stages=joint", "--set", "steps=12", "--set", "learning_rates=1e-3"),
    diverges=("--set", "learning_rates=1e20,1e20,1e20"),
)  # fmt: skip
# Together these write every scalar that the card lists.
CARD_TRAININGS = (
    "TOFlow_interp_mask --set crop=16 --set flow_crop=16 --set flow_batch=1 --set steps=1,1,1,1 --set valid_samples=1",
)
# What makes a training command of a page short.
FEWER_STEPS = "-b 1 -th 0 --set crop=32 --set flow_crop=32 --set max_steps=2 --device cpu"
