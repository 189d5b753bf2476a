"""What tests of all papers have to know of QPWCNet."""

from tests.helpers.tiny_runs import TinyRun

TINY = TinyRun(  # 6 steps of 2 samples, 3 steps an epoch
    paper="qpwcnet",
    config="flow_tiny",
    project="QPWCNet/run",
    clips=(("chairs", "--clips", 6, "--test_clips", 1),),
    settings=(
        "--set", "filters=4,4,4,8,8", "--set", "input_shape=32,64", "--set", "scale_size=32,64", "--set", "max_steps=6",
        "--set", "valid_every_epoch=1", "--set", "write_log_every_step=1", "--set", "save_every_step=1",
        "--set", "total_batch=2", "-th", "0", "--device", "cpu",
    ),
    epochs=2,
    back=1,
    step=4,
    place="step 4",
    on_clips=("--set", "valid_data=drawn", "--set", "max_steps=6"),
    diverges=("--set", "learning_rate=1e30", "--set", "milestones="),
    half=("--set", "init=keras"),  # the other start has large weights, of costs that are always zero
)  # fmt: skip
# Together these write every scalar that the card lists.
CARD_TRAININGS = tuple(
    f"{config} --set input_shape=64,64 --set max_steps=1 --set total_batch=1"
    for config in (
        "pre_train_tiny --set init=keras --set filters=4,4,4,4,4",
        "flow_tiny --set init=keras --set filters=4,4,4,4,4",
        "pwcnet_chairs --network PWC-Net_small",
    )
)
# What makes a training command of a page short.
FEWER_STEPS = (
    "-b 1 -th 0 --set filters=4,4,4,8,8 --set input_shape=64,64 --set max_steps=1 --set valid_samples=1 --device cpu"
)
