"""One row of the bench: a network's time against its convolutions alone, its share of the matrix rate, its memory."""

import gc
import math
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from common.ops.complexity import counted_macs, parameters

LAYOUTS = {"default": None, "NCHW": torch.contiguous_format, "channels_last": torch.channels_last}
TYPES = {"float32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
MODES = ("inference", "training")


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
        `common.ops.complexity` counts them, `conv_calls` how many convolution calls there are, `matmul_gmac_s` the rate
        of the matrix product. on a CPU `peak_mib` means something only in a fresh process.
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
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # as in own video and training
        torch.cuda.reset_peak_memory_stats(device)
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
