"""TDAN: Temporally-Deformable Alignment Network for Video Super-Resolution, CVPR 2020."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tdan.infer import Enlarger


def load(
    weights: os.PathLike | str | None = None, *, device: str = "auto", amp: str = "auto", tile: int = 0,
    compile: bool = False, padding: str | None = None, chop: bool = False, flips: bool = False,
) -> "Enlarger":  # fmt: skip
    """TDAN with weights, ready to enlarge clips: `tdan.load()(frames)`.

    Args:
        weights: nothing: our own, in the box; the name of published ones, such as "model" or
            "tdan_vimeo90k_bdx4_20210528-c53ab844", fetched into `ckpt/` where they are not here; or the path of a file.
        device: "cpu", "cuda", "cuda:1", or "auto": cuda where there is one.
        amp: "off", "bf16" or "fp16": what convolutions compute in; "auto": what the hardware has.
        tile: side of the tiles in small pixels, for frames too large for memory; 0: none.
        compile: torch.compile the network.
        padding: which frames stand for those before the first and after the last: "reflection", "replicate",
            "reflection_circle", "circle" or "tdan_eval"; None: reflection, in clips of one or two frames replicate.
        chop: cut frames into overlapping quarters, as the authors do, instead of tiles.
        flips: average over mirrored frames; four times the work.

    Returns:
        What enlarges frames (call it) and whole clips (`clip`); its `network` is the `torch.nn.Module`.

    Raises:
        ValueError: no such weights or device, they are of another network, or both `tile` and `chop`.
    """
    from common.checkpoints.by_name import find_file
    from common.media.model_on_clips import check_settings
    from common.training.distributed import choose_device
    from tdan.checkpoints import load_network, on_device
    from tdan.config import OF_DEGRADATION
    from tdan.infer import Enlarger

    check_settings(amp, tile)
    if chop and tile:
        raise ValueError("chop and tile both cut frames into parts: give one of them")
    path, _ = find_file("tdan", weights, usual=OF_DEGRADATION["bi"])
    place = choose_device(device)
    network = on_device(load_network(path), place, compile)
    return Enlarger(network, padding=padding, tile=tile, chop=chop, flips=flips, amp=amp, device=place)
