"""Networks on frames and clips of a program, and on files: what the papers' classes have in common.

`BetweenFrames` puts frames between two, `FrameByFrame` makes one of every frame. A paper's class says how, on tensors.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from common import cli
from common.media import frame_kinds, frame_rate, own_video, scene_cuts
from common.media.frame_kinds import Kind
from common.media.frame_rate import Timing
from common.media.segments import Job
from common.media.video_reader import FolderReader, VideoReader

REACH = 8  # frames before and after one that its result may depend on
Rate = Fraction | float | str  # frames a second, such as 60, 59.94 or "60000/1001"


def rate_of(fps: Rate | None) -> Fraction | None:
    """A frame rate as the flag --fps reads it.

    Raises:
        ValueError: it is none.
    """
    try:
        return None if fps is None else Fraction(str(fps))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"fps {fps}: expected a positive number, such as 60 or '60000/1001'") from None


def run_on_clip(
    model: Any, input: os.PathLike | str, output: os.PathLike | str | None, *, fps: Rate | None, resume: bool, **flags
) -> None:
    """Let a model make a clip of a clip, as the command line does with these flags.

    Args:
        model: has `build_parser` and `run`.
        input: a video file, a folder of frames, or a pattern of frames.
        output: video file or folder to write; None: only what `flags` tell.
        fps: frame rate of the result, or of a video made of images.
        resume: go on with what an earlier call has begun; what is whole stays.
        flags: others of the command line.

    Raises:
        ValueError: `fps` is no rate, or what `run` raises.
    """
    options = cli.flags(
        type(model).build_parser, input=[str(input)], output=None if output is None else str(output),
        fps=rate_of(fps), resume="auto" if resume else None, **flags,
    )  # fmt: skip
    own_video.each_input(model.run, options)


def check_settings(amp: str, tile: int) -> None:
    """Refuse settings of a model that cannot be.

    Raises:
        ValueError: one of them.
    """
    if amp not in cli.AMP:
        raise ValueError(f"amp {amp}: expected one of {', '.join(cli.AMP)}")
    if tile < 0:
        raise ValueError(f"tile {tile}: expected a side in pixels, or 0 for no tiles")


class BetweenFrames:
    """Makes the frames between two.

    Attributes:
        device: of the tensors that `predict` takes.
        build_parser: of the paper, whose flags are those of `clip`.
        deep: whether frames of more than 8 bits keep them.
    """

    device: torch.device
    deep: bool = True
    build_parser: Callable[[], cli.Parser]

    def __call__(self, first: Kind, second: Kind, t: float | Fraction = 0.5) -> Kind:
        """The frame at time t between two.

        Args:
            first: the frame at time 0: H x W x 3 uint8 RGB, an array or a PIL image, or a tensor (B, 3, H, W) or
                (3, H, W) in [0, 1]. Any size.
            second: the frame at time 1, of the same kind and size.
            t: in (0, 1); weights that know only the middle take 1/2, 1/4, 3/4 and so on: middles of middles.

        Returns:
            The frame, of the same kind and size; tensors without a gradient. Pairs of a batch are computed one after
            the other: for training, and for batches that fill a GPU, call `network`.

        Raises:
            ValueError: another kind, shape or range, or a time that these weights cannot make.
        """
        return frame_kinds.between(self.predict, first, second, t, self.device)

    def clip(
        self, input: os.PathLike | str, output: os.PathLike | str, *, multi: int | None = None,
        fps: Rate | None = None, slow: bool = False, scene: float = scene_cuts.THRESHOLD, overwrite: bool = False,
        resume: bool = False,
    ) -> None:  # fmt: skip
        """Put frames into a clip, as `run.py --input` does.

        Args:
            input: a video file, a folder of frames, or a pattern of frames.
            output: video file or folder to write.
            multi: frames for one; 2 if `fps` is not given either.
            fps: frame rate of the result.
            slow: keep the frame rate, last longer.
            scene: how unlike two frames are that are a cut, above 0, up to 1 (no cuts).
            overwrite: replace an output that is there.
            resume: go on with a clip that was stopped; one that is whole stays as it is.

        Raises:
            ValueError: the input is no clip or one frame, the output is there, or flags do not fit.
        """
        multi = 2 if multi is None and fps is None else multi
        flags: dict[str, Any] = {"multi": multi, "slow": slow, "scene": scene, "overwrite": overwrite}
        run_on_clip(self, input, output, fps=fps, resume=resume, **flags)

    def run(self, options) -> None:
        """Put frames into --input and write --output, by the options of a command line."""
        frame_rate.check_arguments(options)
        reader, timing = frame_rate.open_retimed(options, self.deep)
        self.check_times(timing, reader)
        job = Job(options, reader, getattr(self, "network", None))
        frame_rate.write_retimed(reader, timing, self.predict, options, self.device, job)

    def check_times(self, timing: Timing, reader: VideoReader | FolderReader) -> None:
        """Refuse times of a clip that the network cannot make.

        Raises:
            UsageError: one of them.
        """

    def predict(self, first: Tensor, second: Tensor, times: list[Fraction]) -> Iterable[Tensor]:
        """The frames, (1, 3, H, W) in [0, 1], at `times` in (0, 1), ascending, between two of that kind."""
        raise NotImplementedError


class FrameByFrame:
    """Makes one of every frame of a clip.

    Attributes:
        device: of the tensors that `stream` takes.
        build_parser: of the paper, whose flags are those of `clip`.
        deep: whether frames of more than 8 bits keep them.
    """

    device: torch.device
    deep: bool = True
    build_parser: Callable[[], cli.Parser]

    @overload
    def __call__(self, frames: Sequence[Kind]) -> list[Kind]: ...
    @overload
    def __call__(self, frames: np.ndarray) -> np.ndarray: ...
    @overload
    def __call__(self, frames: Tensor) -> Tensor: ...
    @overload
    def __call__(self, frames: Iterable[Kind]) -> Iterable[Kind]: ...
    def __call__(self, frames: Any) -> Any:
        """The result of every frame of a clip.

        Args:
            frames: of the clip, one or more of one size: a list of H x W x 3 uint8 RGB (arrays or PIL images) or of
                tensors (3, H, W) or (B, 3, H, W) in [0, 1], of B clips; or an array (T, H, W, 3), or a tensor
                (T, 3, H, W); or an iterator of frames, of which as few are read ahead as the network needs.

        Returns:
            The results, of the same kind, as the frames came: in a list, an array, a tensor, or one by one. Tensors
            have no gradient: for training call `network`.

        Raises:
            ValueError: another kind, shape or range, or a clip too short for the padding that was asked for.
        """
        return frame_kinds.gathered(frame_kinds.mapped(self.stream, frames, self.device), frames)

    def clip(
        self, input: os.PathLike | str, output: os.PathLike | str, *, fps: Rate | None = None, overwrite: bool = False,
        resume: bool = False,
    ) -> None:  # fmt: skip
        """Make a clip of a clip, as `run.py --input` does.

        Args:
            input: a video file, a folder of frames, or a pattern of frames.
            output: video file or folder to write.
            fps: frame rate of a video made of images.
            overwrite: replace an output that is there.
            resume: go on with a clip that was stopped; one that is whole stays as it is.

        Raises:
            ValueError: the input is no clip, the output is there, or flags do not fit.
        """
        run_on_clip(self, input, output, fps=fps, resume=resume, overwrite=overwrite)

    def run(self, options) -> None:
        """Make --output of --input, by the options of a command line."""
        reader = own_video.open_input(options, self.deep)
        self.check_clip(reader, options)
        job = Job(options, reader, getattr(self, "network", None), reader.names)
        stream, first = self.going_on(job, reader)
        own_video.write_output(frame_kinds.timed(stream, reader, self.device, first), reader, options, job)

    def going_on(
        self, job: Job, reader: VideoReader | FolderReader
    ) -> tuple[Callable[[Iterable[Tensor]], Iterator[Tensor]], int]:
        """What makes of the frames that are left, and of some before them, what `stream` makes of all.

        Returns:
            In place of `stream`: it is given the frames of the clip from a number on, which is the second.
        """
        return self.stream, max(0, job.done - REACH)

    def check_clip(self, reader: VideoReader | FolderReader, options) -> None:
        """Refuse, before anything is written, a clip or options that do not fit.

        Raises:
            UsageError: one of them.
        """
        own_video.check_rate(options, reader)

    def stream(self, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        """The results, (B, 3, h, w) nominally in [0, 1], of frames (B, 3, H, W) in [0, 1], one for each, in order."""
        raise NotImplementedError
