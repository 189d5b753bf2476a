"""Reading a reference case and holding our values against it.

A handler takes a `Case`, computes every output and hands it to `case.check`; an output
that no handler looked at fails the test, so nothing is left out in silence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from tests.helpers import recipe


@dataclass
class Case:
    """One reference case: weights, inputs, expected outputs, meta (see recipe.py)."""

    folder: Path
    state: dict[str, torch.Tensor]
    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    meta: dict
    seen: set[str] = field(default_factory=set)

    @classmethod
    def load(cls, folder: Path) -> Case:
        state, inputs, outputs, meta = recipe.load(folder)
        return cls(folder, {k: torch.from_numpy(v) for k, v in state.items()}, inputs, outputs, meta)

    def tensor(self, key: str) -> torch.Tensor:
        """Input `key` as a tensor of its stored type."""
        return torch.from_numpy(self.inputs[key])

    def check(
        self, key: str, value, *, atol: float | np.ndarray = 0.0, rtol: float = 0.0, outliers: float = 0.0
    ) -> None:
        """Hold `value` against output `key`; `outliers` is the fraction of elements that may be off."""
        self.seen.add(key)
        expected = self.outputs[key]
        if isinstance(value, torch.Tensor):
            value = value.detach().cpu().double().numpy()
        value = np.asarray(value, np.float64)
        assert value.shape == expected.shape, f"{key}: shape {value.shape}, the reference has {expected.shape}"
        close = np.isclose(value, expected, rtol=rtol, atol=atol, equal_nan=True)
        off = 1.0 - close.mean() if close.size else 0.0
        if off > outliers:
            finite = np.isfinite(value) & np.isfinite(expected)
            worst = np.abs(value - expected)[finite].max(initial=0.0)
            raise AssertionError(
                f"{key}: {off:.4%} of the values are off, by at most {worst:.3g} (atol {np.max(atol):g})"
            )

    def decline(self, key: str, why: str) -> None:
        """Output `key` is something that we leave out on purpose; `why` is for the reader."""
        assert why
        assert key in self.outputs
        self.seen.add(key)

    def unchecked(self) -> set[str]:
        return set(self.outputs) - self.seen
