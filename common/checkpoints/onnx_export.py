"""Export to ONNX, for every paper: written, compared with the network itself, and only then given its name.

By tracing (`--export onnx`), in seconds, or by `torch.export` (`--export dynamo`): PyTorch's newer exporter takes up to
a minute and needs onnxscript, and fewer programs read its version of ONNX.
"""

import logging
import os
import warnings
from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common import cli

OPSET = 16  # the first with GridSample, so readable by the most programs
NEWER_OPSET = 18  # of the newer exporter, which writes none below
Inputs = dict[str, Tensor]  # of the file, by name, in the order in which the graph takes them
Axes = dict[str, dict[int, str]]  # names of the dimensions that may change, by tensor and position


def target(options, suffix: str = ".onnx") -> Path:
    """The file that --output names; called before the work, so that none is in vain.

    Raises:
        ValueError: it is no `suffix` file, or exists without --overwrite, or, for .onnx, a package is missing.
    """
    path = Path(options.output)
    if path.suffix != suffix:
        raise ValueError(f"cannot write {path}: expected a file ending in {suffix}")
    if path.exists() and not options.overwrite:
        raise ValueError(f"{path} exists: give another output, or --overwrite")
    if suffix != ".onnx":
        return path
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise ValueError(f"--export needs {error.name}: pip install -c constraints.txt -e '.[export]'") from error
    if getattr(options, "export", "") == "dynamo":
        try:
            import onnxscript  # noqa: F401
        except ImportError as error:
            raise ValueError(
                f"--export dynamo needs {error.name}: pip install -c constraints.txt -e '.[export,dynamo]'"
            ) from error
    return path


def fixed_size(options, multiple: int, least: int = 1) -> tuple[int, int] | None:
    """Height and width of --export_size, pixels; None where it is not given.

    Raises:
        UsageError: they are no multiples of `multiple`, or below `least`.
    """
    if not options.export_size:
        return None
    width, height = map(int, options.export_size.split("x"))
    if min(width, height) < least or width % multiple or height % multiple:
        expected = f"multiples of {multiple}" if multiple > 1 else f"{least} or more pixels a side"
        raise cli.UsageError(f"--export_size {options.export_size}: expected {expected}")
    return height, width


def smooth_frames(draw: torch.Generator, count: int, height: int, width: int, step: int) -> Tensor:
    """Random frames (count, 3, height, width) in [0, 1] whose details are of `step` pixels.

    Pictures are smooth, too: noise shows errors of a thousandth of a pixel, which rounding alone makes.
    """
    small = torch.rand(count, 3, -(-height // step), -(-width // step), generator=draw)
    return F.interpolate(small, (height, width), mode="bilinear", align_corners=False)


@torch.no_grad()
def save(
    graph: nn.Module, path: Path, example: Inputs, compared: Iterable[Inputs], *,
    axes: Axes | None, tolerance: float, size: str, note: str = "", dynamo: bool = False,
) -> None:  # fmt: skip
    """Write the graph to `path`, where it replaces what is there, and print one line about the file.

    Args:
        graph: the network on the CPU, set to eval: takes tensors, gives one, `pred`.
        path: the file; a folder that is missing is made.
        example: what the graph is traced with.
        compared: what file and network are compared on.
        axes: names of the dimensions that may change, by tensor and position; None: all are as in the example.
        tolerance: difference from which on the file is refused.
        size: the sizes that the file takes, for the line.
        note: more for the line.
        dynamo: write it by `torch.export`.

    Raises:
        ValueError: file and network differ, or `torch.export` cannot keep the sizes free; then nothing is written.
    """
    import onnx

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.onnx")
    try:
        if dynamo:
            write_newer(graph, part, example, axes)
        else:
            trace(graph, part, example, axes)
        onnx.checker.check_model(part)
        difference = largest_difference(graph, part, compared)
        if not difference <= tolerance:  # nan too
            raise ValueError(f"{path} is not written: it would differ from the network by {difference:.1e}")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    print(
        f"{path}: {path.stat().st_size / 1e6:.1f} MB, opset {NEWER_OPSET if dynamo else OPSET}, {size}, "
        f"max difference to PyTorch {difference:.1e}{note}"
    )


def trace(graph: nn.Module, path: Path, example: Inputs, axes: Axes | None, output: str = "pred") -> None:
    """Write the graph to `path`, unchecked; see `save`."""
    with warnings.catch_warnings():
        # Of the tracer about the networks' checks of sizes, whose results do not depend on the size, and of the
        # exporter about its age.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            tuple(example.values()),
            path,
            input_names=list(example),
            output_names=[output],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )


def write_newer(graph: nn.Module, path: Path, example: Inputs, axes: Axes | None, output: str = "pred") -> None:
    """Write the graph to `path` by `torch.export`, unchecked; see `save`.

    Raises:
        ValueError: it cannot keep the sizes free.
    """
    from torch._dynamo.exc import UserError

    tensors = tuple(x.clone() for x in example.values())  # one that is given twice would become one input
    shapes = tuple(dict.fromkeys(axes[name], torch.export.Dim.DYNAMIC) for name in example) if axes else None
    logging.disable(logging.WARNING)  # that torchvision's operators are missing
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Not strict: Python runs, so a branch that a size decides is kept as it went; `save` compares other sizes.
            program = torch.export.export(graph, tensors, dynamic_shapes=shapes, strict=False)
            names = {"input_names": list(example), "output_names": [output]}
            made = torch.onnx.export(program, tensors, dynamo=True, opset_version=NEWER_OPSET, verbose=False, **names)
            made.save(path)
    except UserError as error:
        remedy = "give --export_size, or trace it with --export onnx"
        raise ValueError(f"torch.export cannot keep the sizes of this network free: {remedy}") from error
    finally:
        logging.disable(logging.NOTSET)


def largest_difference(graph: nn.Module, path: Path, compared: Iterable[Inputs]) -> float:
    """Between what onnxruntime makes of the file and PyTorch of the graph."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    differences = []
    for inputs in compared:
        (found,) = session.run(None, {name: x.numpy() for name, x in inputs.items()})
        differences.append((torch.from_numpy(found) - graph(*inputs.values())).abs().max())
    return torch.stack(differences).max().item()
