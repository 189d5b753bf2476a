"""Export to ONNX, compared with the network itself before the file gets its name."""

import dataclasses
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from common import cli
from ifrnet.checkpoints import load
from ifrnet.config import Config
from ifrnet.model import IFRNet, multiple_of, resize

OPSET = 16  # the first with GridSample, so readable by the most programs
INPUTS = ["img0", "img1", "t"]
TIMES = (0.3, 0.8)  # that file and network are compared at
TOLERANCE = 1e-3  # of a value in [0, 1]; random weights reach 1e-5, and 3e-4 at scale 0.8 and 1920x1080


class Graph(nn.Module):
    """The network as the file holds it: tensors in, one tensor out."""

    def __init__(self, network: IFRNet, scale_factor: float):
        super().__init__()
        self.network, self.scale_factor = network, scale_factor

    def forward(self, img0: Tensor, img1: Tensor, t: Tensor) -> Tensor:
        return self.network(img0, img1, t, self.scale_factor)["pred"]


@torch.no_grad()
def export(options, config: Config) -> int:
    """Write the network that the `--ckpt_*` flags select to --output, an ONNX file; returns the exit code.

    The file takes `img0` and `img1` (B, 3, H, W), RGB in [0, 1], and `t` (B,), and gives `pred` (B, 3, H, W), all
    float32. H and W are any multiples of 16 / --scale and B is any number; with --export_size they are fixed, B to 1.

    Raises:
        UsageError: --export_size is no multiple of 16 / --scale.
        ValueError: the output exists or is no .onnx file; a package is missing; file and network differ.
    """
    path = Path(options.output)
    if path.suffix != ".onnx":
        raise ValueError(f"cannot write {path}: expected a file ending in .onnx")
    if path.exists() and not options.overwrite:
        raise ValueError(f"{path} exists: give another output, or --overwrite")
    try:
        import onnx
        import onnxruntime  # noqa: F401  here, to miss it before the work
    except ImportError as error:
        raise ValueError(f"--export needs {error.name}: pip install -c constraints.txt -e '.[export]'") from error
    multiple = multiple_of(options.scale)
    if options.export_size:
        width, height = map(int, options.export_size.split("x"))
        if not width or not height or width % multiple or height % multiple:
            raise cli.UsageError(f"--export_size {options.export_size}: expected multiples of {multiple}")
        example = (1, height, width)
        compared, size = [example], options.export_size
    else:
        example = (2, 3 * multiple, 5 * multiple)
        compared = [(1, 6 * multiple, 4 * multiple), (2, 4 * multiple, 7 * multiple)]
        size = f"any size in multiples of {multiple}"

    network, _ = load(options, dataclasses.replace(config, compile=False), torch.device("cpu"))
    graph = Graph(network, options.scale).eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.onnx")
    try:
        write(graph, part, example, dynamic=not options.export_size)
        onnx.checker.check_model(part)
        difference = largest_difference(graph, part, compared)
        if not difference <= TOLERANCE:  # nan too
            raise ValueError(f"{path} is not written: it would differ from the network by {difference:.1e}")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    note = "; t has no effect, these weights know t = 1/2 only" if network.ignores_time else ""
    print(
        f"{path}: {path.stat().st_size / 1e6:.1f} MB, opset {OPSET}, {size}, "
        f"max difference to PyTorch {difference:.1e}{note}"
    )
    return 0


def write(graph: Graph, path: Path, shape: tuple[int, int, int], dynamic: bool) -> None:
    """Trace the graph on frames of (B, H, W) = `shape`, which hold for every run unless `dynamic`."""
    batch, height, width = shape
    frames = torch.zeros(batch, 3, height, width)
    images = {0: "batch", 2: "height", 3: "width"}
    with warnings.catch_warnings():
        # Of the tracer about the network's checks of sizes, whose results do not depend on the size, and of the
        # exporter about its age. The one of torch.export needs a minute and onnxscript, and fixed the batch of t.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            (frames, frames, torch.full((batch,), 0.5)),
            path,
            input_names=INPUTS,
            output_names=["pred"],
            dynamic_axes={"img0": images, "img1": images, "t": {0: "batch"}, "pred": images} if dynamic else None,
            opset_version=OPSET,
            dynamo=False,
        )


def largest_difference(graph: Graph, path: Path, shapes: Sequence[tuple[int, int, int]]) -> float:
    """Between what onnxruntime makes of the file and PyTorch of the graph, over random frames of (B, H, W)."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    multiple = multiple_of(graph.scale_factor)
    draw = torch.Generator().manual_seed(0)
    differences = []
    for batch, height, width in shapes:
        # Smooth, as pictures are: noise shows errors of a thousandth of a pixel, which rounding alone makes.
        small = torch.rand(2 * batch, 3, height // multiple, width // multiple, generator=draw)
        img0, img1 = resize(small, multiple).chunk(2)  # B 3 H W
        for times in (TIMES, TIMES[::-1]):
            inputs = (img0, img1, torch.tensor(times[:batch]))
            (found,) = session.run(None, {name: x.numpy() for name, x in zip(INPUTS, inputs, strict=True)})
            differences.append((torch.from_numpy(found) - graph(*inputs)).abs().max())
    return torch.stack(differences).max().item()
