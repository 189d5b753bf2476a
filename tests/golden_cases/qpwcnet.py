"""Handlers of the `qpwcnet/*` reference cases of QPWCNet's own networks."""

import torch

from qpwcnet.checkpoints import build
from qpwcnet.model import Flower, Interpolator, settings
from tests.helpers.golden import Case


def frames(case: Case) -> list[torch.Tensor]:
    """Both frames (B, 3, H, W) in [0, 1]."""
    pairs = case.tensor("frames").float() / 255
    return [pairs[..., number, :, :, :].reshape(-1, *pairs.shape[-3:]) for number in (0, 1)]


def penalty(case: Case, network: Flower) -> None:
    value = sum(4e-6 * kernel.double().square().sum() for kernel in network.kernels())
    case.check("l2_regularization", value, rtol=case.meta["tolerance"].get("rtol_l2_regularization", 1e-5))


@torch.no_grad()
def flower(case: Case) -> None:
    network, atol = build(case.state, case.folder), case.meta["tolerance"]["atol"]
    assert type(network) is Flower
    seen = {}
    network.flower[0].conv.register_forward_hook(lambda _, inputs, output: seen.update(conv=output))
    outputs = network(*frames(case))
    first, second = network.features(*frames(case))
    outputs |= {
        "encoder_4_prv": first[0],
        "decoder_0_prv": first[1].chunk(2, 1)[0],
        "decoder_3_nxt": second[4].chunk(2, 1)[0],
        "flower_0_conv": network.activate(seen["conv"]),
    }
    for key, value in outputs.items():
        case.check(key, value, atol=atol)
    penalty(case, network)


@torch.no_grad()
def flower_train(case: Case) -> None:
    network, atol = build(case.state, case.folder).train(), case.meta["tolerance"]["atol"]
    for key, value in network(*frames(case)).items():
        case.check(key, value, atol=atol)
    for level, part in enumerate(network.flower):
        case.check(f"running_mean_{level}", part.norm.running_mean, atol=atol)
        case.check(f"running_var_{level}", part.norm.running_var, atol=atol)


@torch.no_grad()
def interpolator(case: Case, order: str = "original") -> None:
    network = build(case.state | {"settings": settings("mish", order, None)}, case.folder)
    assert type(network) is Interpolator
    tolerance = case.meta["tolerance"]
    for key, value in network(*frames(case)).items():
        if key.startswith("img"):
            case.check(key, value - 0.5, atol=tolerance["atol"])
        elif key in case.outputs:  # the flows of level 0 are in no case
            case.check(key, value, atol=tolerance["flow_atol"])
    penalty(case, network)


HANDLERS = {
    "qpwcnet/flower": flower,
    "qpwcnet/flower_train": flower_train,
    "qpwcnet/interpolator": interpolator,
    "qpwcnet/interpolator_fixed_order": lambda case: interpolator(case, "fixed"),
}
