"""Moving average of a network's weights, which is what is tested and kept where `ema` is set."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Weights that follow a network's: a <- decay a + (1 - decay) w after every step.

    In the first steps the decay is smaller, (1 + n) / (10 + n) after n of them, so that the start is soon forgotten.
    What are no floating-point numbers, such as counters, are those of the network.

    Args:
        network: what is averaged, on its device.
        decay: 0.9 to below 1; 0: there is no average, and all of this is the network's own.
    """

    def __init__(self, network: nn.Module, decay: float):
        self.network, self.decay = network, decay
        self._average = self._copy() if decay else {}

    def _copy(self) -> dict[str, Tensor]:
        return {key: tensor.detach().clone() for key, tensor in self.network.state_dict().items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """The network has taken a step, and this many in all."""
        if not self.decay:
            return
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        state = self.network.state_dict()
        floats = [key for key, tensor in state.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([self._average[key] for key in floats], [state[key] for key in floats], share)
        for key in state.keys() - set(floats):
            self._average[key].copy_(state[key])

    def weights(self) -> dict[str, Tensor]:
        """The average, or the network's own weights."""
        return self._average or self.network.state_dict()

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The network has the average for its weights in a `with` block."""
        if not self.decay:
            yield
            return
        own = self._copy()
        self.network.load_state_dict(self._average)
        try:
            yield
        finally:
            self.network.load_state_dict(own)

    def state(self) -> dict:
        """What a resume needs beside `weights`."""
        return {"plain": self.network.state_dict()} if self.decay else {}

    def restore(self, state: dict) -> None:
        """Go back to a `state`, after its `weights` were loaded into the network."""
        if self.decay:
            self._average = self._copy()
        if "plain" in state:
            self.network.load_state_dict(state["plain"])
