"""IFRNet: Intermediate Feature Refine Network for Efficient Frame Interpolation, CVPR 2022."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ifrnet.infer import Interpolator


def load(
    weights: os.PathLike | str | None = None, *, device: str = "auto", amp: str = "auto", tile: int = 0,
    compile: bool = False, scale: float = 1.0,
) -> "Interpolator":  # fmt: skip
    """IFRNet with weights, ready to make frames between two: `ifrnet.load()(first, second, 0.5)`.

    Args:
        weights: nothing: our own, in the box; the name of published ones, such as "IFRNet_Vimeo90K" (the middle alone)
            or "IFRNet_GoPro" (any time), fetched into `ckpt/` where they are not here; or the path of a file.
        device: "cpu", "cuda", "cuda:1", or "auto": cuda where there is one.
        amp: "off", "bf16" or "fp16": what convolutions compute in; "auto": what the hardware has.
        tile: side of the tiles in pixels, for frames too large for memory; 0: none.
        compile: torch.compile the network.
        scale: of the frames that flows are estimated on: 0.5 for 4K.

    Returns:
        What makes frames (call it) and whole clips (`clip`); its `network` is the `torch.nn.Module`.

    Raises:
        ValueError: no such weights or device, or they are of another network.
    """
    from common.checkpoints.by_name import find_file
    from common.media.model_on_clips import check_settings
    from common.training.distributed import choose_device
    from ifrnet.checkpoints import load_network, on_device
    from ifrnet.infer import Interpolator

    check_settings(amp, tile)
    path, _ = find_file("ifrnet", weights, usual="IFRNet_Vimeo90K")
    place = choose_device(device)
    network = on_device(load_network(path), place, compile)
    return Interpolator(network, weights=path, scale=scale, tile=tile, amp=amp, device=place)
