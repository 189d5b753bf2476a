"""TOFlow on the user's own video: a file, a folder of frames or a glob in, a video or a folder out, in constant memory.

Interpolation makes the middle of two frames, so other times are middles of middles. The other tasks give one result for
every frame, from the seven around it; super-resolution enlarges the frames fourfold first.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import islice

import torch
from torch import Tensor

from common.cli import UsageError
from common.degrade.matlab_imresize import imresize
from common.media.classical_flow import interpolate
from common.media.frame_rate import check_halves, halves, open_retimed, write_retimed
from common.media.frame_windows import neighbour_indices, windows
from common.media.image import to_uint8
from common.media.own_video import Timed, check_rate, each_input, open_input, write_output
from common.ops.autocast import autocast
from common.ops.tile import tiled
from common.training.distributed import choose_device
from toflow.checkpoints import load
from toflow.classical import classical
from toflow.config import Config
from toflow.model import MULTIPLE, TOFlow, predict
from toflow.sets import WINDOW

SCALE = 4  # of super-resolution
TILE_OVERLAP = 64  # pixels; of motion beyond 3/8 of it a tile sees too little near its border


@torch.inference_mode()
def restore(network: TOFlow, frames: Tensor, *, tile: int = 0, amp: str = "off") -> Tensor:
    """What the network makes of two or seven frames of any size.

    Args:
        network: on the device of the frames.
        frames: (1, T, 3, H, W) in [0, 1].
        tile: side of the tiles, in pixels, rounded up to a multiple of 16; 0: none. A tile sees no motion that leaves
            it, so the result differs a little from that without tiles, and more where motion is large.
        amp: off, bf16 or fp16.

    Returns:
        (1, 3, H, W) float32, not clamped.
    """

    def whole(part: Tensor) -> Tensor:
        with autocast(part.device, amp):
            return predict(network, part)["pred"].float()

    tile = -(-tile // MULTIPLE) * MULTIPLE
    return tiled(whole, frames, tile=tile, overlap=min(TILE_OVERLAP, tile // 2))  # 1 3 H W


def infer(options, config: Config) -> int:
    """Run the model on --input and write --output; returns the exit code."""
    device = choose_device(options.device)
    network, _ = load(options, config, device)
    task = options.task or config.task
    if task == "interp":
        return each_input(lambda one: _interpolate(one, network, device, config.amp), options)
    enlarge = SCALE if task == "sr" else 1
    return each_input(lambda one: _restore_clip(one, network, device, config.amp, enlarge), options)


def _interpolate(options, network: TOFlow | None, device: torch.device, amp: str) -> None:
    reader, timing = open_retimed(options)
    if network is not None:
        check_halves(timing, reader, "TOFlow makes only the middle of two frames", ", or --fps 2, 4 or 8 times as high")

    def middle(first: Tensor, second: Tensor) -> Tensor:
        pair = torch.stack((first, second), 1)  # 1 2 3 H W
        return restore(network, pair, tile=options.tile or 0, amp=amp).clamp(0, 1)  # the next middle is made from it

    def predict(first: Tensor, second: Tensor, times: list[Fraction]) -> Iterable[Tensor]:
        if network is None and options.baseline == "flow":
            return (_by_flow(first, second, float(t)) for t in times)
        if network is None:
            return (torch.lerp(first, second, float(t)) for t in times)
        return halves(middle, first, second, times)

    write_retimed(reader, timing, predict, options, device)


def _by_flow(first: Tensor, second: Tensor, t: float) -> Tensor:
    """A frame between two, (1, 3, H, W) in [0, 1], by classical flow."""
    frames = [to_uint8(frame[0].permute(1, 2, 0).cpu().numpy()) for frame in (first, second)]  # H W 3
    made = torch.from_numpy(interpolate(*frames, t) / 255)
    return made.permute(2, 0, 1)[None].to(first.device)


def _restore_clip(options, network: TOFlow | None, device: torch.device, amp: str, enlarge: int) -> None:
    reader = open_input(options)
    check_rate(options, reader)
    try:  # before anything is written
        neighbour_indices(0, WINDOW, sum(1 for _ in islice(reader, WINDOW)), padding=options.padding)
    except ValueError as error:
        raise UsageError(f"--padding {options.padding} for {options.input}: {error}") from error

    def frames() -> Iterator[tuple[Tensor, Fraction | None]]:
        for image, time in reader.timed():
            image = imresize(image, scale=enlarge) if enlarge > 1 else image
            yield torch.from_numpy(image).to(device).permute(2, 0, 1), time  # 3 H W uint8, a quarter of its floats

    def results() -> Iterator[Timed]:
        for window in windows(frames(), WINDOW, padding=options.padding):
            image, time = window[WINDOW // 2]
            if network is None and options.baseline != "plain":
                image = classical([frame.permute(1, 2, 0).cpu().numpy() for frame, _ in window], options.baseline)
                yield to_uint8(image), time
                continue
            if network is not None:
                clip = torch.stack([frame for frame, _ in window])[None].float() / 255  # 1 7 3 H W
                image = restore(network, clip, tile=options.tile or 0, amp=amp)[0]  # 3 H W
            image = image.permute(1, 2, 0).cpu().numpy()  # H W 3
            yield (image if network is None else to_uint8(image)), time

    write_output(results(), reader, options)
