"""Gradients of a network whose slope jumps here and there, compared whichever side of a jump rounding took.

Where a tap meets a whole pixel, or what a ReLU sees meets zero, a gradient has two right values, and float32's noise,
which differs from processor to processor, takes one. Float64 leaves nothing to noise: there the network is computed
once as it is, and once more for each place that is near a jump, with that place on the other side. A float32 result is
right if float64 agrees with it for one choice of the few places' sides.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

# How far float32 may be from float64, in pixels or in what a ReLU sees. Measured on TDAN's networks with the kernels of
# SSE4.1, AVX2 and without oneDNN: 1.3e-5 at most, and 1e-6 nearly always. More would cost time where a result is wrong.
NOISE = 3e-5
MOST = 64  # of the nearest places; measured on 50 networks: no result needed the fifteenth
NOTHING = 0.01  # of the tolerance: a change that needs no side, as that of a tap outside the image

Results = dict[str, np.ndarray]


class Place(NamedTuple):
    """A value near a jump: which of the tensors that decide, in the order of computation, and which entry of it."""

    tensor: int
    entry: int


class Twin:
    """What float64 gives, with places near a jump on either side.

    Args:
        compute: gives results by name. It is called with a function `decide(values, jumps)`, to which it shows every
            tensor that a slope depends on, and the jumps nearest to its values; what that returns, it goes on with.
    """

    def __init__(self, compute: Callable[[Callable[[Tensor, Tensor | float], Tensor]], Results]):
        self._compute = compute
        self._near: list[tuple[float, Place]] = []
        self.own = self._with(())
        self.places = [place for _, place in sorted(self._near)[:MOST]]
        self._known: dict[tuple[Place, ...], Results] = {(): self.own}

    def _with(self, others: tuple[Place, ...]) -> Results:
        """The results with some places on their other sides."""
        count = 0

        def decide(values: Tensor, jumps: Tensor | float) -> Tensor:
            nonlocal count
            distances = (values.detach() - jumps).flatten()
            mine = [place.entry for place in others if place.tensor == count]
            if not others:  # What is exactly at a jump, as an offset of zero is, is so in float32, too.
                near = ((distances != 0) & (distances.abs() < NOISE)).nonzero().flatten().tolist()
                self._near += [(distances[entry].abs().item(), Place(count, entry)) for entry in near]
            count += 1
            if not mine:
                return values
            moved = torch.zeros_like(distances)
            moved[mine] = -2 * distances[mine]
            return values + moved.view(values.shape)

        return self._compute(decide)

    def results(self, *others: Place) -> Results:
        """As `_with`, computed once."""
        if others not in self._known:
            self._known[others] = self._with(others)
        return self._known[others]

    def nearest(self, expected: Results, tolerances: Results) -> Results:
        """The results for the sides with which they agree with `expected`; where there are none, for float64's own.

        What one place's side changes hardly depends on the others' sides. So least squares tells which of the changes
        add up to what is expected. The nearest places come first, since noise is mostly small.

        Args:
            expected: by name.
            tolerances: by name, absolute, to be broadcast to the results.
        """

        def scaled(results: Results) -> np.ndarray:
            return np.concatenate([(results[key] / tolerances[key]).ravel() for key in expected])

        own = scaled(self.own)
        wanted = scaled(expected) - own
        places, changes, tried = [], [], set()
        for place in [None, *self.places]:
            if place:
                change = scaled(self.results(place)) - own
                if np.abs(change).max() < NOTHING:
                    continue
                places.append(place)
                changes.append(change)
            shares = np.linalg.lstsq(np.stack(changes, 1), wanted)[0] if changes else []
            others = tuple(place for place, share in zip(places, shares, strict=True) if share > 0.5)
            if others not in tried:
                tried.add(others)
                results = self.results(*others)
                if np.abs(scaled(results) - scaled(expected)).max() <= 1:
                    return results
        return self.own
