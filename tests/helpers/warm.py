"""New processes that need not import PyTorch: forked from one that has, two seconds saved a command line.

A process started by `run` begins with the third-party libraries loaded and nothing of this project; otherwise it is as
`subprocess.run` would have started it: its own session, arguments, environment, folder, streams and signals. The same
holds for the processes that torchrun starts, if `run` started torchrun.
"""

import atexit
import json
import multiprocessing.process
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

LIBRARIES = (
    "av", "cv2", "numpy", "scipy.ndimage", "torch", "torch._dynamo", "torch._refs", "torch._subclasses.fake_tensor",
    "torch.distributed.launcher.api", "torch.fx.experimental.symbolic_shapes", "torch.utils.data",
    "torch.utils.flop_counter", "torch.utils.tensorboard", "tqdm",
)  # fmt: skip
_server = None


def run(argv: list[str], *, cwd: Path, env: dict[str, str], timeout: float) -> subprocess.CompletedProcess:
    """Run `python argv...`; argv begins with a script, or with -c and code, or with -m and a module."""
    global _server
    if _server is None:
        command = [sys.executable, __file__]
        _server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        atexit.register(_server.terminate)
    with tempfile.TemporaryDirectory() as folder:
        streams = [str(Path(folder, name)) for name in ("out", "err")]
        request = {"argv": argv, "cwd": str(cwd), "env": env, "streams": streams, "timeout": timeout}
        _server.stdin.write(json.dumps(request) + "\n")
        _server.stdin.flush()
        code = int(_server.stdout.readline())
        out, err = (Path(stream).read_text() for stream in streams)
    return subprocess.CompletedProcess(argv, code, out, err)


def _serve() -> None:
    for name in LIBRARIES:
        __import__(name)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            os.setsid()
            signal.alarm(0)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for number, path in enumerate(request["streams"], 1):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
            os.chdir(request["cwd"])
            handler = "torch.distributed.elastic.multiprocessing.subprocess_handler.subprocess_handler"
            sys.modules[handler].Popen = Forked
            os._exit(_become(request["argv"], request["env"]))
        signal.signal(signal.SIGALRM, lambda *_, child=child: os.killpg(child, signal.SIGKILL))
        signal.alarm(int(request["timeout"]))
        _, status = os.waitpid(child, 0)
        signal.alarm(0)
        print(os.waitstatus_to_exitcode(status), flush=True)


class Forked(subprocess.Popen):
    """One of torchrun's processes: a copy of torchrun where that wanted a new Python, in a session of its own too."""

    def _execute_child(self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *_):
        self.pid = os.fork()
        self._child_created = True
        if self.pid:
            return
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):  # which torchrun handles
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os._exit(_become(args[2:], env))  # without `python -u`


def _become(argv: list[str], env: dict[str, str]) -> int:
    """In the child: be the process that was asked for; returns its exit code."""
    multiprocessing.process.ORIGINAL_DIR = os.getcwd()  # else the server's: what relative scripts are relative to
    os.environ.clear()
    os.environ.update(env)
    kind, *rest = argv
    paths = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [os.path.dirname(kind) if kind not in ("-c", "-m") else "", *paths, *sys.path[1:]]
    sys.argv = rest if kind == "-m" else ["-c", *rest[1:]] if kind == "-c" else list(argv)
    code = 0
    try:
        if kind == "-c":
            exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
        elif kind == "-m":
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(kind, run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    _serve()
