"""The user's own video: its flow in colours and as .flo files, or frames put between its frames; in constant memory.

N frames have N - 1 flows, from each frame to the next, with the time or the name of the first. From the last frame on
nothing is known, so a video of flows is one frame shorter than its input. Across a cut flow means nothing: it is
written as the network gives it, but has no say in the scale of the colours.
The interpolator makes the middle of two frames, so other times are middles of middles.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from typing import Any, Generic

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from common.media import frame_kinds, own_video, scene_cuts
from common.media.flow_color import flow_to_image
from common.media.flow_file import write_flow
from common.media.frame_kinds import Kind
from common.media.frame_rate import Timing, check_halves, halves
from common.media.model_on_clips import BetweenFrames, Rate, run_on_clip
from common.media.scene_cuts import is_cut
from common.media.segments import Job, is_stopped
from common.media.video_reader import FolderReader, VideoReader
from common.ops.autocast import autocast, choose
from common.ops.tile import tiled
from common.training.distributed import choose_device
from qpwcnet.checkpoints import load
from qpwcnet.config import Config, build_parser
from qpwcnet.pwcnet import MULTIPLE as PWC_MULTIPLE

TILE_OVERLAP = 128  # pixels; of motion beyond 3/8 of it a tile sees too little near its border
LEAST_LENGTH = 0.005  # of full colour, in longer sides of the frame: what hardly moves stays pale
PERCENTILE = 99  # of a frame's motion; beyond it are errors at borders and things that appear
WHEEL = 128  # pixels of the radius
GRID = 30  # arrows along the longer side


class Painter:
    """Flows as pictures in one scale of colours, without seeing the whole video first.

    The length of full colour, `longest` pixels, is that of the longest motion so far, so it grows but never shrinks:
    a scale for every frame would make still things change their colour. Longer motion has full colour, too.
    """

    def __init__(self, size: tuple[int, int], arrows: bool = False):
        self.arrows = arrows
        self.longest = max(1.0, LEAST_LENGTH * max(size))
        place = np.linspace(-1, 1, 2 * WHEEL + 1)
        # What `flow_to_image` makes of every flow; read from here it takes a tenth of the time. Clipped a hair below 1,
        # because rounding beyond it darkens.
        self.wheel = flow_to_image(np.stack(np.meshgrid(place, place), -1), scale=1.0, clip=0.9999)

    def grow(self, flow: np.ndarray) -> None:
        """Let the motion of a flow, HxWx2 in pixels, count for the scale."""
        length = np.hypot(flow[..., 0], flow[..., 1])
        longer = np.count_nonzero(length > self.longest)
        if 100 * longer >= (100 - PERCENTILE) * (length.size - 1):  # else the percentile is shorter, and takes long
            self.longest = max(self.longest, float(np.percentile(length, PERCENTILE)))

    def draw(self, flow: np.ndarray) -> np.ndarray:
        """The picture, HxWx3 uint8 RGB, of a flow, HxWx2 in pixels."""
        x, y = flow[..., 0], flow[..., 1]
        full = np.hypot(x, y)
        np.maximum(full, self.longest, out=full)
        part = [(axis / full).astype(np.float32) for axis in (x, y)]  # of full colour, at most 1
        picture = cv2.remap(self.wheel, *(np.float32(WHEEL) * (axis + 1) for axis in part), cv2.INTER_LINEAR)
        if self.arrows:
            self._draw_arrows(picture, np.stack(part, -1))
            self._draw_legend(picture)
        return picture

    def _draw_arrows(self, picture: np.ndarray, part: np.ndarray) -> None:
        """On a grid; at full colour they are as long as the grid is wide."""
        height, width = picture.shape[:2]
        step = max(8, max(height, width) // GRID)
        thin = max(1, step // 20)
        for colour, thickness in (((255, 255, 255), thin + 2), ((0, 0, 0), thin)):  # black, with a white border
            for y in range(step // 2, height, step):
                for x in range(step // 2, width, step):
                    ends = np.array((x, y)) + step * part[y, x] * np.array([[-0.5], [0.5]])  # start, tip
                    start, tip = (16 * ends).round().astype(int).tolist()  # in sixteenths of a pixel
                    if np.hypot(*part[y, x]) * step > 2:  # shorter ones have no direction that could be seen
                        cv2.arrowedLine(picture, start, tip, colour, thickness, cv2.LINE_AA, shift=4, tipLength=0.35)

    def _draw_legend(self, picture: np.ndarray) -> None:
        """The wheel in the lower right corner, and the length of full colour; not where there is no room."""
        height, width = picture.shape[:2]
        side = min(height, width) // 5
        if side < 40:
            return
        disc = cv2.circle(np.zeros((side, side), np.uint8), (side // 2, side // 2), side // 2, 1, -1)
        corner = picture[-side:, -side:]
        corner[disc > 0] = cv2.resize(self.wheel, (side, side), interpolation=cv2.INTER_AREA)[disc > 0]
        size, place = side / 120, (width - side + side // 6, height - side // 2)
        cv2.putText(picture, f"{self.longest:.0f} px", place, cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), 1, cv2.LINE_AA)


@torch.inference_mode()
def run_network(call: Callable, prv: Tensor, nxt: Tensor, *, tile: int = 0, amp: str = "off") -> Tensor:
    """What a network's `estimate` or `between` makes of two frames of any size.

    Args:
        call: the method; takes the two and gives (1, C, H, W).
        prv: (1, 3, H, W) in [0, 1], on the device of the network.
        nxt: the same.
        tile: side of the tiles, in pixels, rounded up to a multiple of 64; 0: none. A tile sees no motion that leaves
            it, so the result differs from that without tiles, and more where motion is large.
        amp: off, bf16 or fp16.

    Returns:
        (1, C, H, W) float32.
    """

    def whole(both: Tensor) -> Tensor:
        with autocast(both.device, amp):
            return call(both[:, :3], both[:, 3:]).float()

    tile = -(-tile // PWC_MULTIPLE) * PWC_MULTIPLE
    return tiled(whole, torch.cat((prv, nxt), 1), tile=tile, overlap=min(TILE_OVERLAP, tile // 2))


@dataclass(frozen=True)
class Flow(Generic[Kind]):
    """Flow from one frame to the next.

    Attributes:
        vectors: in pixels, x to the right and y down: H x W x 2 float32 where frames were arrays or PIL images,
            (B, 2, H, W) or (2, H, W) where they were tensors.
        like: the first frame, whose kind `colours` has.
    """

    vectors: np.ndarray | Tensor
    like: Kind = field(repr=False)

    @property
    def colours(self) -> Kind:
        """The flow as a picture, of the kind of the frames: colour tells the direction, the longest motion is full."""
        vectors = self.vectors
        if isinstance(vectors, Tensor):
            vectors = vectors.reshape(-1, *vectors.shape[-3:]).permute(0, 2, 3, 1).float().cpu().numpy()  # B H W 2
        pictures = np.stack([_picture(flow) for flow in np.reshape(vectors, (-1, *vectors.shape[-3:]))])
        return frame_kinds.like(torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255, self.like)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """The vectors, for NumPy."""
        return np.array(self.vectors, dtype)


def _picture(flow: np.ndarray) -> np.ndarray:
    painter = Painter(flow.shape[:2])
    painter.grow(flow)
    return painter.draw(flow)


class FlowEstimator:
    """Finds the flow between frames; `qpwcnet.load` gives one, with the weights of a name.

    Args:
        network: on the device, ready to run; or an exported file.
        tile: side of the tiles, in pixels; 0: none.
        amp: off, bf16 or fp16.
        device: where the network is.
    """

    build_parser = build_parser  # whose flags are those of `clip`

    def __init__(self, network: nn.Module, *, tile: int = 0, amp: str = "off", device: torch.device | str = "cpu"):
        self.network: Any = network
        self.tile, self.amp, self.device = tile, amp, torch.device(device)

    def __call__(self, first: Kind, second: Kind) -> Flow[Kind]:
        """The flow from one frame to the next.

        Args:
            first: H x W x 3 uint8 RGB, an array or a PIL image, or a tensor (B, 3, H, W) or (3, H, W) in [0, 1]. Any
                size.
            second: of the same kind and size.

        Returns:
            Its `vectors` are in pixels, its `colours` a picture of them.

        Raises:
            ValueError: another kind, shape or range, or a flow that is not finite.
        """
        pairs = zip(*(frames.split(1) for frames in frame_kinds.two(first, second, self.device)), strict=True)
        flow = torch.cat([self._estimate(*pair) for pair in pairs]).cpu()  # B 2 H W
        self._check(flow.numpy(), "the flow")
        if isinstance(first, Tensor):
            flow = flow.to(first.device, copy=True)
            return Flow(flow if first.ndim == 4 else flow[0], first)
        return Flow(flow[0].permute(1, 2, 0).numpy(), first)

    def clip(
        self, input: os.PathLike | str, output: os.PathLike | str | None = None, *,
        flo: os.PathLike | str | None = None, arrows: bool = False, fps: Rate | None = None,
        scene: float = scene_cuts.THRESHOLD, overwrite: bool = False, resume: bool = False,
    ) -> None:  # fmt: skip
        """Flows of a clip, in colours, as `qpwcnet/run.py --input` writes them.

        Args:
            input: a video file, a folder of frames, or a pattern of frames.
            output: video file or folder of the pictures to write.
            flo: folder for .flo files, one a flow; this, `output`, or both.
            arrows: draw arrows onto the colours.
            fps: frame rate of a video made of images.
            scene: how unlike two frames are that are a cut, in (0, 1].
            overwrite: replace an output that is there.
            resume: go on with a clip that was stopped; one that is whole stays as it is.

        Raises:
            ValueError: the input is no clip or one frame, the output is there, or flags do not fit.
        """
        if output is None and flo is None:
            raise ValueError("clip() needs an output, flo=, or both")
        given = {"flo": None if flo is None else str(flo), "arrows": arrows, "scene": scene, "overwrite": overwrite}
        run_on_clip(self, input, output, fps=fps, resume=resume, **given)

    def run(self, options) -> None:
        """Write --output, --flo or both of --input, by the options of a command line."""
        scene_cuts.check_argument(options)
        reader = own_video.open_input(options)
        own_video.check_rate(options, reader)
        own_video.forget_hdr(reader)
        if reader.at_least(2) < 2:
            raise ValueError(f"{options.input} holds one frame: expected at least two, flow goes from one to the next")
        files, painter = _flo_files(reader, options), Painter(reader.size, options.arrows)
        cuts = 0

        def flows() -> Iterator[tuple[np.ndarray, np.ndarray, Fraction | None, np.ndarray]]:
            """Two frames as they are, the time of the first, and the flow, HxWx2, whose file is written by then."""
            pairs = pairwise(_on_device(reader, self.device))
            for number, ((image, time, prv), (following, _, nxt)) in enumerate(pairs, 1):
                flow = self._estimate(prv, nxt)[0].permute(1, 2, 0).cpu().numpy()  # H W 2
                self._check(flow, f"flow {number} of {options.input}")
                if files:
                    write_flow(next(files), flow)
                yield image, following, time, flow

        def pictures() -> Iterator[own_video.Timed]:
            nonlocal cuts
            for image, following, time, flow in flows():
                if is_cut(image, following, options.scene):
                    cuts += 1
                else:
                    painter.grow(flow)
                yield painter.draw(flow), time

        total = reader.num_frames and reader.num_frames - 1
        if options.output:
            rate = reader.frame_rate or options.fps
            job = Job(options, reader, self.network, reader.names)
            number = own_video.write(pictures(), reader, options, rate=rate, total=total, names=reader.names, job=job)
        else:
            hidden = own_video.hides_bar(options)
            number = sum(1 for _ in tqdm(flows(), total=total, unit="flow", disable=hidden, file=sys.stderr))
        if files:
            own_video.tell(options, f"{number} flows -> {options.flo}")
        if options.output:
            told = f", {cuts} across cuts" if cuts else ""
            told = f"{number} flows -> {options.output}, full colour at last from {painter.longest:.1f} pixels{told}"
            own_video.tell(options, told)

    def _estimate(self, prv: Tensor, nxt: Tensor) -> Tensor:
        return run_network(self.network.estimate, prv, nxt, tile=self.tile, amp=self.amp)  # 1 2 H W

    def _check(self, flow: np.ndarray, what: str) -> None:
        if not np.isfinite(flow).all():
            remedy = "with --amp off" if choose(self.device, self.amp) != "off" else "with other weights"
            raise ValueError(f"{what} is not finite: try it {remedy}")


class FrameInterpolator(BetweenFrames):
    """Makes the frames between two; `qpwcnet.load(..., task="interp")` gives one, with the weights of a name.

    Args:
        network: on the device, ready to run; or an exported file.
        tile: side of the tiles, in pixels; 0: none.
        amp: off, bf16 or fp16.
        device: where the network is.
    """

    build_parser = build_parser  # whose flags are those of `clip`

    def __init__(
        self, network: nn.Module, *, tile: int = 0, amp: str = "off", device: torch.device | str = "cpu"
    ):  # fmt: skip
        self.network: Any = network
        self.tile, self.amp, self.device = tile, amp, torch.device(device)

    def check_times(self, timing: Timing, reader: VideoReader | FolderReader) -> None:
        """Refuse times that halving never reaches."""
        knows = "QPWCNet makes only the middle of two frames"
        check_halves(timing, reader, knows, ", or --fps 2, 4 or 8 times as high")

    def predict(self, first: Tensor, second: Tensor, times: list[Fraction]) -> Iterable[Tensor]:
        """The frames, (1, 3, H, W) in [0, 1], at `times` between two."""
        middle = partial(run_network, self.network.between, tile=self.tile, amp=self.amp)
        return halves(middle, first, second, times)


def of_task(network: nn.Module, task: str, **how) -> FlowEstimator | FrameInterpolator:
    """What does a task with a network."""
    return (FrameInterpolator if task == "interp" else FlowEstimator)(network, **how)


def infer(options, config: Config) -> int:
    """Run the network on --input and write --output, --flo or both; returns the exit code."""
    device = choose_device(options.device)
    network, _ = load(options, config, device)
    model = of_task(network, config.task, tile=options.tile or 0, amp=config.amp, device=device)
    return own_video.each_input(model.run, options)


def _flo_files(reader: VideoReader | FolderReader, options) -> Iterator[Path] | None:
    """The files of --flo, named as the frames of a folder or by their numbers; None without the flag.

    Raises:
        ValueError: they would replace a file, or each other.
    """
    if not options.flo:
        return None
    folder = Path(options.flo)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--flo {folder} is a file: expected a folder, for one .flo file a flow")
    if folder.resolve() in {file.resolve().parent for file in getattr(reader, "files", ())}:
        raise ValueError(f"--flo {folder} is the folder of the input: expected another one")
    goes_on = options.resume and options.output and is_stopped(options.output)
    if folder.is_dir() and any(folder.iterdir()) and not (options.overwrite or goes_on):
        raise ValueError(f"--flo {folder} exists and is not empty: give another folder, or --overwrite")
    stems = [Path(name).stem for name in reader.names or ()]
    if len(set(stems)) < len(stems):
        raise ValueError(f"some input frames differ in folder or extension only: expected unique names in {folder}")
    return (folder / f"{stem}.flo" for stem in stems or (f"{number:08d}" for number in count()))


def _on_device(reader, device: torch.device) -> Iterator[tuple[np.ndarray, Fraction | None, Tensor]]:
    """Each frame as it is, its time, and as the network takes it: (1, 3, H, W) in [0, 1]."""
    for image, time in reader.timed():
        yield image, time, frame_kinds.as_tensor(image, device)
