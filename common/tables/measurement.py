"""One measurement for the tables: what it lacks, the commands that it takes, what comes out of them.

A paper's `tables.py` says what is the paper's own: `COMMAND`, its script; `CLIPS`, the arguments of make_synthetic.py
by set, and `PLACE`, their folder; `stands_for`, the set of a preset's clips; `baseline` and `trained`, arguments that
choose what is evaluated; `folder` and `found`, where a set is and what of it is there; `PICTURES`, files that an
evaluation writes, by what they show; `PICTURED`, the sets that are small enough to have them written; where a set is
made of the real clips, `MADE_OF_REAL`, by its name that of the layout and the arguments of make_synthetic.py.
"""

import contextlib
import hashlib
import importlib
import io
import os
import platform
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
import torch
from tqdm import tqdm

from common import papers
from common.tables import score_lines
from common.tables.outcomes import Outcomes
from common.tables.results_csv import BOX, INT8, MADE

MAKE, TRAIN = "datasets/make_synthetic.py", "--is_train"
LONG = "embedded, long"  # in the column `table`: trainings of minutes each, with more clips
CLIPS = {  # of the other embedded rows, all papers': arguments of make_synthetic.py by layout
    "DVD": "--layout DVD --clips 6 --test_clips 2 --frames 12 --size 128x96 --pace 0.5".split(),
    "vimeo_triplet": "--layout vimeo_triplet --clips 24 --test_clips 6 --size 128x96".split(),
    "vimeo_septuplet": "--layout vimeo_septuplet --clips 12 --test_clips 4 --size 128x96".split(),
    "chairs": "--layout chairs --clips 48 --test_clips 6 --size 96x64 --pace 0.4".split(),
}
PLACE = "embedded"  # their folder in the data root
PICTURED = 2  # samples of a measurement in the report
PREPARE = {  # the command that tells where a folder of the data root is from
    "test_DVD": "prepare_dvd.py", "test_nah": "prepare_nah.py", "vimeo_triplet": "prepare_vimeo90k.py",
    "vimeo_septuplet": "prepare_vimeo90k.py", "Vid4": "prepare_vid4.py", "SPMCS": "prepare_spmcs.py",
    "MPI-Sintel": "prepare_flow.py --set sintel", "KITTI": "prepare_flow.py --set kitti15",
    "FlyingChairs": "prepare_flow.py --set chairs", "ucf101_interp_ours": "prepare_interpolation.py --set ucf101",
    "SNU-FILM": "prepare_interpolation.py --set snu_film", "Middlebury": "prepare_interpolation.py --set middlebury",
    "GOPRO_Large_all": "prepare_interpolation.py --set gopro", "Adobe240": "prepare_interpolation.py --set adobe240",
}  # fmt: skip


def is_real(data: str) -> bool:
    """Whether a set is made of the real clips in the repository, `real` and what is made of them."""
    return data.split("_")[0] == "real"


def _found(paper: str, data: str, data_root: str) -> tuple[list[str], str]:
    return importlib.import_module(f"{paper}.tables").found(data, data_root)


_found_once = cache(_found)  # of the repository's own clips, which are decoded for it


class Measurement(NamedTuple):
    """What one evaluation gives: some rows of a paper's results.csv, told by these columns.

    `tier` is the table of embedded rows, and empty for all others, which may stand in several tables.
    """

    paper: str
    tier: str
    method: str
    configuration: str
    data: str
    checkpoint: str

    @property
    def title(self) -> str:
        """For lines that are read."""
        return f"{self.paper}: {self.method} on {self.data}"

    @property
    def preset(self) -> str:
        """The configuration without the settings that follow it."""
        return self.configuration.split(" ")[0]

    @property
    def settings(self) -> list[str]:
        """Arguments for what follows the preset's name, such as `IFRNet_tiny max_steps=60`."""
        return [word for value in self.configuration.split(" ")[1:] for word in ("--set", value)]


def of_row(paper: str, row: dict[str, str]) -> Measurement:
    """The measurement that gives a row's number."""
    tier = row["table"] if row["data"] == "synthetic" else ""
    return Measurement(paper, tier, *(row[key] for key in ("method", "configuration", "data", "checkpoint")))


def lacking(what: Measurement, data_root: str) -> tuple[str, set[str]]:
    """What a measurement lacks for all of its rows, with how to get it, and the clips that it can measure alone.

    The text is empty if nothing is missing.
    """
    paper = importlib.import_module(f"{what.paper}.tables")
    if not what.checkpoint:
        train = f": train them (`python {paper.COMMAND} --is_train --config {what.preset}`)" if what.preset else ""
        return f"no weights of it that this project loads were published{train}", set()
    faults, clips = [], set()
    if what.data != "synthetic" and what.data not in getattr(paper, "MADE_OF_REAL", ()):
        folder = paper.folder(what.data)
        try:
            names, part = (_found_once if is_real(what.data) else _found)(what.paper, what.data, data_root)
            clips = set(names)
        except ValueError:
            part = f"no {what.data}"
        if part:
            faults.append(f"{part} in {data_root}/{folder} (`python datasets/{PREPARE[folder]}`)")
    if what.checkpoint == INT8:
        faults += paper.export_faults()
    elif what.checkpoint == BOX:
        faults += [] if weights(what) else [f"no {what.preset} in {what.paper}/weights"]
    elif what.checkpoint not in ("none", *MADE) and not (papers.ROOT / "ckpt" / what.checkpoint).is_file():
        faults.append(f"no ckpt/{what.checkpoint} (`python -m common.checkpoints fetch {what.checkpoint}`)")
        clips = set()
    return "; ".join(faults), clips


def commands(what: Measurement, options) -> list[list[str]]:
    """The commands that it takes, a script and its arguments each: clips, training, export, the evaluation last.

    Args:
        what: to measure.
        options: of the command line.
    """
    paper = importlib.import_module(f"{what.paper}.tables")
    logs, data, data_root, made = Path(options.log_root, "tables"), what.data, Path(options.data_root), []
    if data == "synthetic":
        data = paper.stands_for(what.preset)
        layout = paper.CLIPS[data]
        place, arguments = (paper.PLACE, layout) if what.tier == LONG else (PLACE, CLIPS[layout[1]])
        data_root = logs / place
        made = [[MAKE, *arguments, "--root", str(data_root)]]
    if what.data in getattr(paper, "MADE_OF_REAL", ()):
        (data, arguments), data_root = paper.MADE_OF_REAL[what.data], logs / what.data
        made = [[MAKE, *arguments, "--root", str(data_root)]]
    log_root = logs / ("long" if what.tier == LONG else "short")
    where = ["--data_root", str(data_root), "--log_root", str(log_root), "--device", options.device]
    shown = ["-ss"] if what.data == "synthetic" or what.data in paper.PICTURED else []
    if what.checkpoint == "none":
        return [*made, [paper.COMMAND, *paper.baseline(what.preset), "--data", data, *shown, *where]]
    if what.checkpoint == BOX:
        return [*made, [paper.COMMAND, "--weights", "free", "--data", data, *shown, *where]]
    if what.checkpoint not in MADE:
        path = papers.ROOT / "ckpt" / what.checkpoint
        chosen = ["--mode", path.stem, "--config", what.preset, "--data", data, "--ckpt_abs_name", str(path)]
        return [[paper.COMMAND, *chosen, *shown, *where]]
    chosen = [*paper.trained(what.preset), *where]
    made.append([paper.COMMAND, TRAIN, *chosen, *what.settings])
    test = [paper.COMMAND, *chosen, *shown]
    if what.checkpoint == INT8:
        clips, file = data_root / "calibration", log_root / f"exported/{what.preset}.int8.onnx"
        made.append([MAKE, *paper.CALIBRATION, "--root", str(clips)])
        made.append([paper.COMMAND, *chosen, "--export", "int8", "--calibrate", str(clips), "--output", str(file)])
        made[-1].append("--overwrite")
        test += ["--ckpt_abs_name", str(file)]
    return [*made, test]


def measure(what: Measurement, options, outcomes: Outcomes) -> dict:
    """Do it.

    Args:
        what: to measure.
        options: of the command line.
        outcomes: of this machine; they tell whether a training goes on in its run folder.

    Returns:
        `values` {"protocol metric": [value, frames]}, `clips` {protocol: {clip: {metric: value, "frames": n}}}, and
        for the report `pictures`, `curves`, `command`.

    Raises:
        ValueError: it failed.
        KeyboardInterrupt: it was stopped.
    """
    paper, todo = importlib.import_module(f"{what.paper}.tables"), commands(what, options)
    lines, curves = [], ""
    for script, *words in todo:
        if TRAIN not in words:
            lines = execute(script, words)
            continue
        goes_on = outcomes.goes_on(f"{what.paper} {what.tier}: {what.configuration}", fingerprint(what))
        execute(script, [*words, *(["-r", "auto"] if goes_on else ["-dl"])])
        log_root = words[words.index("--log_root") + 1]
        curves = max(map(str, Path(log_root).rglob("metrics.jsonl")), key=os.path.getmtime, default="")
    folder, values = score_lines.result_folder(lines), score_lines.totals(lines)
    shown = dict(paper.PICTURES)
    if what.checkpoint == "none":
        shown.pop("result", None)  # it is the input
    return {
        "values": {" ".join(key): value for key, value in values.items()},
        "clips": score_lines.clip_means(folder, dict.fromkeys(protocol for protocol, _ in values)),
        "pictures": pictures(folder, shown),
        "curves": curves,
        "command": " && ".join(typed(words, options) for words in todo),
    }


def typed(words: list[str], options) -> str:
    """A command as a user would type it: clips in the data root, runs in ./logs."""
    text, logs = " ".join(["python", *words]), Path(options.log_root, "tables")
    for tier in ("long", "short"):
        text = text.replace(f" --log_root {logs / tier}", "").replace(f"{logs / tier}/", "logs/")
    text = text.replace(f"{logs}/", "datasets/").replace(f" --data_root {Path(options.data_root)}", "")
    return text.replace(f" --device {options.device}", "").replace(f"{papers.ROOT}/", "")


def execute(script: str, argv: list[str]) -> list[str]:
    """Run a command line, showing what it prints, and return its lines: a paper's in this process.

    Raises:
        ValueError: it failed.
        KeyboardInterrupt: it was stopped.
    """
    if script == MAKE:
        done = subprocess.run([sys.executable, papers.ROOT / script, *argv], capture_output=True, text=True)
        if done.returncode:
            raise ValueError(f"{script} {' '.join(argv)}: {done.stderr.strip() or 'failed'}")
        return []
    module = importlib.import_module(script.removesuffix(".py").replace("/", "."))
    shown, before = _Shown(), sys.stdin
    try:
        with contextlib.redirect_stdout(shown), open(os.devnull) as sys.stdin:  # nothing is asked
            code = module.main(argv)
    finally:
        sys.stdin = before
    if code >= 128:
        raise KeyboardInterrupt
    if code:
        raise ValueError(f"{script} {' '.join(argv)}: ended with exit code {code}")
    return shown.getvalue().splitlines()


class _Shown(io.StringIO):
    """Text that is kept and, beside the progress bar, shown; not the line of every frame."""

    def write(self, text: str) -> int:
        for line in text.splitlines():
            if line and not line.startswith("[EVAL"):
                tqdm.write(f"  {line}", file=sys.__stdout__)
        return super().write(text)


def pictures(folder: Path, patterns: dict[str, str]) -> list[dict[str, str]]:
    """For the report: label -> file of the first samples, where an evaluation wrote pictures."""
    found = {label: sorted(map(str, folder.glob(pattern)))[:PICTURED] for label, pattern in patterns.items()}
    found = {label: files for label, files in found.items() if files}
    return [
        {label: files[number] for label, files in found.items() if number < len(files)} for number in range(PICTURED)
    ]


def weights(what: Measurement) -> Path | None:
    """The file of weights, published or in the box, if it takes one and it is here."""
    path = papers.ROOT / "ckpt" / what.checkpoint
    if what.checkpoint == BOX:
        path = papers.ROOT / what.paper / f"weights/{what.preset}.safetensors"
    return path if path.is_file() else None


def fingerprint(what: Measurement) -> str:
    """Of the code that its numbers depend on, the versions, and the weights."""
    digest, published = hashlib.sha256(versions().encode()), weights(what)
    code = [path for folder in ("common", what.paper) for path in sorted((papers.ROOT / folder).rglob("*.py"))]
    for path in [*code, *sorted((papers.ROOT / "datasets").glob("*.py")), *([published] if published else [])]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def versions() -> str:
    """Of what numbers may depend on."""
    modules = {"torch": torch, "numpy": np, "opencv": cv2}
    named = [f"{name} {module.__version__}" for name, module in modules.items()]
    # PyAV's, which decodes videos and makes the frames of JPEG 2000.
    return ", ".join([f"python {platform.python_version()}", *named, f"ffmpeg {av.ffmpeg_version_info}"])


def device_name(device: str) -> str:
    """The GPU, or the processor, the instructions that PyTorch takes of it, and how many threads compute."""
    if device.startswith("cuda") or (device == "auto" and torch.cuda.is_available()):
        return torch.cuda.get_device_name(device if ":" in device else 0)
    info = Path("/proc/cpuinfo")
    name = re.search(r"model name\s*: (.*)", info.read_text()) if info.is_file() else None
    name = name[1] if name else platform.processor() or platform.machine()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"


def commit() -> str:
    """The commit, marked where code was changed since; empty where there is no git."""
    if not shutil.which("git"):
        return ""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=papers.ROOT, capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--", *(f"{folder}/*.py" for folder in ("common", *papers.PAPERS)))
    return git("rev-parse", "--short", "HEAD") + (", changed" if changed else "")
