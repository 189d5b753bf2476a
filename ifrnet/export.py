"""Export to ONNX: what is IFRNet's own about it."""

import dataclasses
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from common.checkpoints import onnx_export as onnx_file
from ifrnet.checkpoints import load
from ifrnet.config import Config
from ifrnet.model import IFRNet, multiple_of

IMAGES = {0: "batch", 2: "height", 3: "width"}
AXES = {"img0": IMAGES, "img1": IMAGES, "t": {0: "batch"}, "pred": IMAGES}
TIMES = (0.3, 0.8)  # that file and network are compared at
TOLERANCE = 1e-3  # of a value in [0, 1]; random weights reach 1e-5, and 3e-4 at scale 0.8 and 1920x1080


class Graph(nn.Module):
    """The network as the file holds it: tensors in, one tensor out."""

    def __init__(self, network: IFRNet, scale_factor: float):
        super().__init__()
        self.network, self.scale_factor = network, scale_factor

    def forward(self, img0: Tensor, img1: Tensor, t: Tensor) -> Tensor:
        return self.network(img0, img1, t, self.scale_factor)["pred"]


def export(options, config: Config) -> int:
    """Write the network that the `--ckpt_*` flags select to --output, an ONNX file; returns the exit code.

    The file takes `img0` and `img1` (B, 3, H, W), RGB in [0, 1], and `t` (B,), and gives `pred` (B, 3, H, W), all
    float32. H and W are any multiples of 16 / --scale and B is any number; with --export_size they are fixed, B to 1.

    Raises:
        UsageError: --export_size is no multiple of 16 / --scale.
        ValueError: the output exists or is no .onnx file; a package is missing; file and network differ.
    """
    path = onnx_file.target(options)
    multiple = multiple_of(options.scale)
    fixed = onnx_file.fixed_size(options, multiple)
    if fixed:
        example = (1, *fixed)
        compared, size = [example], options.export_size
    else:
        example = (2, 3 * multiple, 5 * multiple)
        compared = [(1, 6 * multiple, 4 * multiple), (2, 4 * multiple, 7 * multiple)]
        size = f"any size in multiples of {multiple}"

    network, _ = load(options, dataclasses.replace(config, compile=False), torch.device("cpu"))
    frames = torch.zeros(example[0], 3, *example[1:])
    onnx_file.save(
        Graph(network, options.scale).eval(),
        path,
        {"img0": frames, "img1": frames, "t": torch.full(example[:1], 0.5)},
        inputs(compared, multiple),
        axes=None if fixed else AXES,
        dynamo=options.export == "dynamo",
        tolerance=TOLERANCE,
        size=size,
        note="; t has no effect, these weights know t = 1/2 only" if network.ignores_time else "",
    )
    return 0


def inputs(shapes: Sequence[tuple[int, int, int]], step: int) -> Iterator[onnx_file.Inputs]:
    """Random inputs of (B, H, W), B at most 2, two for each shape."""
    draw = torch.Generator().manual_seed(0)
    for batch, height, width in shapes:
        img0, img1 = onnx_file.smooth_frames(draw, 2 * batch, height, width, step).chunk(2)  # B 3 H W
        for times in (TIMES, TIMES[::-1]):
            yield {"img0": img0, "img1": img1, "t": torch.tensor(times[:batch])}
