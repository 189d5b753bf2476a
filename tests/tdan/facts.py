"""What tests of all papers have to know of TDAN."""

from tests.helpers.tiny_runs import TinyRun

TINY = TinyRun(  # 12 steps of 2 samples, a period of 4
    paper="tdan",
    config="TDAN_tiny_bi",
    project="TDAN_CVPR2020",
    clips=(("vimeo_septuplet", "--clips", 3, "--test_clips", 2, "--frames", 7),),
    settings=(
        "--set", "channels=8", "--set", "blocks_before=1", "--set", "blocks_after=1", "--set", "steps=12",
        "--set", "total_batch=2", "--set", "crop=8", "--set", "valid_samples=2", "--set", "valid_every_step=4",
        "--set", "write_log_every_step=2", "--set", "save_every_step=1", "-th", "0", "--device", "cpu",
    ),
    epochs=3,
    back=2,
    step=7,
    place="step 7",
    suffix="_bi",
    on_clips=("--set", "valid_data=drawn_bi"),
)  # fmt: skip
# Together these write every scalar that the card lists.
CARD_TRAININGS = (
    "TDAN_tiny_bi --set channels=8 --set blocks_before=1 --set blocks_after=1 --set crop=8 --set max_steps=1 "
    "--set total_batch=1 --set valid_samples=1",
)
# What makes a training command of a page short.
FEWER_STEPS = "-b 1 -th 0 --set crop=8 --set max_steps=1 --set valid_samples=1 --device cpu"
