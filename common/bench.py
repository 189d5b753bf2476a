"""What the networks cost here: time against their convolutions alone, share of the machine's speed, memory.

    python -m common.bench [--paper pvdnet] [--size 256x256] [--threads 1] [--device auto] [--quick]

A paper takes part by a file `bench.py` with `networks(height, width) -> {name: (build, shapes)}`: a function that
makes the network, and the shapes of the float32 tensors in [0, 1] that one call gets. Weights are random.

A row is a network in one mode, memory layout and number type, measured in a process of its own:

  seconds       one call (batch 1, so a frame): forward, or for training also the mean square's backward; no optimiser
  conv_seconds  the convolution calls of that call alone, recorded and replayed: same shapes, layouts, types, backward
                ones too. `ratio` is seconds / conv_seconds: all that the network spends besides.
  matmul_share  rate of the whole call over the rate of a 1024x1024 (on CUDA 8192x8192) float32 matrix product
  peak_mib      memory in the first call beyond what the process with the weights had before

The three are timed in turn, again and again, and each gives its fastest time: on a shared machine the quiet moments
count. `spread` is median / fastest of the whole calls.
"""

import argparse
import csv
import gc
import importlib
import itertools
import json
import math
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from common.cost import counted_macs, parameters

ROOT = Path(__file__).parent.parent
LAYOUTS = {"default": None, "NCHW": torch.contiguous_format, "channels_last": torch.channels_last}
TYPES = {"float32": None, "bf16": torch.bfloat16}
MODES = ("inference", "training")
BUSY = 1.15  # a larger spread is reported
_KEY = ("paper", "network", "mode", "layout", "dtype", "device", "threads", "size")  # what a row is the only one of


class ConvolutionCalls(TorchDispatchMode):
    """Records every convolution inside, forward and backward; calling it runs them again and nothing else."""

    def __init__(self):
        super().__init__()
        self.calls = []
        self._samples = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in (torch.ops.aten.convolution.default, torch.ops.aten.convolution_backward.default):
            self.calls.append((function, tree_map_only(Tensor, self._sample, args)))
        return function(*args, **(kwargs or {}))

    def _sample(self, tensor: Tensor) -> Tensor:
        """A tensor of that shape, layout and type; one for all that agree in them, so that memory stays small."""
        key = (tensor.shape, tensor.stride(), tensor.dtype)
        if key not in self._samples:
            self._samples[key] = tensor.detach().clone()
        return self._samples[key]

    def __call__(self) -> None:
        for function, args in self.calls:
            function(*args)


def make_step(network: nn.Module, inputs: list[Tensor], mode: str, dtype: torch.dtype | None) -> Callable[[], None]:
    """One call of the network: `inference`, or `training` with the backward pass of a mean square.

    Args:
        network: any module whose outputs are tensors, in whatever nesting.
        inputs: its arguments.
        mode: one of `MODES`.
        dtype: for autocast, or None for float32.
    """

    def step() -> None:
        with torch.set_grad_enabled(mode == "training"):
            with torch.autocast(inputs[0].device.type, dtype, enabled=dtype is not None):
                outputs = tree_flatten(network(*inputs))[0]
            if mode == "training":
                network.zero_grad(set_to_none=True)
                sum(output.float().square().mean() for output in outputs if output.requires_grad).backward()

    return step


def _timed(function: Callable[[], None], device: torch.device) -> float:
    """Seconds that one call takes."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    function()
    wait()
    return time.perf_counter() - start


def _memory(device: torch.device, peak: bool) -> float:
    """MiB that the process has now, or had at most. On the CPU known on Linux only, else NaN."""
    if device.type == "cuda":
        return (torch.cuda.max_memory_allocated if peak else torch.cuda.memory_allocated)(device) / 2**20
    try:
        # Not `getrusage`, whose maximum a process inherits from its parent.
        status = Path("/proc/self/status").read_text()
    except OSError:
        return float("nan")
    return int(re.search(rf"{'VmHWM' if peak else 'VmRSS'}:\s*(\d+) kB", status)[1]) / 1024


def measure(
    build: Callable[[], nn.Module],
    shapes: list[tuple[int, ...]],
    *,
    mode: str,
    layout: str,
    dtype: str,
    device: torch.device,
    repeats: int,
    seed: int = 0,
) -> dict[str, float]:
    """Measure one row in this process.

    Args:
        build: makes the network.
        shapes: of the tensors that one call gets.
        mode: one of `MODES`.
        layout: memory layout, one of `LAYOUTS`. A module that chooses one itself, which it tells by an attribute
            `memory_format`, is made to take this; otherwise activations follow weights and inputs.
        dtype: one of `TYPES`.
        device: where.
        repeats: rounds of whole call, convolutions alone, matrix product.
        seed: of weights and inputs.

    Returns:
        The measured columns, as the module's docstring explains them; `gmac` in 1e9 multiply-accumulates as
        `common.cost` counts them, `conv_calls` how many convolution calls there are, `matmul_gmac_s` the rate
        of the matrix product. `peak_mib` means something only in a fresh process.
    """
    torch.manual_seed(seed)
    network = build().to(device).train(mode == "training")
    inputs = [torch.rand(shape, device=device) for shape in shapes]
    if LAYOUTS[layout]:
        network.to(memory_format=LAYOUTS[layout])
        inputs = [x.contiguous(memory_format=LAYOUTS[layout]) if x.dim() == 4 else x for x in inputs]
        for module in network.modules():
            if hasattr(module, "memory_format"):
                module.memory_format = LAYOUTS[layout]
    step = make_step(network, inputs, mode, TYPES[dtype])

    gc.collect()
    before = _memory(device, peak=False)
    step()
    peak = _memory(device, peak=True) - before
    with FlopCounterMode(display=False) as counter, ConvolutionCalls() as convolutions:
        step()
    side = 8192 if device.type == "cuda" else 1024
    factors = torch.rand(2, side, side, device=device)

    times = {"whole": [], "convolutions": [], "matmul": []}
    for round_number in range(repeats + 1):
        now = {"whole": _timed(step, device)}
        with torch.no_grad():
            now["convolutions"] = _timed(convolutions, device)
            now["matmul"] = _timed(lambda: torch.mm(*factors), device)
        if round_number:  # the first warms up
            for name, seconds in now.items():
                times[name].append(seconds)
    best = {name: min(seconds) for name, seconds in times.items()}
    gmac, rate = counted_macs(counter) / 1e9, side**3 / 1e9 / best["matmul"]
    return {
        "parameters": parameters(network),
        "gmac": gmac,
        "seconds": best["whole"],
        "conv_seconds": best["convolutions"],
        "ratio": best["whole"] / best["convolutions"] if convolutions.calls else math.nan,
        "conv_calls": len(convolutions.calls),
        "matmul_share": gmac / best["whole"] / rate,
        "matmul_gmac_s": rate,
        "peak_mib": peak,
        "spread": statistics.median(times["whole"]) / best["whole"],
    }


# Rows: every one in its own process


def _networks(paper: str, size: str) -> dict:
    width, height = map(int, size.split("x"))
    return importlib.import_module(f"{paper}.bench").networks(height, width)


def _in_own_process(row: dict, args: argparse.Namespace) -> dict[str, float]:
    """`measure` in a fresh interpreter; its last line of output is the result."""
    command = [sys.executable, "-m", "common.bench", "--row", json.dumps(row), *_flags(args)]
    environment = os.environ | {"OMP_NUM_THREADS": str(args.threads)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(
            f"{' '.join(row.values())}: {(done.stderr.strip() or f'exit code {done.returncode}').splitlines()[-1]}"
        )
    return json.loads(done.stdout.splitlines()[-1])


def _flags(args: argparse.Namespace) -> list[str]:
    return [f"--{name}={getattr(args, name)}" for name in ("size", "threads", "device", "repeats", "seed")]


def _measure_row(row: dict, args: argparse.Namespace) -> dict[str, float]:
    torch.set_num_threads(args.threads)
    build, shapes = _networks(row["paper"], args.size)[row["network"]]
    how = {name: row[name] for name in ("mode", "layout", "dtype")}
    return measure(build, shapes, **how, device=torch.device(args.device), repeats=args.repeats, seed=args.seed)


COLUMNS = (  # heading, width, what of a row
    ("network", 20, lambda r: r["network"]),
    ("mode", 9, lambda r: r["mode"]),
    ("layout", 13, lambda r: r["layout"]),
    ("type", 7, lambda r: r["dtype"]),
    ("Mparam", 7, lambda r: f"{r['parameters'] / 1e6:.2f}"),
    ("GMAC", 7, lambda r: f"{r['gmac']:.1f}"),
    ("seconds", 8, lambda r: f"{r['seconds']:.4f}"),
    ("/convs", 6, lambda r: f"{r['ratio']:.3f}"),
    ("/matmul", 7, lambda r: f"{r['matmul_share']:.2f}"),
    ("peak MiB", 8, lambda r: f"{r['peak_mib']:.0f}"),
)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; what depends on the machine is filled in."""
    parser = argparse.ArgumentParser(
        prog="python -m common.bench",
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--paper", nargs="+", help="folders of the papers; all that have a bench.py if not given")
    parser.add_argument("--network", nargs="+", help="only these rows, by name")
    parser.add_argument("--size", default="256x256", help="WIDTHxHEIGHT of the frames")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--device", default="auto", help="cpu, cuda, or auto: cuda where there is one")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=["NCHW", "channels_last"])
    parser.add_argument("--types", nargs="+", choices=TYPES, help="both, but no bf16 on a CPU without it, if not given")
    parser.add_argument("--repeats", type=int, default=5, help="of which the fastest counts")
    parser.add_argument("--seed", type=int, default=0, help="of weights and inputs")
    parser.add_argument("--quick", action="store_true", help="64x64, one repeat: shows that it runs, measures nothing")
    parser.add_argument("--output", type=Path, help="folder of the csv: results/bench, with --quick none, if not given")
    parser.add_argument("--row", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if not re.fullmatch(r"\d+x\d+", args.size):
        parser.error(f"--size {args.size}: expected WIDTHxHEIGHT, such as 256x256")
    if args.device == "auto":
        args.device = "cuda" if torch.cuda.is_available() else "cpu"
    if not args.types:
        # Emulated bfloat16 is a hundred times slower than float32.
        has_bf16 = args.device != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
        args.types = list(TYPES) if has_bf16 else ["float32"]
    if not args.paper:
        args.paper = sorted(path.parent.name for path in ROOT.glob("*/bench.py") if path.parent != ROOT / "common")
    if args.quick:
        args.size, args.repeats = "64x64", 1
    elif not args.output:
        args.output = ROOT / "results" / "bench"
    return args


def main(arguments: list[str] | None = None) -> None:
    """Measure row by row, print a table, write the csv."""
    args = parse(arguments)
    if args.row:
        print(json.dumps(_measure_row(args.row, args)))
        return
    cuda = args.device != "cpu"
    device = torch.cuda.get_device_name(args.device) if cuda else f"cpu {_processor()}"
    about = {
        "device": device,
        "threads": args.threads,
        "size": args.size,
        "seed": args.seed,
        "repeats": args.repeats,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "command": shlex.join(["python", "-m", "common.bench", *(sys.argv[1:] if arguments is None else arguments)]),
    }
    print(f"{device}, {args.threads} threads, {args.size}, torch {torch.__version__}\n")
    print("  ".join(f"{heading:>{width}}" for heading, width, _ in COLUMNS))
    names = [(paper, name) for paper in args.paper for name in _networks(paper, args.size)]
    names = [(paper, name) for paper, name in names if not args.network or name in args.network]
    path, spread = None, 1.0
    if args.output:
        name = re.sub(r"\W+", "-", device).lower() if cuda else "cpu"
        path = args.output / f"{name}-torch{torch.__version__}.csv"
    for (paper, network), mode, dtype, layout in itertools.product(names, args.modes, args.types, args.layouts):
        row = {"paper": paper, "network": network, "mode": mode, "layout": layout, "dtype": dtype}
        row |= _in_own_process(row, args)
        print("  ".join(f"{show(row):>{width}}" for _, width, show in COLUMNS), flush=True)
        spread = max(spread, row["spread"])
        if path:  # at once, so that an interrupted run keeps what it measured
            write(path, row | about)
    if spread > BUSY:
        print(f"\nwarning: the median is up to {spread:.2f} of the fastest time; is the machine busy?")
    if path:
        print(f"\nwritten: {path}")


def write(path: Path, row: dict) -> None:
    """Write a row into a csv file; rows of other papers, networks, settings or machines stay."""
    row = {key: f"{value:.6g}" if isinstance(value, float) else str(value) for key, value in row.items()}
    rows = []
    if path.is_file():
        with path.open(newline="") as file:
            rows = [old for old in csv.DictReader(file) if any(old.get(key) != row.get(key) for key in _KEY)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, row, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(sorted([*rows, row], key=lambda row: row["paper"]))


def _processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        return re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())[1]
    except (OSError, TypeError):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
