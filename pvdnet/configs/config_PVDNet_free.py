"""PVDNet_free, for an hour on a core, on clips that anyone can make; our own, no published counterpart.

It leaves BIMNet out, which costs more than the rest: the pixel volume holds the neighbourhoods of the previous result
where they are.
"""

from pvdnet.config import Config

config = Config(
    mode="PVDNet_free",
    network="PVDNet_free",
    data="free,drawn:0.5",
    valid_data="real",
    with_BIMNet=False,
    BIMNet_ckpt="",
    batch_size=4,
    thread_num=1,
    height=128,
    width=128,
    crop_tries=4,
    frame_itr_num=5,
    wi=1.4,
    quiet=True,
    lr_init=5e-4,
    total_itr=8_000,
    T_period=(8_000,),
    restarts=(),
    restart_weights=(),
    ema=0.999,
    amp="auto",
    max_ckpt_num=5,
    write_ckpt_every_epoch=4,
    save_every_itr=200,
)
