"""Published checkpoints: the authors' state dicts of the whole network, `module.` before every name, and BIMNet's."""

from pathlib import Path

from torch import nn

from common.checkpoints import checkpoint_file
from common.ops.liteflownet import LiteFlowNet
from pvdnet.config import preset
from pvdnet.models.deblurnet import DeblurNet

FIRST = "moduleFeatures.moduleOne.0.weight"  # of BIMNet alone
LARGE = "PVDNet.RBs.12.0.weight"  # a block that only PVDNet-large has


def read(path: str | Path, config: str = "") -> nn.Module:
    """The network of a published file, or of ours, with its weights: PVDNet, or BIMNet alone.

    Args:
        path: the file.
        config: preset whose network it must have; "": the file tells which of the published ones it is.

    Raises:
        ValueError: it is of another network.
    """
    state = checkpoint_file.state_dict(checkpoint_file.load(path), path)
    if not config:
        config = "config_BIMNet" if FIRST in state else "config_PVDNet_large" if LARGE in state else "config_PVDNet"
    settings = preset(config)
    if settings.network == "BIMNet":
        network = LiteFlowNet()
    else:
        network = DeblurNet(settings.network, settings.PV_ksize, with_BIMNet=settings.with_BIMNet)
    checkpoint_file.load_strict(network, state, path)
    return network.eval()


def write(network: nn.Module, layout: str) -> dict:
    """What the authors' file holds.

    Raises:
        ValueError: `layout` is not "authors", the only one.
    """
    if layout != "authors":
        raise ValueError(f"--layout {layout}: expected ours or authors")
    prefix = "" if isinstance(network, LiteFlowNet) else "module."
    return {f"{prefix}{name}": tensor for name, tensor in network.state_dict().items()}
