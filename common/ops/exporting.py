"""Whether the network is run for an exporter, which wants operators that it knows and sizes that stay free."""

import torch


def exporting() -> bool:
    """Whether `torch.jit.trace` or `torch.export` (PyTorch 2.7 and newer can tell) looks on."""
    return torch.jit.is_tracing() or getattr(torch.compiler, "is_exporting", bool)()
