"""A small PVDNet for five minutes on two CPU cores; our own, no published counterpart.

It leaves BIMNet out: in this time it would learn nothing, and it costs more than the rest. So the pixel volume holds
the neighbourhoods of the previous result where they are.
"""

from pvdnet.config import Config

config = Config(
    network="PVDNet_small",
    with_BIMNet=False,
    BIMNet_ckpt="",
    batch_size=2,
    thread_num=1,
    height=64,
    width=64,
    frame_itr_num=7,
    lr_init=2e-3,
    total_itr=4_000,
    T_period=(4_000,),
    restarts=(),
    restart_weights=(),
    write_ckpt_every_epoch=4,
)
