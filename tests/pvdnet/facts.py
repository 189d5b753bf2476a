"""What tests of all papers have to know of PVDNet."""

from tests.helpers.tiny_runs import TinyRun

TINY = TinyRun(  # 4 samples, 2 batches of 2, 6 steps an epoch, 4 epochs
    paper="pvdnet",
    config="config_PVDNet_small",
    project="PVDNet_TOG2021",
    clips=(("DVD", "--clips", 2, "--test_clips", 2, "--frames", 6),),
    settings=(
        "--set", "width=32", "--set", "height=32", "--set", "frame_itr_num=3", "--set", "total_itr=24",
        "--set", "write_ckpt_every_epoch=2", "-lr", "5e-4", "-th", "0", "--device", "cpu",
    ),
    epochs=4,
    back=2,
    step=8,
    place="epoch 2, batch 0, frame 2",
    unit="iteration",
    diverges=("-lr", "1e20", "-gc", "1e30"),
)  # fmt: skip
# Together these write every scalar that the card lists.
CARD_TRAININGS = (
    "config_joint --mode joint --set width=32 --set height=32 --set frame_itr_num=1 --set total_itr=1 "
    "--network PVDNet_small",
)
# What makes a training command of a page short.
FEWER_STEPS = "-b 1 -th 0 --set width=32 --set height=32 --set frame_itr_num=2 --set total_itr=2 --device cpu"
