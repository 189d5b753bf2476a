"""One step of an optimiser, taken only where loss and gradient are finite, in any precision and number of processes."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from common.ops.autocast import choose
from common.training.distributed import Processes


class Minimiser:
    """An optimiser with the loss scaling of fp16.

    Args:
        optimizer: of the parameters that learn.
        processes: this one among all.
        amp: one of `cli.AMP`.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, processes: Processes, amp: str):
        self.optimizer, self.processes, self.amp = optimizer, processes, choose(processes.device, amp)
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=self.amp == "fp16")

    def step(
        self, losses: dict[str, Tensor], rate: float, clip: Callable[[], object] | None = None
    ) -> dict[str, float]:
        """Minimise the first of the losses by one step; the weights stay as they are where it cannot be done.

        Args:
            losses: scalars with names; the others are parts of the first, for the log.
            rate: learning rate.
            clip: changes the gradients before the step.

        Returns:
            The losses as numbers.

        Raises:
            FloatingPointError: in some process the loss or its gradient is not finite.
        """
        names, numbers = list(losses), torch.stack([loss.detach().float() for loss in losses.values()]).tolist()
        values = dict(zip(names, numbers, strict=True))
        # Before the backward pass: at coordinates that are no numbers the gradient of a warp leaves its memory.
        if self.processes.any(not math.isfinite(numbers[0]))[0]:
            raise _not_finite(values)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(losses[names[0]]).backward()
        if self.amp != "fp16":  # there an overflow is ordinary: the scaler leaves that step out and scales less
            own = [p.grad for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
            if not torch.stack(torch._foreach_norm(own)).isfinite().all().item():  # the same in all processes
                raise _not_finite(values)
        if clip:
            self.scaler.unscale_(self.optimizer)
            clip()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return values

    def state(self) -> dict:
        """What a resume needs."""
        return {"optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict()}

    def restore(self, state: dict) -> None:
        """Go back to a `state`; one that was saved without fp16 says nothing of the scale, which begins anew."""
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])


def _not_finite(values: dict[str, float]) -> FloatingPointError:
    parts = ", ".join(f"{name} {value:g}" for name, value in values.items())
    return FloatingPointError(f"loss or gradient is not finite ({parts})")
