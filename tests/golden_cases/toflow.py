"""Reference cases of TOFlow's networks, losses and training steps."""

from dataclasses import replace

import numpy as np
import torch

from common.checkpoints import checkpoint_file
from common.degrade.matlab_imresize import imresize
from common.degrade.operators import add_noise
from common.media.color import rgb_to_y
from common.ops.pad import pad_to_multiple
from common.ops.warp import backward_warp
from common.scoring.metrics import interpolation_error, psnr, ssim
from tests.helpers.golden import Case
from toflow.checkpoints import convert, names, spynet_names, unwrap
from toflow.losses import charbonnier, l1
from toflow.model import FORMS, SPyNet, TOFlow

NCHW = torch.contiguous_format


def unit(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frames).float() / 255


def build(case: Case, form: str) -> TOFlow:
    state, layout = unwrap(case.state, case.folder)
    align_corners = "align_corners=False" not in case.meta.get("align_corners", "")
    network = TOFlow(replace(FORMS[form], align_corners=align_corners))
    checkpoint_file.load_strict(network, convert(state, layout, form), case.folder)
    return network.eval()


def check(case: Case, **values: torch.Tensor) -> None:
    for key, value in values.items():
        case.check(key, value, atol=case.meta["atol"][key])


def normalised(network: TOFlow, image: torch.Tensor) -> torch.Tensor:
    return (image - network.mean[0]) / network.std[0]


def levels(image: torch.Tensor) -> torch.Tensor:
    return 255 * image.clamp(0, 1)


@torch.no_grad()
def vfi(case: Case, form: str) -> None:
    network = build(case, form)
    found = network(unit(case.inputs["frames"]))
    values = {"output": normalised(network, found["pred"]), "image": levels(found["pred"])}
    warped = (found["warped"] - network.mean) / network.std
    check(case, **values, flow_01=2 * found["flows"][:, 0], flow_10=2 * found["flows"][:, 1], warped=warped)


@torch.no_grad()
def vfi_padded(case: Case) -> None:
    network = build(case, "mmagic_vfi")
    frames, unpad = pad_to_multiple(unit(case.inputs["frames"]), 16, "reflect")
    pred = network(frames)["pred"]
    check(case, output=normalised(network, pred), image=levels(unpad(pred)))


@torch.no_grad()
def seven(case: Case, form: str, normalise: bool = False) -> None:
    network = build(case, form)
    found = network(unit(case.inputs["frames"]))
    check(case, flows=found["flows"], output=normalised(network, found["pred"]) if normalise else found["pred"])
    if normalise:
        check(case, image=levels(found["pred"]))


@torch.no_grad()
def py_interp(case: Case) -> None:
    network = build(case, "pytoflow_interp")
    found = network(unit(case.inputs["frames"]))
    warped = (found["warped"] - network.mean) / network.std
    values = {"flow_01": 2 * found["flows"][:, 0], "flow_10": 2 * found["flows"][:, 1], "warped": warped}
    check(case, output=found["pred"], **values)


@torch.no_grad()
def spynet(case: Case, form: str, count: int = 4) -> None:
    state, layout = unwrap(case.state, case.folder)
    network = SPyNet(FORMS[form], levels=count)
    table = dict(spynet_names(layout, FORMS[form].batch_norm, count))
    checkpoint_file.load_strict(network, {f"levels.{table[key]}": x for key, x in state.items()})
    residuals = []
    for level in network.eval().levels:
        level.register_forward_hook(lambda *call: residuals.append(call[2].clone()))
    mean, std = TOFlow(FORMS[form]).mean, TOFlow(FORMS[form]).std
    first, second = ((unit(case.inputs["frames"]) - mean) / std).unbind(1)
    check(case, flow=network(first, second, NCHW))
    for number, residual in enumerate(residuals):
        if f"residual{number}" in case.outputs:
            check(case, **{f"residual{number}": residual})


def train(case: Case, form: str, loss_of, **adam) -> None:
    network = build(case, form).train()
    _, layout = unwrap(case.state, case.folder)
    own = names(layout, form)
    parameters = dict(network.named_parameters())
    optimizer = torch.optim.Adam(network.parameters(), weight_decay=1e-4, **adam)
    loss = loss_of(network, network(unit(case.inputs["frames"]))["pred"], unit(case.inputs["target"]))
    loss.backward()
    check(case, loss=loss)
    if "grad_norm" in case.outputs:
        check(case, grad_norm=torch.stack([p.grad.norm() for p in parameters.values()]).norm())
    keys = [key for key in case.outputs if ":" in key]
    for key in keys:
        if key.startswith("grad:"):
            check(case, **{key: parameters[own[key.removeprefix("grad:")]].grad})
    optimizer.step()
    for key in keys:
        if key.startswith("param1:"):
            check(case, **{key: parameters[own[key.removeprefix("param1:")]]})


def mm_loss(network, prediction, target):
    return charbonnier(normalised(network, prediction), normalised(network, target))


def losses(case: Case) -> None:
    prediction, target = case.tensor("pred").requires_grad_(), case.tensor("target")
    for name, loss in (("charbonnier_mean", charbonnier(prediction, target)), ("l1", l1(prediction, target))):
        (gradient,) = torch.autograd.grad(loss, prediction)
        check(case, **{name: loss, f"{name}_grad": gradient})
    # The sum is the mean times the count; the weighted forms no training uses: by their formulas.
    total = charbonnier(prediction, target) * prediction.numel()
    check(case, charbonnier_sum=total, charbonnier_sum_grad=torch.autograd.grad(total, prediction)[0])
    check(case, charbonnier_w07_eps1e6=0.7 * charbonnier(prediction, target, epsilon=1e-6))
    each = ((prediction - target).square() + 1e-12).sqrt()
    weight = case.tensor("weight").expand_as(each)
    check(case, charbonnier_weighted=(each * weight).sum() / weight.sum())
    sums = [x.sum((1, 2, 3)) for x in (each * weight, weight)]
    check(case, charbonnier_weighted_samplewise=(sums[0] / sums[1]).mean())
    check(case, mse=(prediction - target).square().mean())
    flow, truth = case.tensor("flow"), case.tensor("flow_gt")
    check(case, flow_l1=l1(flow, truth), flow_epe=(flow - truth).norm(dim=1).mean())


def warps(case: Case) -> None:
    image, flow = case.tensor("image"), case.tensor("flow")
    zeros = backward_warp(image, flow, padding="zeros")
    check(case, zeros=zeros, lua_zeros=zeros, border=backward_warp(image, flow, padding="border"))
    check(case, newtorch_border=backward_warp(image, flow, padding="border", align_corners=False))
    first = backward_warp(image[:1], flow[:1], padding="zeros", align_corners=False)
    check(case, newtorch_zeros_first=first)


def noise(case: Case) -> None:
    image, gauss = case.inputs["image"], case.inputs["gauss"]
    impulses = {"colour": case.inputs["uniform"], "mask": case.inputs["mask_uniform"]}
    check(case, gaussian=add_noise(image, gauss=gauss), mixed=add_noise(image, gauss=gauss, **impulses))
    check(case, pytoflow_mixed=add_noise(image, gauss=np.maximum(gauss, 0), **impulses))


def bicubic(case: Case) -> None:
    image = case.inputs["image"]
    low = imresize(image / 255, scale=1 / 4)
    blur = imresize(low, scale=4)
    check(case, low=low, blur=blur)
    for key, value in (("low_uint8", low), ("blur_uint8", blur)):
        case.check(key, np.floor(255 * np.clip(value, 0, 1) + 0.5), outliers=1e-3)


def metrics(case: Case) -> None:
    prediction, truth = (np.moveaxis(case.inputs[key], 0, -1) for key in ("pred", "gt"))
    check(case, psnr_rgb=psnr(prediction, truth, peak=255.0), ssim_rgb=ssim(prediction, truth, kind="wang", peak=255.0))
    check(case, ssim_matlab_volume=ssim(prediction / 255, truth / 255, kind="volume", peak=1.0))
    check(case, mae=interpolation_error(prediction, truth) / 255)
    y = [rgb_to_y(image) for image in (prediction, truth)]
    check(case, psnr_y=psnr(*y, peak=255.0), ssim_y=ssim(*y, kind="wang", peak=255.0))


HANDLERS = {
    "toflow/mm_vfi_nobn": lambda case: vfi(case, "mmagic_vfi"),
    "toflow/mm_vfi_bn": lambda case: vfi(case, "mmagic_vfi_bn"),
    "toflow/mm_vfi_padded": vfi_padded,
    "toflow/mm_vfi_train": lambda case: train(case, "mmagic_vfi", mm_loss, lr=5e-5, betas=(0.9, 0.99)),
    "toflow/mm_vsr_official": lambda case: seven(case, "official_sr", normalise=True),
    "toflow/mm_vsr_scratch": lambda case: seven(case, "mmagic_vsr", normalise=True),
    "toflow/basicsr_vsr_official": lambda case: seven(case, "official_sr"),
    "toflow/py_interp": py_interp,
    "toflow/py_interp_small": py_interp,
    "toflow/py_interp_newtorch": py_interp,
    "toflow/py_interp_train": lambda case: train(case, "pytoflow_interp", lambda _, a, b: l1(a, b), lr=3e-5),
    "toflow/py_denoise": lambda case: seven(case, "pytoflow_denoise"),
    "toflow/py_sr": lambda case: seven(case, "pytoflow_sr"),
    "toflow/spynet_mm_vfi": lambda case: spynet(case, "mmagic_vfi"),
    "toflow/spynet_mm_vsr": lambda case: spynet(case, "official_sr"),
    "toflow/spynet_py": lambda case: spynet(case, "pytoflow_interp"),
    "toflow/spynet_sniklaus": lambda case: spynet(case, "pytoflow_interp", count=6),
    "toflow/losses": losses,
    "toflow/warps": warps,
    "toflow/noise": noise,
    "toflow/bicubic": bicubic,
    "toflow/metrics": metrics,
}
