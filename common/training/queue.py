"""The training queue: trains the networks in the box, one after the other and again, until their hours are used up.

python -m common.training.queue [--only ifrnet ...] [--hours 2] [--jobs 2] [--turn 30] [--source DIR]

Each network is trained by its paper's own command, on one thread; as many of them at once as there are cores, which
sees more samples than one on all cores. They take turns: next is always the one with the least of its hours done. A
turn ends with a SIGTERM, on which a training saves where it is; the next one goes on to the same bits. So does a queue
that was killed, from the newest state of each run folder.

A finished run is followed by another of the same preset that begins with its averaged weights and a fresh optimiser;
so is a file in the box, `<paper>/weights/<name>.safetensors`, where there is no run folder. Deblocking begins with the
weights of denoising, which know motion. Runs are called `<preset>_1`, `<preset>_2` and so on. What a network has had,
over all its runs here, is in `hours.json`.
"""

import argparse
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from common import atomic, cli
from common.checkpoints.run_checkpoints import CheckpointManager
from common.file_lock import alone
from common.papers import PAPERS, ROOT
from common.stop_request import StopRequest

FOLDER = "train_free"  # in the log root: the trainings' output, and hours.json
SETS = ("free", "drawn")
MINUTE = 60  # seconds between two lines of the log
STOPPED = (128 + signal.SIGTERM, -signal.SIGTERM)  # the latter before it had begun
PR_SET_PDEATHSIG = 1  # of prctl, see linux/prctl.h
PAUSE = 1  # seconds between two looks at the trainings


@dataclass(frozen=True)
class Network:
    """One network of the box.

    Attributes:
        paper: its folder.
        preset: its name, with which those of its runs and of its file begin.
        project: parent folder of its runs.
        share: of the hours.
        start: preset whose file in the box its first run begins with, where it has none of its own.
    """

    paper: str
    preset: str
    project: str
    share: float
    start: str = ""

    @property
    def config(self) -> str:
        """What --config calls its preset: PVDNet's are files."""
        return f"config_{self.preset}" if self.paper == "pvdnet" else self.preset


NETWORKS = (
    Network("ifrnet", "IFRNet_free", "IFRNet_CVPR2022", 2),
    Network("tdan", "TDAN_free", "TDAN_CVPR2020", 2),
    Network("pvdnet", "PVDNet_free", "PVDNet_TOG2021", 1.5),
    Network("toflow", "TOFlow_denoise_free", "TOFlow_IJCV2019", 1),
    Network("toflow", "TOFlow_deblock_free", "TOFlow_IJCV2019", 1, start="TOFlow_denoise_free"),
    Network("qpwcnet", "QPWCNet_free", "QPWCNet/run", 1),
)


class Hours:
    """Seconds that each network was trained, in a file that survives, and that other queues may write, too."""

    def __init__(self, path: Path):
        self.path = path

    def read(self) -> dict[str, float]:
        """Seconds by preset."""
        return json.loads(self.path.read_text()) if self.path.is_file() else {}

    def add(self, preset: str, seconds: float) -> None:
        """Count seconds, and write them."""
        with alone(self.path.with_suffix(".lock")):
            before = self.read()
            after = before | {preset: round(before.get(preset, 0) + seconds, 1)}
            atomic.write_text(self.path, json.dumps(after, indent=1) + "\n")

    def of(self, preset: str) -> float:
        """Hours that a network has had."""
        return self.read().get(preset, 0) / 3600


def runs(network: Network, log_root: Path) -> list[int]:
    """Numbers of its runs, oldest first."""
    names = (path.name for path in (log_root / network.project).glob(f"{network.preset}_*") if path.is_dir())
    return sorted(int(name.rsplit("_", 1)[1]) for name in names if name.rsplit("_", 1)[1].isdecimal())


def is_finished(network: Network, number: int, log_root: Path) -> bool:
    """Whether a run has reached its last step."""
    return (log_root / FOLDER / f"{network.preset}_{number}.finished").is_file()


def weights_of(network: Network, number: int, log_root: Path) -> Path:
    """The best weights of a run."""
    mode = f"{network.preset}_{number}"
    folder = log_root / network.project / mode / "checkpoint/train/epoch"
    return CheckpointManager(folder, mode, 1).select(by_score=True)


def in_the_box(network: Network) -> Path:
    """Where its weights are shipped, or those that it begins with."""
    own, other = (ROOT / network.paper / "weights" / f"{name}.safetensors" for name in (network.preset, network.start))
    return other if network.start and not own.is_file() else own


def command(network: Network, log_root: Path, data_root: Path, settings: list[str]) -> tuple[list[str], str]:
    """The command of its next turn, and the name of the run.

    Args:
        network: what is trained.
        log_root: of its runs.
        data_root: of the sets.
        settings: more arguments.
    """
    number = (runs(network, log_root) or [1])[-1]
    if is_finished(network, number, log_root):
        number += 1
    start = weights_of(network, number - 1, log_root) if number > 1 else in_the_box(network)
    mode = f"{network.preset}_{number}"
    words = [sys.executable, str(ROOT / network.paper / "run.py"), "--is_train", "--mode", mode]
    words += ["--config", network.config, "--data_root", str(data_root), "--log_root", str(log_root), "-r", "auto"]
    words += ["--device", "cpu", *settings]
    if start.is_file():  # which a run that has a state of its own does not read
        words += ["--ckpt_abs_name", str(start)]
    return words, mode


def follow_parent() -> None:
    """On Linux, end when the process that started this one ends, however that ends, and be as nice in a new session.

    A training that outlives its queue would hold the run folder against the next queue. And the kernel may share out
    the cores by sessions first (autogroups, see sched(7)): then `nice` says nothing to processes of another one.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        with suppress(OSError):  # a kernel without them
            while True:
                try:
                    Path("/proc/self/autogroup").write_text(str(os.nice(0)))
                    break
                except BlockingIOError:  # but for root it takes one in a tenth of a second, of all processes
                    time.sleep(PAUSE / 10)


class Turn:
    """One network being trained by a process of its own."""

    def __init__(self, network: Network, words: list[str], mode: str, folder: Path):
        self.network, self.mode, self.began, self.counted = network, mode, time.time(), time.time()
        self.path = folder / f"{mode}.log"
        with self.path.open("a") as log:
            log.write(f"# {' '.join(words)}\n")
            log.flush()
            threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
            self.process = subprocess.Popen(
                words, stdout=log, stderr=subprocess.STDOUT, env=os.environ | threads, cwd=ROOT,
                start_new_session=True, preexec_fn=follow_parent,
            )  # fmt: skip

    def seconds(self) -> float:
        """Since they were last counted."""
        now = time.time()
        since, self.counted = now - self.counted, now
        return since

    def stop(self) -> None:
        """Ask it to save and end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def last_line(self) -> str:
        """What it told last."""
        lines = [line for line in self.path.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else ""


class Queue:
    """All trainings: who is next, who is running, who has failed."""

    def __init__(self, options):
        self.options = options
        self.networks = [n for n in NETWORKS if not options.only or {n.paper, n.preset} & set(options.only)]
        self.log_root = Path(options.log_root).resolve()
        self.folder = self.log_root / FOLDER
        self.folder.mkdir(parents=True, exist_ok=True)
        self.hours = Hours(self.folder / "hours.json")
        self.start = {network.preset: self.hours.of(network.preset) for network in self.networks}
        self.running: list[Turn] = []
        self.failed: set[str] = set()

    def say(self, text: str) -> None:
        """A line with the time before it."""
        print(time.strftime("%H:%M:%S"), text, flush=True)

    def next(self) -> Network | None:
        """The network with the least of its share done, of those that may run."""
        busy = {turn.network for turn in self.running}
        free = [n for n in self.networks if n not in busy and n.preset not in self.failed]
        return min(free, key=lambda n: self.hours.of(n.preset) / n.share, default=None)

    def fill(self) -> None:
        """Start trainings until every job has one."""
        while len(self.running) < self.options.jobs and (network := self.next()):
            words, mode = command(network, self.log_root, Path(self.options.data_root).resolve(), self.options.settings)
            self.running.append(Turn(network, words, mode, self.folder))
            self.say(f"{mode}: goes on after {self.hours.of(network.preset):.2f} hours")

    def look(self) -> None:
        """Count the time; take note of who has ended, and ask whose turn is over."""
        for turn in list(self.running):
            self.hours.add(turn.network.preset, turn.seconds())
            code = turn.process.poll()
            if code is None:
                if time.time() - turn.began > 60 * self.options.turn and len(self.networks) > self.options.jobs:
                    turn.stop()
                continue
            self.running.remove(turn)
            if code == 0:
                (self.folder / f"{turn.mode}.finished").touch()
            elif code not in STOPPED:
                self.failed.add(turn.network.preset)
            self.say(f"{turn.mode}: ended with {code}; {turn.last_line()}")

    def run(self) -> int:
        """Train until the hours are used up, or a signal comes; returns the exit code."""
        end, told = time.time() + 3600 * self.options.hours, 0.0
        with StopRequest() as stop:
            while time.time() < end and stop.signal is None:
                self.fill()
                if not self.running:
                    break
                time.sleep(PAUSE)
                self.look()
                if time.time() - told >= MINUTE:
                    told = time.time()
                    for turn in self.running:
                        self.say(f"{self.hours.of(turn.network.preset):6.2f} h  {turn.last_line()}")
            for turn in self.running:
                turn.stop()
            while self.running:
                time.sleep(PAUSE)
                self.look()
        for network in self.networks:
            had = self.hours.of(network.preset)
            self.say(f"{network.preset}: {had:.2f} hours, {had - self.start[network.preset]:.2f} of them now")
        return 1 if self.failed else 128 + stop.signal if stop.signal else 0


def prepare(data_root: Path, source: str | None) -> None:
    """Make the sets that are missing.

    Raises:
        ValueError: one could not be made.
    """
    python, scripts = sys.executable, ROOT / "datasets"
    photos = data_root / "free/photos"
    commands = {
        "free": [scripts / "prepare_free.py", "--blur", *(["--source", source] if source else ["--fetch"])],
        "drawn": [
            scripts / "make_synthetic.py", "--layout", "drawn", "--textures", photos, "--textures_share", "0.7",
            "--clips", "900", "--test_clips", "24", "--frames", "5", "--size", "256x192", "--blur",
        ],
    }  # fmt: skip
    for name in SETS:
        if not (data_root / name).is_dir():
            root = data_root / name if name == "free" else data_root
            words = [str(word) for word in (python, *commands[name], "--root", root)]
            print(" ".join(words), flush=True)
            if subprocess.run(words, cwd=ROOT).returncode:
                raise ValueError(f"{data_root / name} could not be made; see above")


def parse(argv: list[str]) -> argparse.Namespace:
    """The options.

    Raises:
        UsageError: one of them cannot be.
    """
    parser = cli.Parser(prog="python -m common.training.queue", description=__doc__.splitlines()[0])
    add = parser.add_argument
    names = (*PAPERS, *(network.preset for network in NETWORKS))
    add("--only", nargs="+", choices=names, metavar="NAME", help=f"of these: {', '.join(names)}")
    add("--hours", type=float, default=1e6, help="after which all stop")
    add("--minutes", type=float, help="instead of hours")
    add("--jobs", type=int, default=os.cpu_count(), help="trainings at once")
    add("--turn", type=float, default=30.0, help="minutes of a turn, where there are more networks than jobs")
    add("--source", help="folder of the free set's clips, for datasets/prepare_free.py; else they are downloaded")
    add("--data_root", default="./datasets", help="folder of the data sets; what is missing is made there")
    add("--log_root", default="./logs", help="folder of the run folders")
    add("--debug", action="store_true", help="show the traceback of an error")
    add("settings", nargs="*", help="after --: arguments for every training, such as --set max_steps=100")
    options = parser.parse_args(argv)
    if options.minutes is not None:
        options.hours = options.minutes / 60
    if options.jobs < 1 or not 0 < options.hours or not 0 < options.turn:
        raise cli.UsageError("--jobs, --hours, --minutes, --turn: expected positive numbers")
    return options


def main(argv: list[str]) -> int:
    """Prepare the sets, then train; returns the exit code."""
    options = parse(argv)
    prepare(Path(options.data_root), options.source)
    return Queue(options).run()


if __name__ == "__main__":
    sys.exit(cli.run(main))
