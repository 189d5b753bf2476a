"""Handlers of the `ifrnet/*` reference cases."""

import numpy as np
import torch

from common.checkpoints.checkpoint_file import load_strict
from common.ops.pad import pad_centred
from ifrnet import samples, schedule
from ifrnet.losses import charbonnier, distillation, geometry, robust_weight, ternary, training_losses
from ifrnet.model import IFRNet
from tests.helpers.golden import Case


def unit(array: np.ndarray) -> torch.Tensor:
    """Uint8 frames -> float32 in [0, 1]."""
    return torch.from_numpy(array).float() / 255


def network(case: Case, state: dict | None = None) -> IFRNet:
    net = IFRNet(case.meta["network"])
    load_strict(net, case.state if state is None else state)
    return net


def close(case: Case, key: str, value, *, rtol: float, of_max: bool = False) -> None:
    """Relative tolerance, of each value or of the largest."""
    scale = np.abs(case.outputs[key]).max()
    case.check(key, value, **({"atol": rtol * scale} if of_max else {"rtol": rtol}))


@torch.no_grad()
def forward(case: Case) -> None:
    meta, times = case.meta, case.tensor("t")
    scale = meta["scale_factor"]
    frames = unit(np.concatenate((case.inputs["frame0"], case.inputs["frame1"])))
    if meta["padder"]:
        divisor = int(meta["padder"].split("multiple of ")[1].split(",")[0])
        frames, unpad = pad_centred(frames, divisor)
    outputs = network(case)(frames[:1], frames[1:], times, scale)
    if meta["padder"]:
        outputs |= {"pred_padded": outputs["pred"], "pred": unpad(outputs["pred"])}
    outputs |= {"feat2_head": outputs["feat2"][:, :4], "feat1_head": outputs["feat1"][:, :2]}
    for key in case.outputs:
        case.check(key, outputs[key], atol=meta["tolerance"]["atol"])


def train(case: Case) -> None:
    tolerance = case.meta["tolerance"]
    net = network(case)
    frame0, target, frame1 = (unit(case.inputs[name]) for name in ("frame0", "framet", "frame1"))
    labels = case.tensor("flow") if "flow" in case.inputs else None

    def losses() -> tuple[dict, dict]:
        outputs, features = net.train_outputs(frame0, frame1, case.tensor("t"), target)
        return training_losses(outputs, target, features, labels), outputs

    found, outputs = losses()
    case.check("pred", outputs["pred"], atol=tolerance["atol"])
    total = sum(found.values())
    values = torch.stack([*found.values(), total])
    close(case, "losses", values, rtol=tolerance["losses_rtol"])
    total.backward()
    gradients = {name: parameter.grad.clone() for name, parameter in net.named_parameters()}
    norms = [gradients[key].norm() for key in case.meta["grad_keys"]]
    close(case, "grad_norms", torch.stack(norms), rtol=tolerance["grad_norms_rtol"])
    for key in case.outputs:
        if key.startswith("grad:"):
            close(case, key, gradients[key.removeprefix("grad:")], rtol=tolerance["grad_max_rel"], of_max=True)
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0)
    steps = []
    for step in range(len(case.outputs["step_losses"])):
        optimizer.param_groups[0]["lr"] = 1e-5 + 9e-5 * 0.5 * (1 + np.cos(np.pi * step / 10))
        optimizer.zero_grad()
        found, _ = losses()
        steps.append([loss.item() for loss in found.values()])
        sum(found.values()).backward()
        optimizer.step()
    close(case, "step_losses", steps, rtol=tolerance["step_losses_rtol"])


def losses(case: Case) -> None:
    tolerance = case.meta["tolerance"]
    names = ("x", "y", "feat_x", "feat_y", "flow_pred")
    x, y, feature_x, feature_y, flow = (case.tensor(name).requires_grad_() for name in names)
    label, mask = case.tensor("flow_gt"), case.tensor("mask")
    weight = robust_weight(flow.detach(), label)

    def check(key: str, loss: torch.Tensor, **gradients: torch.Tensor) -> None:
        close(case, key, loss, rtol=tolerance["losses_rtol"])
        found = torch.autograd.grad(loss, list(gradients.values()))
        for name, gradient in zip(gradients, found, strict=True):
            close(case, name, gradient, rtol=tolerance["grad_rtol_of_max"], of_max=True)

    check("ternary", ternary(x, y), ternary_grad=x)
    check("geometry", geometry(feature_x, feature_y), geometry_grad_x=feature_x, geometry_grad_y=feature_y)
    check("charbonnier", charbonnier(x, y), charbonnier_grad=x)
    check("distill", distillation(flow, label, weight), distill_grad=flow)
    case.check("robust_weight", weight, atol=tolerance["atol"])
    # The masked form is in the published file and never used: the formula, so that the case is complete.
    masked = ((x - y).square().add(1e-6).sqrt() * mask).mean() / (mask.mean() + 1e-9)
    close(case, "charbonnier_masked", masked, rtol=tolerance["losses_rtol"])


@torch.no_grad()
def mmediting(case: Case) -> None:
    from ifrnet.checkpoints import adapt

    frames = unit(case.inputs["frames"])  # B 2 3 H W
    state, size = adapt(case.state, "the case")
    assert size == case.meta["network"]
    count = case.outputs["pred"].shape[1]
    times = torch.arange(1, count + 1) / (count + 1)
    outputs = network(case, state)(frames[:, 0], frames[:, 1], times.repeat(len(frames)))
    tolerance = case.meta["tolerance"]
    pred = outputs["pred"].unflatten(0, (-1, count))
    case.check("pred", pred, atol=tolerance["atol"])
    if "pred_255" in case.outputs:
        squeezed = case.outputs["pred_255"].shape
        case.check("pred_255", (255 * pred).reshape(squeezed), atol=tolerance["pred_255"])
    for key in case.outputs:
        if key == "feat3_head":
            case.check(key, outputs["feat3"][:, :4], atol=tolerance["atol"])
        elif key.startswith("flow"):
            case.check(key, outputs[key], atol=tolerance["atol"])


def augment_vimeo(case: Case) -> None:
    frames = [case.inputs[name] for name in ("img0", "imgt", "img1")]
    atol = case.meta["tolerance"]["atol"]
    changes = {
        "random_resize": samples.enlarge,
        "random_reverse_channel": samples.reverse_channels,
        "random_vertical_flip": samples.flip_vertical,
        "random_horizontal_flip": samples.flip_horizontal,
        "random_rotate": samples.transpose,
        "random_reverse_time": samples.reverse_time,
    }
    for key in case.outputs:
        name, what = key.split(":")
        if name.startswith("pipe"):
            seed = int(case.inputs["seeds"][int(name.removeprefix("pipe"))])
            dice = samples.Dice(0)
            dice.coins.seed(seed)
            dice.places.seed(seed)
            changed, flow = samples.augment(frames, case.inputs["flow"], dice, 24, 32)
        else:
            changed, flow = changes[name](frames, case.inputs["flow"])
        found = dict(zip(("img0", "imgt", "img1"), changed, strict=True)) | {"flow": flow}
        channels = case.outputs[key].shape[2]
        case.check(key, found[what][..., :channels].astype(np.float64), atol=atol)


def lr(case: Case) -> None:
    steps = int(case.inputs["epochs"]) * int(case.inputs["iters_per_epoch"])
    rates = [schedule.learning_rate(int(step), steps, 1e-4, 1e-5) * 1e6 for step in case.inputs["iters"]]
    case.check("lr_x1e6", rates, atol=case.meta["tolerance"]["atol"])


HANDLERS = {
    "ifrnet/augment_vimeo": augment_vimeo,
    "ifrnet/lr": lr,
    "ifrnet/forward": forward,
    "ifrnet/train": train,
    "ifrnet/losses": losses,
    "ifrnet/mmediting": mmediting,
}
