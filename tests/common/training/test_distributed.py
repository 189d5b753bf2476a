"""One process or several: what they tell each other, which device each takes, what a launcher must say."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from common.cli import UsageError
from common.training.distributed import Processes, choose_device, is_lost, joined
from tests.helpers.runs import ROOT, launch

ONE = Processes(0, 1, torch.device("cpu"))

TALK = """
import json, sys
from types import SimpleNamespace
from common.training.distributed import joined
with joined(SimpleNamespace(dist=True, device="cpu")) as me:
    found = {
        "main": me.is_main,
        "sum": me.sum([me.rank + 0.5, 1e15 + me.rank]),
        "any": me.any(me.rank == 1, False),
        "gather": me.gather({"rank": me.rank}),
        "broadcast": me.broadcast(f"from {me.rank}"),
    }
    me.wait()
with open(f"{sys.argv[1]}/{me.rank}.json", "w") as file:
    json.dump(found, file)
"""


END = """
import atexit, json, sys
from pathlib import Path
sys.path.insert(0, ".")

def tell(moment):
    names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    Path(sys.argv[1], f"{moment}.json").write_text(json.dumps(names))

atexit.register(tell, "end")  # the first that is registered is the last that is run
from types import SimpleNamespace
from common.training.distributed import joined
with joined(SimpleNamespace(dist=True, device="cpu")) as me:
    me.wait()
    tell("inside")
"""


def options(dist):
    return SimpleNamespace(dist=dist, device="cpu")


def test_one_process_needs_no_other():
    assert ONE.is_main
    assert ONE.sum([1.5, 2.0]) == [1.5, 2.0]
    assert ONE.any(True, False) == [True, False]
    assert ONE.gather("x") == ["x"]
    assert ONE.broadcast("x") == "x"
    ONE.wait()


def test_two_processes_tell_each_other(tmp_path):
    script = tmp_path / "talk.py"
    script.write_text(TALK)
    done = launch("pvdnet", [str(tmp_path)], 29601, script=script)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert (first.pop("main"), second.pop("main")) == (True, False)
    assert first == second
    assert first == {
        "sum": [2.0, 2e15 + 1],  # float32 would lose the one
        "any": [True, False],
        "gather": [{"rank": 0}, {"rank": 1}],
        "broadcast": "from 0",
    }


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are listed on Linux only")
def test_no_thread_of_the_group_outlives_python(tmp_path):
    script = tmp_path / "end.py"
    script.write_text(END)
    one = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29603"}
    words = [sys.executable, str(script), str(tmp_path)]
    done = subprocess.run(words, env=os.environ | one, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    inside, end = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("inside", "end"))
    assert any("gloo" in name for name in inside)
    assert not any("gloo" in name for name in end)


def test_devices_by_name():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name, told in (
        ("tpu9", "expected auto, cpu, cuda or cuda:N"),
        ("cuda:99", r"there are \d+ CUDA devices"),
        ("mtia", "there is none here; use --device cpu"),
    ):
        with pytest.raises(UsageError, match=f"^--device {name}: {told}"):
            choose_device(name)


def test_several_processes_are_not_put_on_one_device(monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="one device for several processes; use --device cuda"):
        choose_device("cuda:0")


def test_a_launcher_and_the_flag_go_together(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    with joined(options(dist=False)) as processes:
        assert processes == ONE
    with pytest.raises(UsageError, match="-dist needs a launcher: torchrun"), joined(options(dist=True)):
        pass
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="started as one of 2 processes: add -dist"), joined(options(dist=False)):
        pass


def test_a_lost_process_is_told_from_other_errors():
    assert is_lost(torch.distributed.DistError("x"))
    assert is_lost(RuntimeError("[/gloo/transport/tcp/pair.cc] Connection closed by peer"))
    assert not is_lost(RuntimeError("shapes differ"))


def test_networks_that_do_not_meet_are_one_line(monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("Gloo connectFullMesh failed: refused\nat")

    monkeypatch.setattr(torch.distributed, "init_process_group", refuse)
    monkeypatch.setenv("RANK", "0")
    told = r"reach one another \(Gloo connectFullMesh failed: refused\); .* export GLOO_SOCKET_IFNAME=eth0$"
    with pytest.raises(ValueError, match=told), joined(options(dist=True)):
        pass


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("[/gloo/transport/tcp/pair.cc] Connection closed by peer"), "another process has ended; what it"),
        (RuntimeError("shapes differ"), "^shapes differ$"),
        (OSError("gloo.png: no space left"), "^gloo.png: no space left$"),
    ],
)
def test_a_lost_process_is_one_line(monkeypatch, error, told):
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29604"}.items():
        monkeypatch.setenv(name, value)
    kind = ValueError if told.startswith("another") else type(error)
    with pytest.raises(kind, match=told), joined(options(dist=True)):
        raise error
