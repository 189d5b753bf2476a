"""TDAN on the user's own video: a file, a folder of frames or a glob in, a larger one out, in constant memory.

Every frame has one result, from the five around it; what is computed of a frame alone is computed once.
"""

import sys
from collections.abc import Iterator
from itertools import islice

import torch

from common.cli import UsageError
from common.media import own_video
from common.media.frame_windows import neighbour_indices, windows
from common.media.image import to_uint8
from common.media.own_video import Timed
from common.media.video_reader import FolderReader, VideoReader
from common.training.distributed import choose_device
from common.training.sampling import to_tensor
from tdan.checkpoints import load
from tdan.classical import enlarge
from tdan.config import PADDING, Config
from tdan.model import MIDDLE, WINDOW
from tdan.stream import Enhancer


def infer(options, config: Config) -> int:
    """Run the model on --input and write --output; returns the exit code."""
    device = choose_device(options.device)
    network, _ = load(options, config, device)
    return own_video.each_input(lambda one: _enhance_clip(one, config, network, device), options)


def _enhance_clip(options, config: Config, network, device: torch.device) -> None:
    reader = own_video.open_input(options)
    own_video.check_rate(options, reader)
    if network is None:
        results = ((enlarge(image, config.scale, options.baseline), time) for image, time in reader.timed())
    else:
        padding = choose_padding(reader, options.padding)  # before anything is written
        parts = {"tile": options.tile or 0, "chop": options.chop, "flips": options.flips}
        results = enhance(Enhancer(network, amp=config.amp, **parts), reader, padding, device)
    own_video.write_output(results, reader, options)


def choose_padding(reader: VideoReader | FolderReader, asked: str | None) -> str:
    """The padding to use: that which the user asked for, or else the default where the clip is long enough for it.

    Raises:
        UsageError: the clip is too short for what was asked for.
    """
    length = sum(1 for _ in islice(reader, WINDOW))  # that of a longer clip does not matter
    try:
        neighbour_indices(0, WINDOW, length, padding=asked or PADDING)
    except ValueError as error:
        if asked:
            raise UsageError(f"--padding {asked} for {reader.path}: {error}") from error
        print(f"{reader.path}: {length} frame(s) are too few for --padding {PADDING}: using replicate", file=sys.stderr)
        return "replicate"
    return asked or PADDING


def enhance(
    enhancer: Enhancer, reader: VideoReader | FolderReader, padding: str, device: torch.device
) -> Iterator[Timed]:
    """What the network makes of every frame; holds seven frames, and the features of five."""
    frames = (
        ((number, to_tensor(image).to(device)), time)  # the frame: 3 H W
        for number, (image, time) in enumerate(reader.timed())
    )
    for window in windows(frames, WINDOW, padding=padding):
        result = enhancer([frame for frame, _ in window])  # 3 sH sW
        yield to_uint8(result.permute(1, 2, 0).cpu().numpy()), window[MIDDLE][1]
