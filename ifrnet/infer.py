"""Put frames into the user's own video: a file, a folder of frames or a glob in, a video or a folder out.

In constant memory, whatever the length and however many frames are put between two: a pair is encoded once, then
decoded for all times that fit in it.
"""

import logging
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import islice, pairwise, repeat

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from common.amp import autocast
from common.cli import UsageError
from common.distributed import choose_device
from common.image import to_uint8
from common.pad import pad_centred
from common.tile import tiled
from common.video import open_clip, open_writer
from ifrnet.checkpoints import load
from ifrnet.config import Config
from ifrnet.model import TOGETHER, IFRNet, multiple_of
from ifrnet.scenes import change
from ifrnet.timing import Timing, is_power_of_two, plan

log = logging.getLogger(__name__)

HALF = Fraction(1, 2)
TILE_OVERLAP = 64  # pixels; of motion beyond 3/8 of it a tile sees too little near its border


class Interpolator:
    """Makes the frames between two.

    Nothing is computed between two equal frames (a still, a repeated frame), nor across a cut: the earlier frame is
    repeated up to it.

    Args:
        network: None: the two frames are blended.
        scale: flows are estimated on frames resized by this.
        tile: side of the tiles, in pixels; 0: none. Each has the mean of its own pixels subtracted and sees no motion
            that leaves it, so the result differs a little from that without tiles, and more where motion is large.
        scene: `change` from which two frames are a cut; 1: never.
        amp: off, bf16 or fp16; results are float32 always.
        device: where the network is.
    """

    def __init__(self, network: IFRNet | None, *, scale=1.0, tile=0, scene=1.0, amp="off", device="cpu"):
        self.network, self.scale, self.scene, self.amp = network, scale, scene, amp
        self.device = torch.device(device)
        self.by_halves = network is not None and network.ignores_time
        self.multiple = multiple_of(scale)
        self.tile = -(-tile // self.multiple) * self.multiple
        self.cuts = 0  # met so far

    def between(self, first: np.ndarray, second: np.ndarray, times: list[Fraction]) -> Iterator[np.ndarray]:
        """The frames, HxWx3 uint8, at `times` in (0, 1), ascending, between two of that kind."""
        if not times or np.array_equal(first, second):
            return repeat(first, len(times))
        if self.scene < 1 and change(first, second) >= self.scene:
            self.cuts += 1
            return repeat(first, len(times))
        results = self.predict(self._tensor(first), self._tensor(second), times)
        return (to_uint8(result[0].permute(1, 2, 0).cpu().numpy()) for result in results)

    def predict(self, img0: Tensor, img1: Tensor, times: list[Fraction]) -> Iterator[Tensor]:
        """The frames, (1, 3, H, W) in [0, 1], at `times` between two of any size; weights without t take halves.

        Raises:
            ValueError: these weights, and a time that halving never reaches.
        """
        if self.network is None:
            return (torch.lerp(img0, img1, float(t)) for t in times)
        if self.by_halves:
            if not all(is_power_of_two(t.denominator) for t in times):
                raise ValueError(f"times {', '.join(map(str, times))}: expected multiples of 1/2^k from these weights")
            return halves(lambda a, b: next(self._direct(a, b, [HALF])), img0, img1, times)
        return self._direct(img0, img1, times)

    def _direct(self, img0: Tensor, img1: Tensor, times: list[Fraction]) -> Iterator[Tensor]:
        both, unpad = pad_centred(torch.cat((img0, img1), 1), self.multiple)  # 1 6 H W
        if 0 < self.tile < max(both.shape[-2:]):
            for t in times:
                whole = lambda part, t=t: self._decode(self._encode(part), [t])  # noqa: E731
                yield unpad(tiled(whole, both, tile=self.tile, overlap=min(TILE_OVERLAP, self.tile // 2)))
            return
        pair = self._encode(both)
        many = max(1, TOGETHER // (both.shape[-2] * both.shape[-1]))
        for start in range(0, len(times), many):
            yield from unpad(self._decode(pair, times[start : start + many])).split(1)

    def _encode(self, both):
        return self._run(self.network.encode, both[:, :3], both[:, 3:], self.scale)

    def _decode(self, pair, times):
        t = torch.tensor([float(time) for time in times], device=self.device)
        return self._run(self.network.decode, pair, t, self.scale)["pred"].float()

    def _run(self, part: Callable, *arguments):
        """A part of the network; not around a loop that yields, whose caller would then be in these modes too."""
        with torch.inference_mode(), autocast(self.device, self.amp):
            return part(*arguments)

    def _tensor(self, image: np.ndarray) -> Tensor:
        return torch.from_numpy(image).to(self.device).permute(2, 0, 1)[None].float() / 255  # 1 3 H W


def halves(middle: Callable, first, last, times: list[Fraction]) -> Iterator:
    """What lies at `times`, ascending multiples of 1 / 2^k in (0, 1), by taking the middle of middles."""
    if not times:
        return
    half = middle(first, last)
    yield from halves(middle, first, half, [2 * t for t in times if t < HALF])
    if HALF in times:
        yield half
    yield from halves(middle, half, last, [2 * t - 1 for t in times if t > HALF])


def retimed(frames: Iterable[tuple], timing: Timing, between: Callable) -> Iterator[tuple[np.ndarray, Fraction]]:
    """The frames of the result and their times; holds two frames of the input, which are (image, time or None)."""
    timed = ((image, number / timing.rate if time is None else time) for number, (image, time) in enumerate(frames))
    for (first, start), (second, end) in pairwise(timed):
        steps = list(timing.steps(start, end))
        made = between(first, second, [t for t, _ in steps if t])
        for t, time in steps:
            yield (next(made) if t else first), time
    for _, time in timing.steps(end):
        yield second, time


def check_times(timing: Timing, reader, weights) -> None:
    """Warn, or refuse before anything is written, where weights that know only t = 1/2 meet other times.

    Raises:
        UsageError: times that halving never reaches.
    """
    parts = timing.parts(reader.times() if timing.fps else ())
    if not all(map(is_power_of_two, parts)):
        asked = f"--multi {timing.multi}" if timing.multi else f"--fps {timing.fps} of {float(timing.rate):g} Hz"
        raise UsageError(
            f"{weights} knows only the middle of two frames (its weights of t are 0), and {asked} needs other times: "
            f"expected --multi 2, 4 or 8, or weights trained for any t, such as IFRNet_GoPro"
        )
    if max(parts) > 2:
        log.warning(
            "%s knows only the middle of two frames (its weights of t are 0): others are made as middles of middles; "
            "weights trained for any t, such as IFRNet_GoPro, make them directly",
            weights,
        )


def infer(options, config: Config) -> int:
    """Interpolate --input and write --output; returns the exit code."""
    device = choose_device(options.device)
    network, weights = load(options, config, device)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C: what is written stays playable
    reader = open_clip(options.input)
    timing = plan(reader, options)
    if len(list(islice(reader, 2))) < 2:
        raise ValueError(f"{options.input} holds one frame: expected at least two, to put frames between")
    interpolator = Interpolator(
        network, scale=options.scale, tile=options.tile or 0, scene=options.scene, amp=config.amp, device=device
    )
    if interpolator.by_halves:
        check_times(timing, reader, weights)
    writer = open_writer(
        options.output,
        frame_rate=timing.frame_rate if reader.frame_rate or options.fps else None,
        like=reader,
        audio_from=options.input if reader.frame_rate and not options.slow else None,
        overwrite=options.overwrite,
    )
    if options.slow:
        print(f"--slow: the result lasts {float(timing.stretch):g} times as long, without the sound")
    total = timing.total(reader.num_frames)
    with writer, tqdm(total=total, unit="frame", disable=None, file=sys.stderr) as bar:
        for image, time in retimed(reader.timed(), timing, interpolator.between):
            writer.write(image, time)
            bar.update()
    cuts = f", {interpolator.cuts} cut{'s' * (interpolator.cuts > 1)} not blended" if interpolator.cuts else ""
    print(f"{writer.count} frames -> {options.output}{cuts}")
    return 0
