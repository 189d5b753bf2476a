"""Handlers of the `qpwcnet/pwcnet_*` reference cases: standard PWC-Net."""

import torch

from common.checkpoints.checkpoint_file import load_strict
from common.ops.correlation import correlation
from qpwcnet.pwcnet import COSTS, INSIDE, INSIDE_OLD, LEVELS, RADIUS, PWCNet, masked_warp
from qpwcnet.pwcnet_tensor_names import adapt
from tests.helpers.golden import Case

RAW = 1e-5  # tolerance of flows in units of 20 pixels where a case names only the one in pixels


def frames(case: Case) -> torch.Tensor:
    """The two frames (2, 1, 3, H, W), float32 in [0, 1]."""
    return torch.from_numpy(case.inputs["frames"]).float().unsqueeze(1) / 255


def network(case: Case, expected: str = "PWC-Net") -> PWCNet:
    state, variant = adapt(case.state, "the case")
    assert variant == expected
    net = PWCNet(variant)
    load_strict(net, state, "the case")
    return net.eval()


def check_levels(case: Case, outputs: dict, atol: float, finest: str) -> None:
    for level in LEVELS:
        key = finest if level == 2 else f"flow_{level}"
        case.check(f"flow{level}", outputs[key], atol=atol)


@torch.no_grad()
def nvlabs(case: Case) -> None:
    net, atol, seen = network(case), case.meta["tolerance"]["atol"], {}
    for level in (6, 5, 4):  # costs come first in what a decoder's first layer is given
        net.decoder[str(level)].dense[0].register_forward_pre_hook(
            lambda _layer, inputs, level=level: seen.update({f"corr{level}": inputs[0][:, :COSTS].clone()})
        )
    net.context.register_forward_hook(lambda _layer, _inputs, output: seen.update(refine=output))
    check_levels(case, net(*frames(case)), atol, "flow_2")
    case.check("refine", seen["refine"], atol=atol)
    for level in (6, 5, 4):
        costs = seen[f"corr{level}"]
        case.check(f"corr{level}", torch.where(costs < 0, costs / 0.1, costs), atol=atol)  # before the leaky ReLU
    case.check("feature6_prv", net.extract(*frames(case))[0][6], atol=atol)


@torch.no_grad()
def sniklaus(case: Case) -> None:
    outputs = network(case)(*frames(case))
    check_levels(case, outputs, RAW, "flow_2_coarse")
    case.check("flow", outputs["flow"], atol=case.meta["tolerance"]["atol"])


@torch.no_grad()
def old(case: Case) -> None:
    outputs = network(case, "PWC-Net_old")(*frames(case))
    check_levels(case, outputs, case.meta["tolerance"]["atol"], "flow_2")


@torch.no_grad()
def estimate(case: Case) -> None:
    flow = network(case).estimate(*frames(case))
    case.check("flow", flow[0], atol=case.meta["tolerance"]["atol"])


def ops(case: Case) -> None:
    one, two, flow = (case.tensor(key) for key in ("one", "two", "flow"))
    atol = case.meta["tolerance"]["atol"]
    # NVlabs rounds the coordinates otherwise: the two references differ by 3.9e-6 from each other.
    case.check("warp_nvlabs", masked_warp(one, flow, INSIDE), atol=5 * atol)
    case.check("warp_sniklaus", masked_warp(one, flow, INSIDE_OLD), atol=atol)
    case.check("correlation", correlation(one, two, radius=RADIUS), atol=atol)


HANDLERS = {
    "qpwcnet/pwcnet_nvlabs": nvlabs,
    "qpwcnet/pwcnet_sniklaus": sniklaus,
    "qpwcnet/pwcnet_old": old,
    "qpwcnet/pwcnet_estimate": estimate,
    "qpwcnet/pwcnet_ops": ops,
}
