"""Run an exported file by its own runtime, in place of the network."""

from pathlib import Path

import torch
from torch import Tensor, nn

from qpwcnet.deploy.tflite import open_tflite
from qpwcnet.pwcnet import resize


class Exported(nn.Module):
    """An exported file, as a network, computed on the CPU for frames of one size; others are resized to it.

    Attributes:
        task: what it gives: "flow" or "interp", the frame between.
        size: (H, W) of the frames that it takes, in pixels.
        path: the file.
    """

    def __init__(self, path: Path, task: str, size: tuple[int, int]):
        super().__init__()
        self.path, self.task, self.size = path, task, size

    def flow(self, prv: Tensor, nxt: Tensor) -> Tensor:
        """Flow (B, 2, H, W) in pixels from `prv` to `nxt`, both (B, 3, H, W) RGB in [0, 1], of the file's size.

        Raises:
            ValueError: the file makes no flow, or takes another size.
        """
        return self._call("flow", prv, nxt)

    def frame(self, prv: Tensor, nxt: Tensor) -> Tensor:
        """Frame (B, 3, H, W) between `prv` and `nxt`, not clipped; they and what is raised are as for `flow`."""
        return self._call("interp", prv, nxt)

    def estimate(self, prv: Tensor, nxt: Tensor) -> Tensor:
        """Flow of frames of any size, which are resized, and the flow stretched back."""
        height, width = prv.shape[-2:]
        flow = resize(self.flow(resize(prv, *self.size), resize(nxt, *self.size)), height, width)
        return torch.stack((flow[:, 0] * (width / self.size[1]), flow[:, 1] * (height / self.size[0])), 1)

    def between(self, prv: Tensor, nxt: Tensor) -> Tensor:
        """The frame between two of any size, in [0, 1]; they are resized."""
        frame = self.frame(resize(prv, *self.size), resize(nxt, *self.size))
        return resize(frame, *prv.shape[-2:]).clamp(0, 1)

    def _call(self, task: str, prv: Tensor, nxt: Tensor) -> Tensor:
        if task != self.task:
            raise ValueError(f"{self.path}: was exported for --task {self.task}; export it with --task {task}")
        if prv.shape != nxt.shape or prv.shape[1:] != (3, *self.size):
            (height, width), shapes = self.size, f"{tuple(prv.shape)} and {tuple(nxt.shape)}"
            raise ValueError(f"{self.path}: takes frames of {width}x{height} pixels only, (B, 3, H, W), not {shapes}")
        pairs = zip(prv.cpu().float().split(1), nxt.cpu().float().split(1), strict=True)
        return torch.cat([self.run(*pair) for pair in pairs]).to(prv.device)

    def run(self, prv: Tensor, nxt: Tensor) -> Tensor:
        """The file's result for frames (1, 3, H, W) float32, on the CPU."""
        raise NotImplementedError


class OnnxFile(Exported):
    """An .onnx file, float32 or int8; run by onnxruntime with as many threads as PyTorch takes."""

    def __init__(self, path: Path):
        session = onnx_session(path, torch.get_num_threads())
        facts = session.get_modelmeta().custom_metadata_map
        inputs = session.get_inputs()
        if facts.get("task") not in ("flow", "interp") or [x.name for x in inputs] != ["prv", "nxt"]:
            raise ValueError(f"{path}: expected a file that qpwcnet/run.py --export wrote")
        super().__init__(path, facts["task"], tuple(inputs[0].shape[2:]))
        self.session = session

    def run(self, prv: Tensor, nxt: Tensor) -> Tensor:
        """See `Exported.run`."""
        return torch.from_numpy(self.session.run(None, {"prv": prv.numpy(), "nxt": nxt.numpy()})[0])


class TfliteFile(Exported):
    """A .tflite file, float32 or int8; run by LiteRT with as many threads as PyTorch takes."""

    def __init__(self, path: Path):
        runner = open_tflite(path, torch.get_num_threads())
        super().__init__(path, runner.task, runner.size)
        self.runner = runner

    def run(self, prv: Tensor, nxt: Tensor) -> Tensor:
        """See `Exported.run`."""
        return self.runner(prv, nxt)


def open_exported(path: str | Path) -> Exported:
    """Open an exported file.

    Raises:
        ValueError: it is none, or its runtime is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected one that qpwcnet/run.py --export wrote")
    return TfliteFile(path) if path.suffix == ".tflite" else OnnxFile(path)


def onnx_session(path: Path, threads: int):
    """An .onnx file, ready to run on the CPU.

    Raises:
        ValueError: onnxruntime is missing or cannot read the file.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError(f"{path} needs {error.name}: pip install -c constraints.txt -e '.[export]'") from error
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 4  # errors are raised, too
    try:
        return onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # of a type of its own
        raise ValueError(f"{path}: onnxruntime cannot read it: {str(error).splitlines()[0]}") from None
