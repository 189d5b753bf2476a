"""A small PVDNet for a few minutes on a CPU; our own, no published counterpart."""

from pvdnet.config import Config

config = Config(
    network="PVDNet_small",
    fix_BIMNet=True,
    BIMNet_ckpt="",
    batch_size=2,
    thread_num=1,
    height=64,
    width=64,
    lr_init=1e-3,
    total_itr=260,
    LRS="CA",
    T_period=(260,),
    restarts=(),
    restart_weights=(),
    write_ckpt_every_epoch=4,
)
