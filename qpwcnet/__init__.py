"""QPWCNet: optical flow learnt by interpolation too, and made small as int8; beside it PWC-Net, CVPR 2018."""

import os
from typing import TYPE_CHECKING, Literal, overload

if TYPE_CHECKING:
    from qpwcnet.infer import FlowEstimator, FrameInterpolator


@overload
def load(
    weights: os.PathLike | str | None = None, *, task: Literal["flow"] = "flow", device: str = "auto",
    amp: str = "auto", tile: int = 0, compile: bool = False,
) -> "FlowEstimator": ...  # fmt: skip
@overload
def load(
    weights: os.PathLike | str | None = None, *, task: Literal["interp"], device: str = "auto", amp: str = "auto",
    tile: int = 0, compile: bool = False,
) -> "FrameInterpolator": ...  # fmt: skip
def load(
    weights: os.PathLike | str | None = None, *, task: str = "flow", device: str = "auto", amp: str = "auto",
    tile: int = 0, compile: bool = False,
) -> "FlowEstimator | FrameInterpolator":  # fmt: skip
    """QPWCNet or PWC-Net with weights: `flow = qpwcnet.load("network-chairs-things")(first, second)`.

    Args:
        weights: nothing: our own, if the box has some; the name of published ones, such as "network-default" or
            "pwc_net.pth.tar", fetched into `ckpt/` where they are not here and have an address (no commercial use); or
            the path of a file, also of an exported one (.onnx, .tflite).
        task: "flow", or "interp": the frame between two, by weights that were trained for it.
        device: "cpu", "cuda", "cuda:1", or "auto": cuda where there is one.
        amp: "off", "bf16" or "fp16": what convolutions compute in; "auto": what the hardware has.
        tile: side of the tiles in pixels, for frames too large for memory; 0: none.
        compile: torch.compile the network.

    Returns:
        What finds flows, or makes frames (call it), also of whole clips (`clip`); its `network` is the
        `torch.nn.Module`.

    Raises:
        ValueError: no such weights, task or device, or they are of another network.
    """
    from common.checkpoints.by_name import find_file
    from common.media.model_on_clips import check_settings
    from common.training.distributed import choose_device
    from qpwcnet.checkpoints import open_network
    from qpwcnet.config import TASKS, preset
    from qpwcnet.infer import of_task

    check_settings(amp, tile)
    if task not in TASKS:
        raise ValueError(f"task {task}: expected one of {', '.join(TASKS)}")
    path, known = find_file("qpwcnet", weights, usual="pwcnet_sintel", task=task)
    place = choose_device(device)
    network = open_network(path, task, preset(known or "flow").input_shape, place, compile)
    return of_task(network, task, tile=tile, amp=amp, device=place)
