"""What tests of all papers have to know of IFRNet."""

from tests.helpers.tiny_runs import TinyRun

TINY = TinyRun(  # 12 steps of 2 samples, 2 steps an epoch
    paper="ifrnet",
    config="IFRNet_tiny",
    project="IFRNet_CVPR2022",
    clips=(("vimeo_triplet", "--clips", 5, "--test_clips", 2, "--frames", 3),),
    settings=(
        "--set", "total_batch=2", "--set", "crop=32", "--set", "max_steps=12", "--set", "valid_every_epoch=2",
        "--set", "write_log_every_step=2", "--set", "save_every_step=5", "-th", "0", "--device", "cpu",
    ),
    epochs=6,
    back=4,
    step=7,
    place="step 7",
)  # fmt: skip
# Together these write every scalar that the card lists.
CARD_TRAININGS = ("IFRNet_tiny --set crop=32 --set max_steps=1 --set total_batch=1",)
# What makes a training command of a page short.
FEWER_STEPS = "-b 1 -th 0 --set crop=32 --set max_steps=2 --device cpu"
