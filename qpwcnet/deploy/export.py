"""Export to ONNX, float32 or int8, and to TFLite: one file, and beside it a report of what it costs and loses."""

import copy
import dataclasses
import json
import os
from pathlib import Path

import torch
from torch import Tensor, nn

from common import cli
from common.atomic import write_bytes
from common.checkpoints import onnx_export as onnx_file
from qpwcnet.checkpoints import load
from qpwcnet.deploy import quantize, tflite
from qpwcnet.deploy.calibration_clips import Sample, as_floats, find_clips, split
from qpwcnet.deploy.exported_file import Exported, open_exported
from qpwcnet.deploy.int8_onnx import write_int8
from qpwcnet.deploy.onnx_network import OnnxNetwork
from qpwcnet.deploy.report import compared, latencies, left_in_float, megabytes, readable, sizes, tflite_reasons
from qpwcnet.model import MULTIPLE, Interpolator
from qpwcnet.pwcnet import MULTIPLE as PWC_MULTIPLE
from qpwcnet.pwcnet import PWCNet

TOLERANCE = {"flow": 1e-3, "interp": 1e-3}  # between file and network: of the largest flow; of a value in [0, 1]
OUTPUT = {"flow": "flow", "interp": "pred"}


def export(options, config) -> int:
    """Write the network that the `--ckpt_*` flags select to --output, and a report; returns the exit code.

    The file takes frames `prv` and `nxt` (1, 3, H, W) RGB in [0, 1], of the size of --export_size or else of the
    settings' input_shape, and gives `flow` (1, 2, H, W) in pixels, or with --task interp `pred` (1, 3, H, W), float32.
    The report is <output>.json. int8 takes its ranges from the clips of --calibrate; a network that was trained with
    int8's rounding has them, and needs the clips for the report only.

    Raises:
        UsageError: the size is no multiple of 32 (PWC-Net: 64), or --calibrate is missing.
        ValueError: the output exists or has another ending; a package is missing; the weights cannot do the task; the
            clips are too few; file and network differ.
    """
    kind = options.export
    path = onnx_file.target(options, ".tflite" if kind == "tflite" else ".onnx")
    if kind == "tflite":
        tflite.check_packages()
    report_path = path.with_name(f"{path.name}.json")
    if report_path.exists() and not options.overwrite:
        raise ValueError(f"{report_path} exists: give another output, or --overwrite")
    if kind == "int8" and not options.calibrate:
        raise cli.UsageError("--export int8 needs --calibrate DIR, a folder of clips like those that it will see")
    network, source = load(options, dataclasses.replace(config, compile=False), torch.device("cpu"))
    if isinstance(network, Exported):
        raise ValueError(f"{source}: is exported already; give a checkpoint of weights")
    multiple = PWC_MULTIPLE if isinstance(network, PWCNet) else MULTIPLE
    size = onnx_file.fixed_size(options, multiple, multiple) or tuple(config.input_shape)
    if size[0] % multiple or size[1] % multiple:
        raise cli.UsageError(f"input_shape {size}: give --export_size, in multiples of {multiple}")
    samples = (
        split(find_clips(options.calibrate), 3 if config.task == "interp" else 2, size) if options.calibrate else None
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "tflite":
        report = write_tflite(network, config.task, size, path, samples)
    else:
        report = write_onnx(network, config.task, size, path, samples, int8=kind == "int8", dynamo=kind == "dynamo")
    write_bytes(report_path, (json.dumps(report, indent=4) + "\n").encode())
    print(readable(report, path))
    return 0


def write_onnx(
    network: nn.Module, task: str, size: tuple[int, int], path: Path,
    samples: tuple[list[Sample], list[Sample]] | None, *, int8: bool, dynamo: bool = False,
) -> dict:  # fmt: skip
    """Write an .onnx file, which replaces what is at `path` when it is finished and checked.

    Args:
        network: on the CPU, as for `OnnxNetwork`; with or without int8's rounding.
        task: "flow" or "interp".
        size: (H, W) of the frames.
        path: the file.
        samples: to calibrate with and held out, see `calibration_clips.split`; None: none, for float32 only.
        int8: round.
        dynamo: write it by `torch.export` in place of the tracer, for float32 only.

    Returns:
        The report.

    Raises:
        ValueError: the file differs from the network, or its result is not finite.
    """
    import onnx
    import onnxruntime

    network = copy.deepcopy(network).eval()
    trained = quantize.is_prepared(network)
    if int8 and not trained:
        quantize.prepare(network)
        quantize.calibrate(network, (ends(sample) for sample in samples[0]))
    ranges = quantize.take_ranges(network)
    facts = {"task": task, "network": name_of(network), "size": f"{size[1]}x{size[0]}"}
    floats, part = path.with_suffix(".float32.part.onnx"), path.with_suffix(".part.onnx")
    try:
        difference = write_float(network, task, size, floats, facts | {"format": "float32"}, dynamo=dynamo)
        report = facts | {"format": "int8" if int8 else "float32"}
        report["largest_difference_to_pytorch"] = difference
        if int8:
            used = {name.removeprefix(PREFIX): name for name in weights_of(floats)}
            ranges = {used[f"{name}.weight"].removesuffix(".weight"): value for name, value in ranges.items()
                      if f"{name}.weight" in used}  # fmt: skip
            write_int8(floats, part, ranges)
            label(part, facts | {"format": "int8"})
            report["ranges"] = "of the training" if trained else f"of {len(samples[0])} calibrating samples"
            files = {"float32": open_exported(floats), "int8": open_exported(part)}
            report |= compared(files["float32"], files["int8"], samples[1])
            report |= sizes(floats, part) | {"latency": latencies(files)}
            report["stays_in_float"] = left_in_float(part)
        else:
            os.replace(floats, part)
            report["megabytes"] = {"float32": megabytes(part)}
            report["latency"] = latencies({"float32": open_exported(part)})
        report["versions"] = {package.__name__: package.__version__ for package in (torch, onnx, onnxruntime)}
        os.replace(part, path)
    finally:
        floats.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
    return report


def write_tflite(
    network: nn.Module, task: str, size: tuple[int, int], path: Path, samples: tuple[list[Sample], list[Sample]] | None
) -> dict:
    """Write a .tflite file, int8 if there are samples to calibrate with; as `write_onnx` otherwise.

    Its ranges are those of the samples even where training knows others: LiteRT's quantiser takes no given ones.
    """
    network = copy.deepcopy(network).eval()
    quantize.take_ranges(network)
    graph = Reference(network, task)
    example = (torch.rand(1, 3, *size), torch.rand(1, 3, *size))
    floats, part = path.with_suffix(".float32.part.tflite"), path.with_suffix(".new.part.tflite")
    report = {"task": task, "network": name_of(network), "size": f"{size[1]}x{size[0]}"}
    try:
        for file in (floats, part):
            file.unlink(missing_ok=True)
        found = tflite.write(graph, floats, example)
        files = {"float32": open_exported(floats)}
        report |= {"format": "float32", "megabytes": {"float32": megabytes(floats)}}
        if samples:
            found = tflite.write(graph, part, example, map(ends, samples[0]), float_file=floats)
            files["int8"] = open_exported(part)
            report |= sizes(floats, part) | {"format": "int8", "ranges": f"of {len(samples[0])} calibrating samples"}
            report |= compared(files["float32"], files["int8"], samples[1])
            report["stays_in_float"] = tflite_reasons(found["float"])
        report |= {"latency": latencies(files), "versions": found["versions"]}
        os.replace(part if samples else floats, path)
    finally:
        floats.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
    return report


class Reference(nn.Module):
    """The network as PyTorch computes it: two frames in, one tensor out."""

    def __init__(self, network: nn.Module, task: str):
        super().__init__()
        self.network, self.task = network, task
        self.eval()

    def forward(self, prv: Tensor, nxt: Tensor) -> Tensor:
        return reference(self.network, self.task, prv, nxt)


PREFIX = "network."  # of the weights' names in a file


@torch.no_grad()
def write_float(
    network: nn.Module, task: str, size: tuple[int, int], path: Path, facts: dict[str, str], *, dynamo: bool = False
) -> float:
    """Write a float32 file whose constants are worked out, and compare it with the network.

    Returns:
        Their largest difference.

    Raises:
        ValueError: it is too large.
    """
    import onnxruntime

    raw = path.with_suffix(".raw.onnx")
    draw = torch.Generator().manual_seed(0)
    pairs = [onnx_file.smooth_frames(draw, 2, *size, MULTIPLE).split(1) for _ in range(2)]
    try:
        inputs = dict(zip(("prv", "nxt"), pairs[0], strict=True))
        write = onnx_file.write_newer if dynamo else onnx_file.trace
        write(OnnxNetwork(network, task), raw, inputs, None, OUTPUT[task])
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 4
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC  # for any machine
        settings.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(raw, settings, providers=["CPUExecutionProvider"])
    finally:
        raw.unlink(missing_ok=True)
    label(path, facts)
    file, largest, tolerance = open_exported(path), 0.0, TOLERANCE[task]
    for pair in pairs:
        expected, found = reference(network, task, *pair), getattr(file, "flow" if task == "flow" else "frame")(*pair)
        largest = max(largest, (found - expected).abs().max().item())
        tolerance = max(tolerance, TOLERANCE[task] * expected.abs().max().item())
    if not largest <= tolerance:  # nan too
        raise ValueError(f"{path.name} is not written: it would differ from the network by {largest:.1e}")
    return largest


def reference(network: nn.Module, task: str, prv: Tensor, nxt: Tensor) -> Tensor:
    """What the file is to give."""
    if task == "interp":
        return network(prv, nxt)["img_5"]
    return network.estimate(prv, nxt) if isinstance(network, PWCNet) else network.flow(prv, nxt)


def name_of(network: nn.Module) -> str:
    """How the settings call the network."""
    if isinstance(network, PWCNet):
        return network.variant
    return "QPWCNet interpolator" if isinstance(network, Interpolator) else "QPWCNet"


def ends(sample: Sample) -> tuple[Tensor, Tensor]:
    """First and last frame, in [0, 1]."""
    frames = as_floats(sample)
    return frames[0], frames[-1]


def weights_of(path: Path) -> list[str]:
    """Names of the weights that a file's convolutions read."""
    import onnx

    return [node.input[1] for node in onnx.load(path).graph.node if node.op_type == "Conv"]


def label(path: Path, facts: dict[str, str]) -> None:
    """Write facts into a file, where `open_exported` finds them."""
    import onnx

    model = onnx.load(path)
    onnx.helper.set_model_props(model, facts)
    onnx.save(model, path)
