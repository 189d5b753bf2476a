"""What the report of an exported file says: sizes, error, latency, and what stays in float."""

import platform
import statistics
import time
from collections import Counter
from pathlib import Path

import torch

from qpwcnet.deploy.calibration_clips import Sample, as_floats
from qpwcnet.deploy.exported_file import Exported

RUNS = 9  # that latencies are the median of
# Why operators stay in float, by their types.
REASONS = {
    "Conv": "heads, since 256 steps are too coarse for pixels; and those that read costs beside larger values",
    "MatMul": "cost volume: products of two features, no weights",
    "GridSample": "warp: coordinates need fractions of a pixel",
    "Gather": "warp and cost volume: reads pixels, computes nothing",
    "Floor": "warp: coordinates need fractions of a pixel",
    "Clip": "warp: coordinates need fractions of a pixel",
    "BatchNormalization": "before a head",
    "Resize": "flow or picture, which is enlarged",
    "LeakyRelu": "activation: by onnxruntime's own fusion in int8 where it lies between two roundings",
    "HardSwish": "activation: onnxruntime has none for int8",
    "Softplus": "mish: no runtime has it for int8",
    "Tanh": "mish: no runtime has it for int8",
    "Exp": "mish: no runtime has it for int8",
}
LAYOUT = {"Concat", "DepthToSpace", "Flatten", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}
TFLITE_REASONS = {
    "CONV_2D": REASONS["Conv"], "BATCH_MATMUL": REASONS["MatMul"], "GATHER": REASONS["Gather"],
    "GATHER_ND": REASONS["Gather"], "DEQUANTIZE": "from int8 to what stays in float",
}  # fmt: skip
MOVED = "moves values, computes nothing"
ARITHMETIC = "arithmetic of flows, coordinates, costs and activations"


def compared(floats: Exported, rounded: Exported, held_out: list[Sample]) -> dict:
    """How two files' results differ, and for frames, how both differ from the truth.

    Raises:
        ValueError: a result is not finite.
    """
    rows = []
    for sample in held_out:
        frames = as_floats(sample)
        call = "flow" if floats.task == "flow" else "frame"
        a, b = (getattr(file, call)(frames[0], frames[-1]) for file in (floats, rounded))
        if not b.isfinite().all():
            raise ValueError(f"{rounded.path.name}: is not written, its result is not finite")
        if floats.task == "flow":
            rows.append(torch.stack(((a - b).norm(dim=1).mean(), a.norm(dim=1).mean())))
        else:
            a, b = a.clamp(0, 1), b.clamp(0, 1)
            rows.append(
                torch.stack(
                    [-10 * (x - y).square().mean().log10() for x, y in ((b, a), (b, frames[1]), (a, frames[1]))]
                )
            )
    means = torch.stack(rows).double().mean(0).tolist()
    result = {"held_out_samples": len(held_out)}
    if floats.task == "flow":
        share = 100 * means[0] / means[1] if means[1] else 0.0
        return result | {"difference_to_float32": {"epe": means[0], "mean_flow": means[1], "percent": share}}
    names = ("psnr_to_float32", "psnr_to_truth", "psnr_of_float32_to_truth")
    return result | {"difference_to_float32": dict(zip(names, means, strict=True))}


def latencies(files: dict[str, Exported]) -> dict:
    """Median milliseconds a pair of the files, timed in turn, so that all meet the same other load."""
    (size,) = {file.size for file in files.values()}
    frames = torch.rand(2, 1, 3, *size)
    taken = {name: [] for name in files}
    for number in range(RUNS + 2):
        for name, file in files.items():
            start = time.perf_counter()
            file.run(*frames)
            if number >= 2:
                taken[name].append(1e3 * (time.perf_counter() - start))
    result = {"milliseconds": {name: statistics.median(times) for name, times in taken.items()}}
    if len(files) > 1:
        result["ratio"] = result["milliseconds"]["int8"] / result["milliseconds"]["float32"]
    return result | {"threads": torch.get_num_threads(), "runs": RUNS, "machine": platform.machine()}


def sizes(floats: Path, rounded: Path) -> dict:
    """Megabytes of both files, and their ratio."""
    found = {"float32": megabytes(floats), "int8": megabytes(rounded)}
    return {"megabytes": found, "megabytes_ratio": found["int8"] / found["float32"]}


def megabytes(path: Path) -> float:
    """Size of a file."""
    return path.stat().st_size / 1e6


def left_in_float(path: Path) -> dict[str, dict]:
    """Operators of an int8 file that compute in float, by type: how many, and why."""
    import onnx

    graph = onnx.load(path).graph
    exact = {name for node in graph.node if node.op_type == "QuantizeLinear" for name in node.input[:1]}
    whole = [node.op_type == "Conv" and node.output[0] in exact for node in graph.node]
    count = Counter(
        node.op_type for node, rounded in zip(graph.node, whole, strict=True)
        if not rounded and node.op_type not in ("QuantizeLinear", "DequantizeLinear")
    )  # fmt: skip
    return {
        kind: {"count": number, "why": MOVED if kind in LAYOUT else REASONS.get(kind, ARITHMETIC)}
        for kind, number in sorted(count.items(), key=lambda item: (-item[1], item[0]))
    }


def tflite_reasons(count: dict[str, int]) -> dict[str, dict]:
    """The same of a .tflite file, from how many operators of each type give floats."""
    return {kind: {"count": number, "why": TFLITE_REASONS.get(kind, ARITHMETIC)} for kind, number in count.items()}


def readable(report: dict, path: Path) -> str:
    """The report in lines."""
    lines = [f"{path}: {report['network']}, {report['task']}, {report['size']}, {report['format']}"]
    lines.append("  MB: " + ", ".join(f"{name} {value:.2f}" for name, value in report["megabytes"].items()))
    if "megabytes_ratio" in report:
        lines[-1] += f", ratio {report['megabytes_ratio']:.3f}"
    if "latency" in report:
        latency = report["latency"]
        times = ", ".join(f"{name} {value:.1f}" for name, value in latency["milliseconds"].items())
        ratio = f", ratio {latency['ratio']:.2f}" if "ratio" in latency else ""
        lines.append(f"  ms: {times}{ratio} ({latency['threads']} threads, in turn)")
    if "difference_to_float32" in report:
        values = ", ".join(f"{name} {value:.3f}" for name, value in report["difference_to_float32"].items())
        lines.append(f"  int8 against float32, {report['held_out_samples']} held-out samples: {values}")
    if "stays_in_float" in report:
        lines.append("  stays in float:")
        lines += [f"    {row['count']:3d} {kind}: {row['why']}" for kind, row in report["stays_in_float"].items()]
    return "\n".join(lines)
