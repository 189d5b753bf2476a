"""Several processes, started by torchrun or torch.distributed.launch: gloo on CPU, nccl on CUDA."""

import atexit
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist

from common.cli import UsageError

# Groups, until the program ends. Where DistributedDataParallel outlives its group, it would be the one that takes it
# down, and wait, holding Python's lock, for a thread of gloo that waits for that lock.
_KEPT: list[dist.ProcessGroup] = []


@atexit.register
def _let_go() -> None:
    """Take the groups down while Python still runs, without its lock.

    A thread of gloo that asks for the lock later, to drop what it last sent, would abort the process.
    """
    gc.collect()  # what may still hold a group
    _KEPT.clear()


@dataclass(frozen=True)
class Processes:
    """This process among all: rank 0 of 1 unless a launcher said otherwise."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this is the one that prints and writes."""
        return self.rank == 0

    def sum(self, values: list[float]) -> list[float]:
        """Add up each value over all processes, in float64."""
        if self.world_size == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.tolist()

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether it is set in any process."""
        return [count > 0 for count in self.sum([float(flag) for flag in flags])]

    def gather(self, value: object) -> list:
        """The plain value of every process, in rank order, in every process."""
        if self.world_size == 1:
            return [value]
        values = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values

    def broadcast(self, value: object) -> object:
        """Rank 0's plain value, in every process."""
        if self.world_size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def wait(self) -> None:
        """Go on when every process got here."""
        if self.world_size > 1:
            dist.barrier()


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N` as a device; several processes take one CUDA device each.

    Raises:
        UsageError: there is no such device, or several processes are to share one.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"--device {name}: expected auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda":
        if device.index is not None and int(os.environ.get("LOCAL_WORLD_SIZE", "1")) > 1:
            raise UsageError(
                f"--device {name}: one device for several processes; use --device cuda, which takes one each"
            )
        index = device.index if device.index is not None else local_rank
        if index >= torch.cuda.device_count():
            raise UsageError(f"--device {name}: there are {torch.cuda.device_count()} CUDA devices; use --device cpu")
        torch.cuda.set_device(index)
        return torch.device("cuda", index)
    try:
        torch.zeros(1, device=device).tolist()
    except (RuntimeError, NotImplementedError, AssertionError, ImportError) as error:
        raise UsageError(f"--device {name}: there is none here; use --device cpu") from error
    return device


@contextmanager
def joined(options) -> Iterator[Processes]:
    """Be among the other processes in a `with` block if the options say -dist; else be the only one.

    Args:
        options: of the command line: dist and device are read.

    Raises:
        UsageError: -dist without a launcher, or a launcher without -dist.
        ValueError: the processes do not reach one another, or another has ended when the block needed it.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if not options.dist:
        if world_size > 1:
            raise UsageError(f"started as one of {world_size} processes: add -dist")
        yield Processes(0, 1, choose_device(options.device))
        return
    if "RANK" not in os.environ:
        raise UsageError("-dist needs a launcher: torchrun --nproc_per_node=2 pvdnet/run.py ... -dist")
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    chosen = choose_device(options.device, local_rank)
    cuda = chosen.type == "cuda"
    try:
        dist.init_process_group("nccl" if cuda else "gloo", device_id=chosen if cuda else None)
    except RuntimeError as error:
        raise ValueError(
            f"the processes do not reach one another ({str(error).splitlines()[0]}); if this machine has several "
            f"networks, name theirs: export {'NCCL' if cuda else 'GLOO'}_SOCKET_IFNAME=eth0"
        ) from error
    _KEPT.append(dist.group.WORLD)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), chosen)
    except RuntimeError as error:
        if not is_lost(error):
            raise
        raise ValueError("another process has ended; what it or its torchrun wrote last tells why") from error
    finally:
        dist.destroy_process_group()


def is_lost(error: RuntimeError) -> bool:
    """Whether this is what a collective raises when another process has ended."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)
