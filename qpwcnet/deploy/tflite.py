"""TensorFlow Lite files: written by litert-torch, made int8 by ai-edge-quantizer, run by ai-edge-litert.

Convolutions, depthwise and transposed ones included, become int8 (weights with a scale per channel, 8-bit activations
whose ranges the calibration pairs tell). What gives a flow or a picture stays float, and so does all that reads pixels
by a flow: a step of int8 is 1/256 of the range, and a coordinate that is rounded to it is off by most of a pixel.
"""

import contextlib
import importlib
import logging
import os
import re
import shutil
import sys
import warnings
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

PACKAGES = ("litert_torch", "ai_edge_quantizer", "ai_edge_litert")
CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D_TRANSPOSE")  # as the quantiser names them
MOVES = ("TRANSPOSE", "PAD", "RESHAPE")  # compute nothing
HEAD_CHANNELS = (2, 3)  # of a flow and of a picture; convolutions with as many results stay float
INPUTS = ("args_0", "args_1")  # as litert-torch names prv and nxt
SIGNATURE = "serving_default"  # its name for what a file computes
TOLERANCE = 1e-3  # share of the largest value that a float file may differ by; rounding alone makes 1e-5
INT8_TOLERANCE = 0.25  # share of the mean size of the values that an int8 file may differ by on average
TASKS = {2: "flow", 3: "interp"}  # by the number of channels that a file gives

Inputs = tuple[Tensor, ...]


def check_packages() -> None:
    """Called before the work, so that none is in vain.

    Raises:
        ValueError: a package of the extra is missing.
    """
    with _quiet():
        for package in PACKAGES:
            _imported(package)


def write(
    graph: nn.Module, path: Path, example: Inputs, calibration: Iterable[Inputs] | None = None, *,
    float_file: Path | None = None,
) -> dict:  # fmt: skip
    """Write the graph as a .tflite file, which is run and compared with the graph before it gets its name.

    Args:
        graph: on the CPU, set to eval: takes prv and nxt, gives one tensor.
        path: the file, which must not exist.
        example: prv and nxt (1, 3, H, W), RGB in [0, 1]; the file takes this size only.
        calibration: such pairs, to make the convolutions int8; None: all stays float.
        float_file: what this function wrote of the same graph without calibration; spares converting it again, which
            takes most of the time.

    Returns:
        `size` and `float_size`, bytes of the file and of the one with all in float; `difference`, the mean one to the
        graph; `magnitude`, the mean absolute value that the graph gives; `int8` and `float`, how many operators of
        each name give int8 and float; `versions` of the packages.

    Raises:
        ValueError: a package is missing, the file exists, no calibration pairs are given, or what the file gives is
            not what the graph does; nothing is written then.
    """
    check_packages()
    path = Path(path)
    if path.exists():
        raise ValueError(f"{path} exists: give another output")
    pairs = None if calibration is None else list(calibration)
    if pairs == []:
        raise ValueError(f"cannot make {path} int8: expected at least one pair of frames to calibrate with")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.tflite")
    try:
        if float_file:
            shutil.copyfile(float_file, part)
        else:
            _convert(graph, part, example)
        float_size = part.stat().st_size
        if pairs:
            part.write_bytes(_quantised(part, pairs))
        difference, magnitude = _compare(graph, path, part, pairs or [example], exact=not pairs)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    counts = operators(path)
    return {
        "size": path.stat().st_size,
        "float_size": float_size,
        "difference": difference,
        "magnitude": magnitude,
        "int8": counts["INT8"],
        "float": counts["FLOAT32"],
        "versions": {package: version(package) for package in PACKAGES},
    }


class Runner:
    """A .tflite file, run by its own runtime.

    Attributes:
        size: (H, W) of the frames.
        task: "flow" or "interp".
    """

    def __init__(self, path: str | os.PathLike, threads: int = 1):
        interpreter = _imported("ai_edge_litert.interpreter")
        try:
            with _quiet():
                self._interpreter = interpreter.Interpreter(model_path=str(path), num_threads=threads)
                self._interpreter.allocate_tensors()
                self._run = self._interpreter.get_signature_runner(SIGNATURE)
            shapes = [self._run.get_input_details()[name]["shape"] for name in INPUTS]
            ((self._output, details),) = self._run.get_output_details().items()
            self.task = TASKS[int(details["shape"][1])]
        except (ValueError, RuntimeError, KeyError):
            raise ValueError(f"cannot run {path}: expected a .tflite file that --export tflite wrote") from None
        self.path, self.size = Path(path), tuple(int(side) for side in shapes[0][2:])

    def __call__(self, prv: Tensor, nxt: Tensor) -> Tensor:
        """What the file gives for two frames.

        Args:
            prv: (1, 3, H, W) RGB in [0, 1], H and W those of `size`.
            nxt: the same.

        Returns:
            (1, 2, H, W), the flow in pixels, or (1, 3, H, W), the frame between them.

        Raises:
            ValueError: frames of another shape.
        """
        expected = (1, 3, *self.size)
        for frame in (prv, nxt):
            if tuple(frame.shape) != expected:
                raise ValueError(f"{self.path} takes two frames {expected}, not {tuple(frame.shape)}: resize them")
        frames = (frame.detach().cpu().float().contiguous().numpy() for frame in (prv, nxt))
        return torch.from_numpy(self._run(**dict(zip(INPUTS, frames, strict=True)))[self._output])


def open_tflite(path: str | os.PathLike, threads: int = 1) -> Runner:
    """The file, ready to run on `threads` threads.

    Raises:
        ValueError: the package is missing, or it is no such file.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path} does not exist: expected a .tflite file that --export tflite wrote")
    return Runner(path, threads)


def operators(path: Path) -> dict[str, Counter]:
    """How many operators of each name give values of each type, "INT8", "FLOAT32", ..."""
    schema = _imported("ai_edge_litert.schema_py_generated")
    codes, types = _names(schema.BuiltinOperator), _names(schema.TensorType)
    model = schema.ModelT.InitFromPackedBuf(Path(path).read_bytes(), 0)
    found = {name: Counter() for name in types.values()}
    for operator, (result, *_) in _operators(model):
        found[types[result.type]][codes[model.operatorCodes[operator.opcodeIndex].builtinCode]] += 1
    return found


class _Gather(TorchFunctionMode):
    """Bilinear reading of pixels as four gathers of all channels.

    The converter's own takes every value by an index of its own, and keeps a table of them for each level: 8 MB at
    512x256, more than twice the int8 weights.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return (_sample if func is F.grid_sample else func)(*args, **(kwargs or {}))


class _Gathered(nn.Module):
    """The graph, without `grid_sample`."""

    def __init__(self, graph: nn.Module):
        super().__init__()
        self.whole = graph

    def forward(self, prv: Tensor, nxt: Tensor) -> Tensor:
        with _Gather():
            return self.whole(prv, nxt)


def _sample(image: Tensor, grid: Tensor, mode: str, padding_mode: str, align_corners: bool) -> Tensor:
    """`grid_sample`: (B, C, H, W), (B, h, w, 2) in [-1, 1] -> (B, C, h, w)."""
    if mode != "bilinear" or not align_corners:
        raise ValueError(f"no TFLite file with grid_sample of mode {mode} and align_corners {align_corners}")
    if padding_mode == "zeros":  # a black border, to which everything beyond it is moved
        image = F.pad(image, (1, 1, 1, 1))
    batch, channels, height, width = image.shape
    rim = int(padding_mode == "zeros")
    x = _inside((grid[..., 0] + 1) * ((width - 2 * rim - 1) / 2) + rim, width)  # B h w
    y = _inside((grid[..., 1] + 1) * ((height - 2 * rim - 1) / 2) + rim, height)
    left, top = x.floor().clamp(max=width - 2), y.floor().clamp(max=height - 2)
    first = torch.arange(batch).view(-1, 1, 1) * (height * width)
    corner = ((top * width + left).to(torch.int32) + first.to(torch.int32)).flatten()  # exact below 2^24 pixels
    pixels = image.permute(0, 2, 3, 1).reshape(-1, channels)
    right, below = (x - left).reshape(-1, 1), (y - top).reshape(-1, 1)  # shares of the other pixels
    upper = F.embedding(corner, pixels) * (1 - right) + F.embedding(corner + 1, pixels) * right  # B*h*w C
    corner = corner + width
    lower = F.embedding(corner, pixels) * (1 - right) + F.embedding(corner + 1, pixels) * right
    found = upper * (1 - below) + lower * below
    return found.view(batch, *grid.shape[1:3], channels).permute(0, 3, 1, 2)


def _inside(position: Tensor, size: int) -> Tensor:
    return position.clamp(0, size - 1)


def _convert(graph: nn.Module, path: Path, example: Inputs) -> None:
    litert_torch = _imported("litert_torch")
    with _quiet():
        litert_torch.convert(_Gathered(graph).eval(), example).export(str(path))


def _quantised(path: Path, pairs: list[Inputs]) -> bytes:
    """The file at `path` with int8 convolutions."""
    quantizer, names = _imported("ai_edge_quantizer.quantizer"), _imported("ai_edge_quantizer.qtyping").TFLOperationName
    with _quiet():
        work = quantizer.Quantizer(str(path))
        for operation in CONVOLUTIONS:
            work.add_static_config(".*", names(operation), activation_num_bits=8, weight_num_bits=8)
        for name in _exact(path):
            work.update_quantization_recipe(f"^{re.escape(name)};?$", names.ALL_SUPPORTED, algorithm_key="no_quantize")
        samples = [{name: x.numpy() for name, x in zip(INPUTS, pair, strict=True)} for pair in pairs]
        ranges = work.calibrate({SIGNATURE: samples}, num_threads=torch.get_num_threads())
        return bytes(work.quantize(ranges, enable_progress_report=False).quantized_model)


def _exact(path: Path) -> list[str]:
    """Names of the results of convolutions that stay in float.

    Heads give a flow or a picture. Depthwise ones behind a concatenation read costs, features and flows, which have no
    range in common (`quantize.py`).
    """
    schema = _imported("ai_edge_litert.schema_py_generated")
    codes = _names(schema.BuiltinOperator)
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    made, found = {}, []
    for operator, results in _operators(model):
        code = codes[model.operatorCodes[operator.opcodeIndex].builtinCode]
        made |= {index: (code, operator) for index in operator.outputs}
        source = operator
        while code == "DEPTHWISE_CONV_2D" and source and made.get(source.inputs[0], ("",))[0] in MOVES:
            source = made[source.inputs[0]][1]
        mixed = code == "DEPTHWISE_CONV_2D" and made.get(source.inputs[0], ("",))[0] == "CONCATENATION"
        if mixed or ("CONV" in code and results[0].shape[-1] in HEAD_CHANNELS):
            found.append(results[0].name.decode())
    return found


def _operators(model) -> Iterable[tuple]:
    """Every operator with its results."""
    for graph in model.subgraphs:
        for operator in graph.operators:
            yield operator, [graph.tensors[index] for index in operator.outputs]


def _names(values: type) -> dict[int, str]:
    return {number: name for name, number in vars(values).items() if not name.startswith("_")}


@torch.no_grad()
def _compare(graph: nn.Module, path: Path, part: Path, pairs: list[Inputs], *, exact: bool) -> tuple[float, float]:
    """Mean absolute difference of file and graph, and mean absolute value that the graph gives."""
    runner = Runner(part, torch.get_num_threads())
    expected = torch.cat([graph(*pair) for pair in pairs])
    differences = (torch.cat([runner(*pair) for pair in pairs]) - expected).abs()
    if exact:
        found, bound = differences.max().item(), TOLERANCE * expected.abs().max().item()
    else:
        found, bound = differences.mean().item(), INT8_TOLERANCE * expected.abs().mean().item()
    if not found <= bound:  # nan too
        raise ValueError(f"{path} is not written: it would differ from the network by {found:.1e}, above {bound:.1e}")
    return differences.mean().item(), expected.abs().mean().item()


def _imported(name: str):
    """The module, or one clear line."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = (error.name or name).split(".")[0]
        raise ValueError(f"TFLite files need {missing}: pip install -e '.[tflite]'") from error


@contextlib.contextmanager
def _quiet():
    """Without the packages' progress, deprecations and hints, those of their C++ parts too; errors are raised."""
    before = logging.root.manager.disable
    with contextlib.ExitStack() as stack:
        nowhere = stack.enter_context(open(os.devnull, "w"))
        for number, stream in ((1, sys.stdout), (2, sys.stderr)):
            stream.flush()
            kept = os.dup(number)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, number)
            os.dup2(nowhere.fileno(), number)
        stack.enter_context(contextlib.redirect_stdout(nowhere))
        stack.enter_context(contextlib.redirect_stderr(nowhere))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.callback(logging.disable, before)
        logging.disable(logging.WARNING)
        yield
