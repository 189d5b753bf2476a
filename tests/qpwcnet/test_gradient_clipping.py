"""Adaptive gradient clipping against plain formulas."""

import math

import numpy as np
import torch

from qpwcnet.gradient_clipping import clip_gradients

SHAPES = {"conv": (5, 3, 3, 3), "point": (4, 6, 1, 1), "depth": (6, 1, 3, 3), "bias": (7,), "zero": (2, 2, 3, 3)}


def noise(*shape, seed) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32))


def parameters() -> dict[str, torch.Tensor]:
    made = {name: noise(*shape, seed=n) * (name != "zero") for n, (name, shape) in enumerate(SHAPES.items())}
    for n, parameter in enumerate(made.values()):
        # Units of very different length: some are to be cut, some not.
        lengths = torch.logspace(-5, 0, len(parameter)).view(-1, *[1] * (parameter.dim() - 1))
        parameter.requires_grad_().grad = noise(*parameter.shape, seed=10 + n) * lengths
    return made


def test_clipping_unit_by_unit():
    made = parameters()
    made["conv"].grad[0, 0, 0, 0] = math.nan
    made["conv"].grad[4, 0, 0, 0] = math.inf
    before = {name: parameter.grad.clone() for name, parameter in made.items()}
    before["conv"][~before["conv"].isfinite()] = 0
    clip_gradients([*made.values(), torch.zeros(3, requires_grad=True)])  # the last one has no gradient
    cut = 0
    for name, parameter in made.items():
        one_unit = name in ("depth", "bias")
        for unit in [slice(None)] if one_unit else range(len(parameter)):
            w, g, found = (x.detach().double()[unit] for x in (parameter, before[name], parameter.grad))
            limit = max(math.sqrt((w * w).sum()), 1e-3) * 0.01
            length = math.sqrt((g * g).sum())
            expected = g * (limit / length) if length >= limit else g
            cut += length >= limit
            assert torch.allclose(found, expected, rtol=1e-5, atol=0), (name, unit)
            assert length >= limit or torch.equal(found, g)
    assert 5 < cut < 15  # of 18 units
