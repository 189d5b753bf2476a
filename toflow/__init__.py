"""TOFlow: Video Enhancement with Task-Oriented Flow, IJCV 2019."""

import os
from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    from toflow.infer import Interpolator, Restorer


@overload
def load(
    weights: os.PathLike | str | None = None, *, task: Literal["interp"], config: str = "", device: str = "auto",
    amp: str = "auto", tile: int = 0, compile: bool = False, padding: str = "replicate",
) -> "Interpolator": ...  # fmt: skip
@overload
def load(
    weights: os.PathLike | str | None = None, *, task: Literal["denoise", "deblock", "sr"], config: str = "",
    device: str = "auto", amp: str = "auto", tile: int = 0, compile: bool = False, padding: str = "replicate",
) -> "Restorer": ...  # fmt: skip
@overload
def load(
    weights: os.PathLike | str, *, config: str = "", device: str = "auto",
    amp: str = "auto", tile: int = 0, compile: bool = False, padding: str = "replicate",
) -> Any: ...  # fmt: skip
def load(
    weights: os.PathLike | str | None = None, *, task: str = "", config: str = "", device: str = "auto",
    amp: str = "auto", tile: int = 0, compile: bool = False, padding: str = "replicate",
) -> "Interpolator | Restorer":  # fmt: skip
    """TOFlow with weights for a task: `toflow.load(task="denoise")(frames)`, `toflow.load("interp")(first, second)`.

    Args:
        weights: nothing: our own, in the box; the name of published ones, such as "denoise", "interp", "sr" or
            "tof_x4_vimeo90k_official-a569ff50", fetched into `ckpt/` where they are not here; or the path of a file.
        task: "interp", "denoise", "deblock" or "sr"; weights of a known name tell theirs.
        config: the preset of weights of your own.
        device: "cpu", "cuda", "cuda:1", or "auto": cuda where there is one.
        amp: "off", "bf16" or "fp16": what convolutions compute in; "auto": what the hardware has.
        tile: side of the tiles in pixels, for frames too large for memory; 0: none.
        compile: torch.compile the network.
        padding: which frames stand for those before the first and after the last: "replicate", "reflection",
            "reflection_circle" or "circle".

    Returns:
        What makes frames (call it) and whole clips (`clip`); its `network` is the `torch.nn.Module`.

    Raises:
        ValueError: no such weights, task or device, or the weights are for another task or of another network.
    """
    from common.checkpoints.by_name import find_file
    from common.media.model_on_clips import check_settings
    from common.training.distributed import choose_device
    from toflow.checkpoints import load_network, on_device
    from toflow.config import OF_TASK, preset
    from toflow.infer import of_task
    from toflow.sets import TASKS

    check_settings(amp, tile)
    if task not in ("", *TASKS):
        raise ValueError(f"task {task}: expected one of {', '.join(TASKS)}")
    path, known = find_file("toflow", weights, usual=OF_TASK.get(task, ""), task=task)
    of_file = config or known
    if not (task or of_file):
        raise ValueError(f"{path} does not tell its task: expected task=, one of {', '.join(TASKS)}")
    settings = preset(of_file or OF_TASK[task])
    task = task or settings.task
    if task != settings.task and {task, settings.task} != {"denoise", "deblock"}:
        raise ValueError(f"{path}: its weights are for {settings.task}, not for {task}")
    place = choose_device(device)
    form = {"task": None if of_file else task, "align_corners": settings.align_corners}
    network = on_device(load_network(path, settings.network, **form), place, compile)
    return of_task(network, task, padding=padding, tile=tile, amp=amp, device=place)
