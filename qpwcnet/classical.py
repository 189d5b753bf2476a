"""Flow without weights in a network's place, as baselines."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from common.media.classical_flow import FLOWS
from common.media.image import to_uint8


class Classical(NamedTuple):
    """Stands where a network does: `flow` takes two frames HxWx3 uint8 and gives HxWx2 in pixels."""

    flow: Callable[[np.ndarray, np.ndarray], np.ndarray]

    def estimate(self, prv: Tensor, nxt: Tensor) -> Tensor:
        """Flow (1, 2, H, W) in pixels of two frames (1, 3, H, W) in [0, 1]."""
        frames = [to_uint8(x[0].permute(1, 2, 0).cpu().numpy()) for x in (prv, nxt)]
        return torch.from_numpy(self.flow(*frames)).permute(2, 0, 1)[None]


CLASSICAL = {name: Classical(flow) for name, flow in FLOWS.items()}
