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

Mode `around` is own video, 1280x720, whose network has its result ready (`common.bench.around`): what stands around the
network, as seconds a frame and as a share of the bare decoder's and encoder's speed. These rows have their own csv.
"""

import argparse
import csv
import importlib
import itertools
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from pathlib import Path

import torch

from common.bench import around
from common.bench.measure import LAYOUTS, MODES, TYPES, measure
from common.papers import PAPERS, ROOT

AROUND = "around"
BUSY = 1.15  # a larger spread is reported
_KEY = ("paper", "network", "mode", "layout", "dtype", "device", "threads", "size")  # what a row is the only one of


def _networks(paper: str, size: str) -> dict:
    width, height = map(int, size.split("x"))
    return importlib.import_module(f"{paper}.bench").networks(height, width)


def _own_video(paper: str) -> dict:
    module = importlib.import_module(f"{paper}.bench")
    return module.own_video() if hasattr(module, "own_video") else {}


def _in_own_process(row: dict, args: argparse.Namespace) -> dict[str, float]:
    """`measure` in a fresh interpreter; its last line of output is the result.

    Raises:
        RuntimeError: it could not be measured.
    """
    command = [sys.executable, "-m", "common.bench", "--row", json.dumps(row), *_flags(args)]
    environment = os.environ | {"OMP_NUM_THREADS": str(args.threads)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1])
    return json.loads(done.stdout.splitlines()[-1])


def _flags(args: argparse.Namespace) -> list[str]:
    given = [f"--{name}={getattr(args, name)}" for name in ("size", "threads", "device", "repeats", "seed")]
    return [*given, *["--quick"] * args.quick]


def _measure_row(row: dict, args: argparse.Namespace) -> dict[str, float]:
    torch.set_num_threads(args.threads)
    if row["mode"] == AROUND:
        model, flags, scale = _own_video(row["paper"])[row["network"]]
        size = (64, 64) if args.quick else (720, 1280)
        return around.measure(model, flags, scale, size=size, repeats=args.repeats, seed=args.seed)
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
    parser.add_argument("--modes", nargs="+", choices=(*MODES, AROUND), default=(*MODES, AROUND))
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=["NCHW", "channels_last"])
    parser.add_argument(
        "--types", nargs="+", choices=TYPES, help="all; on a CPU float32, and bf16 if it can, if not given"
    )
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
        on_cpu = ["float32", *["bf16"] * torch.ops.mkldnn._is_mkldnn_bf16_supported()]
        args.types = on_cpu if args.device == "cpu" else list(TYPES)
    if not args.paper:
        args.paper = list(PAPERS)
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
    modes = [mode for mode in args.modes if mode != AROUND]
    path, spread, failed = None, 1.0, 0
    if args.output:
        name = re.sub(r"\W+", "-", device).lower() if cuda else "cpu"
        path = args.output / f"{name}-torch{torch.__version__}.csv"
    for (paper, network), mode, dtype, layout in itertools.product(names, modes, args.types, args.layouts):
        row = {"paper": paper, "network": network, "mode": mode, "layout": layout, "dtype": dtype}
        try:
            row |= (_measure_row if cuda else _in_own_process)(row, args)  # CUDA tells the memory of a row by itself
        except RuntimeError as error:  # the others are measured
            failed += 1
            print(f"failed: {' '.join(row.values())}: {str(error).splitlines()[0]}", flush=True)
            continue
        print("  ".join(f"{show(row):>{width}}" for _, width, show in COLUMNS), flush=True)
        spread = max(spread, row["spread"])
        if path:  # at once, so that an interrupted run keeps what it measured
            write(path, row | about)
    for paper in args.paper if AROUND in args.modes else ():
        for name in _own_video(paper):
            if args.network and name not in args.network:
                continue
            row = {"paper": paper, "network": name, "mode": AROUND, "layout": "", "dtype": "float32"}
            row |= _in_own_process(row, args) | about | {"size": "64x64" if args.quick else "1280x720"}
            print(f"{name} around the network: {row['ratio']:.2f} of the bare speed, {row['seconds']:.4f} s a frame")
            if path:
                write(path.with_stem(f"around-{path.stem}"), row)
    if spread > BUSY:
        print(f"\nwarning: the median is up to {spread:.2f} of the fastest time; is the machine busy?")
    if path:
        print(f"\nwritten: {path}")
    if failed:
        sys.exit(1)


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
