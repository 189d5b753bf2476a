"""Rectified Adam with the decoupled weight decay of PVDNet's training."""

import torch
from torch import Tensor


class RAdam(torch.optim.RAdam):
    """`torch.optim.RAdam` that decays as p - lr * decay * p before the update.

    PyTorch's own decoupled decay multiplies by (1 - lr * decay), a factor whose float32 rounding shows in the last
    digit of large parameters after a few steps; the published runs subtracted.
    """

    def __init__(self, params, lr: float, betas: tuple[float, float], decay: float):
        super().__init__(params, lr=lr, betas=betas)
        self.decay = decay

    @torch.no_grad()
    def step(self, closure=None) -> Tensor | None:
        """Decay and update every parameter that has a gradient."""
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                torch._foreach_add_(params, params, alpha=-group["lr"] * self.decay)
        return super().step(closure)
