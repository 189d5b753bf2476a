"""The training queue, with a script in the place of every paper's command."""

import json
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from common import cli
from common.papers import ROOT
from common.training import queue
from common.training.queue import NETWORKS, Network, Queue, command, parse

A, B = (Network("ifrnet", name, "P", share) for name, share in (("A_free", 2), ("B_free", 1)))


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """A log root; every training is a script that writes what it was told, until it is stopped."""
    script = tmp_path / "ifrnet/run.py"
    script.parent.mkdir()
    script.write_text(
        textwrap.dedent(
            """
            import json, os, signal, sys, time
            from pathlib import Path
            words = sys.argv
            mode, root = words[words.index("--mode") + 1], Path(words[words.index("--log_root") + 1])
            (root / "P" / mode).mkdir(parents=True, exist_ok=True)
            with open(root / "told", "a") as file:
                file.write(json.dumps([mode, words, os.environ["OMP_NUM_THREADS"]]) + "\\n")
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
            print("step 7", flush=True)
            if mode.startswith("B") and "fails" in words: sys.exit(1)
            if "ends" in words: sys.exit(0)
            time.sleep(60)
            """
        )
    )
    monkeypatch.setattr(queue, "ROOT", tmp_path)
    monkeypatch.setattr(queue, "NETWORKS", (A, B))
    monkeypatch.setattr(queue, "prepare", lambda *_: None)
    monkeypatch.setattr(queue, "PAUSE", 0.05)
    return tmp_path / "logs"


def start(logs, *words):
    code = queue.main(["--log_root", str(logs), "--data_root", "d", *words])
    told = (logs / "told").read_text().splitlines()
    return code, [json.loads(line) for line in told]


def test_the_presets_and_their_projects_are_those_of_the_papers():
    import importlib

    for network in NETWORKS:
        config = importlib.import_module(f"{network.paper}.config")
        assert config.preset(network.config).project == network.project


def test_trainings_run_side_by_side_on_a_thread_each_and_save_when_the_time_is_up(logs, capsys):
    code, told = start(logs, "--jobs", "2", "--minutes", "0.02")
    assert code == 0
    assert sorted(mode for mode, _, _ in told) == ["A_free_1", "B_free_1"]
    assert {threads for _, _, threads in told} == {"1"}
    out = capsys.readouterr().out
    assert "A_free_1: ended with 143; step 7" in out
    hours = json.loads((logs / "train_free/hours.json").read_text())
    assert 1 <= hours["A_free"] < 20


def test_a_training_that_fails_is_left_and_told(logs, capsys):
    code, told = start(logs, "--jobs", "2", "--minutes", "0.02", "--", "fails")
    assert code == 1
    assert [mode for mode, _, _ in told].count("B_free_1") == 1
    assert "B_free_1: ended with 1; step 7" in capsys.readouterr().out


def test_the_next_turn_is_that_of_the_network_with_the_least_of_its_share(logs):
    options = parse(["--log_root", str(logs), "--jobs", "1"])
    lines = Queue(options)
    assert lines.next() == A
    lines.hours.add("A_free", 100)
    assert lines.next() == B
    lines.hours.add("B_free", 60)
    assert Queue(options).next() == A  # from the file
    lines.failed.add("A_free")
    assert lines.next() == B


def test_a_finished_run_is_followed_by_one_from_its_weights(logs, monkeypatch, tmp_path):
    weights = tmp_path / "best.pytorch"
    weights.touch()
    monkeypatch.setattr(queue, "weights_of", lambda network, number, root: weights)
    code, told = start(logs, "--only", "A_free", "--jobs", "1", "--minutes", "0.01", "--", "ends")
    assert code == 0
    assert told[0][0] == "A_free_1"
    assert str(weights) not in told[0][1]
    assert str(weights) in told[1][1]
    shutil.rmtree(logs)
    (logs / "train_free").mkdir(parents=True)
    (logs / "train_free/A_free_1.finished").touch()
    (logs / "P/A_free_1").mkdir(parents=True)
    words, mode = command(A, logs, Path("d"), [])
    assert mode == "A_free_2"
    assert words[words.index("--ckpt_abs_name") + 1] == str(weights)
    (logs / "P/A_free_2").mkdir()
    assert command(A, logs, Path("d"), [])[1] == "A_free_2"  # not finished


def test_without_a_run_the_box_is_where_it_begins(logs, tmp_path):
    words, mode = command(A, logs, Path("d"), ["--set", "max_steps=3"])
    assert mode == "A_free_1"
    assert "--ckpt_abs_name" not in words
    assert words[-2:] == ["--set", "max_steps=3"]
    box = tmp_path / "ifrnet/weights/A_free.safetensors"
    box.parent.mkdir(parents=True)
    box.touch()
    words, _ = command(A, logs, Path("d"), [])
    assert words[words.index("--ckpt_abs_name") + 1] == str(box)
    assert words[0] == sys.executable
    other = Network("ifrnet", "C_free", "P", 1, start="A_free")
    assert str(box) in command(other, logs, Path("d"), [])[0]
    own = box.with_name("C_free.safetensors")
    own.touch()
    assert str(own) in command(other, logs, Path("d"), [])[0]


def test_a_turn_ends_where_others_wait(logs, monkeypatch):
    lines = Queue(parse(["--log_root", str(logs), "--jobs", "1", "--turn", "0.01", "--minutes", "5"]))
    told, fill = logs / "told", lines.fill

    def stop_after_two():
        fill()
        if told.is_file() and told.read_text().count("\n") >= 2:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(lines, "fill", stop_after_two)
    assert lines.run() == 128 + signal.SIGTERM
    assert [json.loads(line)[0] for line in told.read_text().splitlines()][:2] == ["A_free_1", "B_free_1"]


def test_a_signal_stops_all_and_is_the_exit_code(logs, monkeypatch):
    options = parse(["--log_root", str(logs), "--jobs", "2", "--minutes", "5"])
    lines = Queue(options)
    monkeypatch.setattr(lines, "say", lambda text: signal.raise_signal(signal.SIGTERM) if "step 7" in text else None)
    monkeypatch.setattr(queue, "MINUTE", 0.5)
    assert lines.run() == 128 + signal.SIGTERM
    assert not lines.running


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_trainings_end_with_a_queue_that_is_killed():
    code = (
        "import subprocess, sys, time\nfrom common.training.queue import follow_parent\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], preexec_fn=follow_parent)\n"
        "print(child.pid, flush=True)\ntime.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    child = int(parent.stdout.readline())
    assert Path(f"/proc/{child}/stat").read_text().split()[2] != "Z"
    parent.kill()
    parent.wait()
    for _ in range(100):
        stat = Path(f"/proc/{child}/stat")
        if not stat.exists() or stat.read_text().split()[2] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the training goes on")


BUSY = """
real, refused = queue.Path.write_text, [1, 2]
def write_text(path, text):
    if refused:
        refused.pop()
        raise BlockingIOError
    return real(path, text)
queue.Path.write_text = write_text
"""


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this kernel has no autogroups (sched(7))")
@pytest.mark.parametrize("before", ["", BUSY], ids=["free", "busy"])
def test_trainings_are_as_nice_in_their_session_as_the_queue(before):
    """Also where the kernel takes one word at a time, as from whoever is not root."""
    code = (
        f"import subprocess\nfrom common.training import queue\n{before}\n"
        "subprocess.run(['cat', '/proc/self/autogroup'], start_new_session=True, preexec_fn=queue.follow_parent)"
    )
    done = subprocess.run(["nice", "-n", "7", sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.endswith(" nice 7\n")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--only REDS", "invalid choice: 'REDS'"),
        ("--hours 0", "expected positive numbers"),
        ("--jobs 0", "expected positive numbers"),
        ("--turns 3", "did you mean --turn"),
    ],
)
def test_wrong_options(words, text):
    with pytest.raises(cli.UsageError, match=text):
        parse(words.split())


def test_missing_sets_are_made_and_a_failure_is_told(tmp_path, monkeypatch):
    made = []

    def script(words, cwd):
        made.append(words)
        return type("Result", (), {"returncode": int("make_synthetic.py" in words[1])})

    monkeypatch.setattr(queue.subprocess, "run", script)
    with pytest.raises(ValueError, match="drawn could not be made"):
        queue.prepare(tmp_path, "/clips")
    assert [Path(words[1]).name for words in made] == ["prepare_free.py", "make_synthetic.py"]
    assert made[0][-4:] == ["--source", "/clips", "--root", str(tmp_path / "free")]
    (tmp_path / "free").mkdir()
    (tmp_path / "drawn").mkdir()
    queue.prepare(tmp_path, None)
    assert len(made) == 2
