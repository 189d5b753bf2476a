"""PVDNet: Recurrent Video Deblurring with Blur-Invariant Motion Estimation and Pixel Volumes, TOG 2021."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pvdnet.infer import Deblurrer


def load(
    weights: os.PathLike | str | None = None, *, config: str = "", device: str = "auto", amp: str = "auto",
    tile: int = 0, compile: bool = False,
) -> "Deblurrer":  # fmt: skip
    """PVDNet with weights, ready to deblur clips: `for sharp in pvdnet.load("PVDNet_DVD")(frames)`.

    Args:
        weights: nothing: our own, if the box has some; the name of published ones, such as "PVDNet_DVD" or
            "PVDNet_large_nah", fetched into `ckpt/` where they are not here (AGPL-3.0, no commercial use); or the path
            of a file.
        config: the preset of weights of your own, such as "config_PVDNet_small"; those of a known name tell theirs.
        device: "cpu", "cuda", "cuda:1", or "auto": cuda where there is one.
        amp: "off", "bf16" or "fp16": what convolutions compute in; "auto": what the hardware has.
        tile: side of the tiles in pixels, for frames too large for memory; 0: none.
        compile: torch.compile the network.

    Returns:
        What deblurs frames (call it) and whole clips (`clip`); its `network` is the `torch.nn.Module`.

    Raises:
        ValueError: no such weights or device, or they are of another network.
    """
    from common.checkpoints.by_name import find_file
    from common.media.model_on_clips import check_settings
    from common.training.distributed import choose_device
    from pvdnet.checkpoints import on_device, read
    from pvdnet.infer import Deblurrer
    from pvdnet.models.deblurnet import DeblurNet

    check_settings(amp, tile)
    path, known = find_file("pvdnet", weights, usual="config_PVDNet")
    network = read(path, config or known)
    if not isinstance(network, DeblurNet):
        raise ValueError(f"{path}: holds BIMNet alone, which deblurs nothing: expected weights of a PVDNet")
    place = choose_device(device)
    return Deblurrer(on_device(network, place, compile), tile=tile, amp=amp, device=place)
