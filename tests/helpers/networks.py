"""Networks for tests: untrained, but lively enough that results depend on what goes in."""

import torch

from common.ops.liteflownet import LiteFlowNet


def lively_liteflownet():
    """Random weights, large enough for the flow to depend on the images."""
    torch.manual_seed(0)
    network = LiteFlowNet(half_pixel_warp=True).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d) and module.out_channels > 1:
            torch.nn.init.kaiming_normal_(module.weight, 0.1)
    return network
