"""QPWCNet's batch normalisation: Keras's, over the samples of all processes."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Norm(nn.BatchNorm2d):
    """Batch normalisation as Keras does it, over the samples of all processes.

    Where `frozen` is set, training goes by the running statistics, too, which stay as they are.
    """

    frozen = False

    def __init__(self, channels: int):
        super().__init__(channels, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, h, w); in training the running statistics move."""
        if self.frozen or not self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = _over_processes(x.mean((0, 2, 3)))
        centred = x - mean[:, None, None]
        variance = _over_processes(centred.square().mean((0, 2, 3)))
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
            self.num_batches_tracked += 1
        gain = self.weight * (variance + self.eps).rsqrt()
        return centred * gain[:, None, None] + self.bias[:, None, None]


class _Sum(torch.autograd.Function):
    """Sum over the processes; gradients flow back to all of them."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        x = x.clone()
        torch.distributed.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return _Sum.forward(ctx, gradient)


def _over_processes(x: Tensor) -> Tensor:
    """Mean over the processes, whose batches are equally large."""
    return _Sum.apply(x) / torch.distributed.get_world_size() if torch.distributed.is_initialized() else x
