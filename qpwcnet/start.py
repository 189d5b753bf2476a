"""A start of training that learns to match in hundreds of steps; the published one (Keras's) takes ten thousands.

Without it the costs are a thousandth of the features beside them, and a mean colour that matches everywhere hides what
matches somewhere: for long the best flow that training finds is none.
"""

import torch
from torch import Tensor, nn

from qpwcnet.model import COSTS, Flower

FEATURES = 0.3  # spread of what goes into a flow level beside the costs, whose spread is 1


@torch.no_grad()
def start_kaiming(network: Flower, prv: Tensor, nxt: Tensor) -> None:
    """Draw the network's kernels anew.

    Values keep their size through all layers, the first convolution sees no mean colour, flows start near zero, and
    each channel that goes into a flow level is scaled to a spread of its own.

    Args:
        network: in training.
        prv: (B, 3, H, W) RGB, samples whose values tell the spreads.
        nxt: the frames after them.
    """
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear" if name.endswith("depthwise") else "relu")
    first = network.encoder[0].conv_a.weight
    first.sub_(first.mean((1, 2, 3), keepdim=True))
    for level in network.flower:
        level.flow.weight.mul_(0.3)
    for level in network.flower:  # coarse to fine: a level's input depends on the flow before it
        seen = {}
        depthwise = level.feat[0].depthwise
        hook = depthwise.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.update(x=inputs[0]))
        network.levels(*network.features(prv, nxt))
        hook.remove()
        wanted = torch.full_like(depthwise.weight[:, 0, 0, 0], FEATURES)
        wanted[:COSTS] = 1.0
        spread = seen["x"].std((0, 2, 3)).clamp(min=1e-6)
        depthwise.weight.mul_((wanted / spread)[:, None, None, None])
