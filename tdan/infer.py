"""TDAN on the user's own video: a file, a folder of frames or a glob in, a larger one out, in constant memory.

Every frame has one result, from the five around it; what is computed of a frame alone is computed once.
"""

import sys
from collections.abc import Iterable, Iterator
from itertools import chain, islice

import torch
from torch import Tensor

from common.cli import UsageError
from common.media import own_video
from common.media.frame_windows import neighbour_indices, windows
from common.media.model_on_clips import FrameByFrame
from common.media.video_reader import FolderReader, VideoReader
from common.training.distributed import choose_device
from tdan.checkpoints import load
from tdan.classical import enlarge
from tdan.config import PADDING, Config, build_parser
from tdan.model import TDAN, WINDOW
from tdan.stream import Enhancer


class Enlarger(FrameByFrame):
    """Enlarges clips; `tdan.load` gives one, with the weights of a name.

    Args:
        network: on the device, ready to run.
        padding: which frames stand for those before the first and after the last; None: the default where the clip is
            long enough for it, else "replicate".
        tile: side of the tiles, in low-resolution pixels; 0: none.
        chop: cut into overlapping quarters as the authors do, instead of tiles.
        flips: average over mirrored frames; four times the work.
        amp: off, bf16 or fp16.
        device: where the network is.
    """

    build_parser = build_parser

    def __init__(
        self, network: TDAN, *, padding: str | None = None, tile: int = 0, chop: bool = False, flips: bool = False,
        amp: str = "off", device: torch.device | str = "cpu",
    ):  # fmt: skip
        self.network, self.padding, self.device = network, padding, torch.device(device)
        self.how = {"tile": tile, "chop": chop, "flips": flips, "amp": amp}

    def stream(self, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        """What the network makes of every frame of a clip; holds seven frames, and the features of five.

        Args:
            frames: (B, 3, H, W) in [0, 1].

        Yields:
            (B, 3, s H, s W), not clamped.
        """
        frames = iter(frames)
        begin = list(islice(frames, WINDOW))
        padding = choose_padding(len(begin), self.padding)
        enhancers = [Enhancer(self.network, **self.how) for _ in range(len(begin[0]))]
        numbered = enumerate(chain(begin, frames))
        for window in windows(numbered, WINDOW, padding=padding):
            of_clips = ([(number, x[k].contiguous()) for number, x in window] for k in range(len(enhancers)))
            yield torch.stack([enhance(of_clip) for enhance, of_clip in zip(enhancers, of_clips, strict=True)])

    def check_clip(self, reader: VideoReader | FolderReader, options) -> None:
        """Refuse a clip too short for the padding asked for, and tell if it is too short for the default."""
        super().check_clip(reader, options)
        length = reader.at_least(WINDOW)  # that of a longer clip does not matter
        try:
            padding = choose_padding(length, self.padding)
        except ValueError as error:
            raise UsageError(f"--padding {self.padding} for {reader.path}: {error}") from error
        if padding != (self.padding or PADDING):
            told = f"{reader.path}: {length} frame(s) are too few for --padding {PADDING}: using {padding}"
            own_video.tell(options, told, sys.stderr)


def choose_padding(length: int, asked: str | None) -> str:
    """The padding to use for a clip: that asked for, or else the default where the clip is long enough for it.

    Args:
        length: frames of the clip; of a longer one those of a window are enough.
        asked: the padding asked for.

    Raises:
        ValueError: the clip is too short for what was asked for.
    """
    try:
        neighbour_indices(0, WINDOW, length, padding=asked or PADDING)
    except ValueError:
        if asked:
            raise
        return "replicate"
    return asked or PADDING


def infer(options, config: Config) -> int:
    """Run the model on --input and write --output; returns the exit code."""
    device = choose_device(options.device)
    network, _ = load(options, config, device)
    if network is not None:
        how = {"tile": options.tile or 0, "chop": options.chop, "flips": options.flips, "amp": config.amp}
        return own_video.each_input(Enlarger(network, padding=options.padding, device=device, **how).run, options)

    def resize(options) -> None:
        reader = own_video.open_input(options, deep=False)
        own_video.check_rate(options, reader)
        results = ((enlarge(image, config.scale, options.baseline), time) for image, time in reader.timed())
        own_video.write_output(results, reader, options)

    return own_video.each_input(resize, options)
