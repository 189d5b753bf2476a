"""Handlers of the `qpwcnet/*` reference cases that need no network."""

import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from common.media.flow_color import color_wheel, flow_to_image
from common.media.flow_file import read_flow, write_flow
from common.ops.correlation import correlation
from common.ops.warp import backward_warp
from qpwcnet import augment, gradient_clipping, losses, schedule
from tests.helpers import original_flow_ops
from tests.helpers.golden import Case


def last(array: np.ndarray) -> np.ndarray:
    """Channels last: (..., C, H, W) -> (..., H, W, C), contiguous."""
    return np.ascontiguousarray(np.moveaxis(array, -3, -1))


def first(array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array, -1, -3)


def agc(case: Case) -> None:
    parameters = {}
    for key in case.outputs:
        parameters[key] = case.tensor(f"param_{key}").requires_grad_()
        parameters[key].grad = case.tensor(f"grad_{key}")
    gradient_clipping.clip_gradients(parameters.values())
    for key, parameter in parameters.items():
        case.check(key, parameter.grad, rtol=case.meta["tolerance"]["rtol"])


def augmentation(case: Case) -> None:
    atol, draws = case.meta["tolerance"]["atol"], case.meta["draws"]
    frames = [last(frame) for frame in np.split(case.inputs["ims"], 2)]
    flow = last(case.inputs["flow"])

    def check(name: str, images: list[np.ndarray], flow: np.ndarray) -> None:
        case.check(f"{name}_ims", first(np.concatenate(images, 2)), atol=atol)
        case.check(f"{name}_flow", first(flow), atol=atol)

    for name, flips in (("flip_ud", (True, False)), ("flip_lr", (False, True))):
        check(name, [augment.flip(frame, *flips) for frame in frames], augment.flip_flow(flow, *flips))
    *size, scale = augment.scaled_size(flow.shape, draws["scale"], 32, 48)
    place = (draws["crop_y"], draws["crop_x"], 32, 48)
    *cropped, moved = augment.scale_crop([*frames, flow], scale, tuple(size), *place)
    check("scale_crop", cropped, moved)
    for name, size in (("resize", (24, 80)), ("resize_small", (15, 21))):
        found = [x.numpy().transpose(1, 2, 0) for x in augment.resize_pair(*frames, flow, *size)]
        check(name, found[:2], found[2])
    colours = [draws[name] for name in ("hue", "brightness", "saturation", "contrast")]
    draw = augment.PairDraw(False, False, 1.0, 0.0, 0.0, *colours)
    one_below_the_other = np.concatenate(np.split(case.inputs["ims"], 2), 1)
    changed = np.split(augment.change_colours(one_below_the_other, draw), 2, 1)
    case.check("colors_ims", np.concatenate(changed), atol=atol)
    wide = case.inputs["wide"]
    case.check("wide_saturation", augment.adjust_saturation(wide, 1.4), atol=atol)
    case.check("wide_hue", augment.adjust_hue(wide, 0.17), atol=atol)
    case.check("rotation", np.stack([augment.rotation(euler) for euler in case.inputs["euler"]]), atol=atol)

    triplets = []
    for n, frames in enumerate(case.inputs["triplet"]):
        vectors = (case.inputs[f"triplet_{name}"][n] for name in ("txn", "rxn", "logscale"))
        flips = (bool(case.inputs[f"triplet_flip_{axis}"][n] < 0.5) for axis in ("ud", "lr"))
        draw = augment.TripletDraw(*vectors, last(case.inputs["triplet_noise"][n]), *flips)
        triplets.append([first(frame) for frame in augment.change_triplet(last(frames), draw)])
    case.check("triplet", np.array(triplets), atol=atol)


def cost_volume(case: Case) -> None:
    for radius in (4, 2):
        found = F.leaky_relu(correlation(case.tensor("prv"), case.tensor("nxt"), radius=radius), 0.1)
        case.check(f"r{radius}", found, atol=case.meta["tolerance"]["atol"])


def flo_format(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, again = Path(folder, "a.flo"), Path(folder, "b.flo")
        path.write_bytes(case.inputs["file_bytes"].tobytes())
        flow, _ = read_flow(path)
        write_flow(again, flow)
        assert again.read_bytes() == path.read_bytes()
    case.check("flow", first(flow))


def flow_image(case: Case) -> None:
    atol = case.meta["tolerance"]["atol"]
    case.check("image", original_flow_ops.flow_to_hsv_image(case.tensor("flow")), atol=atol)
    case.check("zero_image", original_flow_ops.flow_to_hsv_image(case.tensor("zero")), atol=atol)
    case.check("cost_flow", original_flow_ops.cost_volume_to_flow(case.tensor("cost_volume")), atol=atol)


def training_losses(case: Case) -> None:
    rtol = case.meta["tolerance"]["rtol"]
    label, image = case.tensor("flow_true"), case.tensor("img_true")
    for scale in (32, 16, 8, 4, 2, 1):
        for key, name in (("v2", "huber"), ("mse", "l2"), ("finetune", "robust")):
            case.check(f"{key}_{scale}", losses.FLOW_LOSSES[name](case.tensor(f"pred_{scale}"), label), rtol=rtol)
        case.check(f"auto_resize_{scale}", losses.image_mse(case.tensor(f"img_{scale}"), image), rtol=rtol)
    case.check("epe", losses.epe(case.tensor("pred_1"), label), rtol=rtol)


def middlebury_colors(case: Case) -> None:
    atol, flow = case.meta["tolerance"]["atol"], last(case.inputs["flow"])
    case.check("image", first(flow_to_image(flow)), atol=atol)
    case.check("image_unit", first(flow_to_image(flow / 4, scale=1.0)), atol=atol)
    case.check("wheel", color_wheel())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.png")
        write_flow(path, flow)
        flow, valid = read_flow(path)
    case.check("kitti_flow", first(flow))
    case.check("kitti_valid", valid)


def mish(case: Case) -> None:
    # At 8 the reference's tanh has already rounded to 1, which is 1.8e-6 off the true value: 8 times two float32 steps.
    case.check("y", F.mish(case.tensor("x")), atol=case.meta["tolerance"]["atol"], rtol=2**-22)


def occlusion(case: Case) -> None:
    atol, flow = case.meta["tolerance"]["atol"], case.tensor("flow")
    case.check("inverse_flow", original_flow_ops.inverse_flow(flow), atol=atol)
    case.check("occlusion", original_flow_ops.occlusion(flow), atol=atol)


def pwc_losses(case: Case) -> None:
    rtol, label = case.meta["tolerance"]["rtol"], case.tensor("flow")
    levels = range(2, 7)
    flows = [case.tensor(f"flow{level}") for level in levels]
    for level, flow in zip(levels, flows, strict=True):
        case.check(f"paper_l2_{level}", losses.pwc_level(flow, label), rtol=rtol)
        case.check(f"paper_robust_{level}", losses.pwc_level(flow, label, robust_form=True), rtol=rtol)
    case.check("paper_l2", losses.pwc_multiscale(flows, label), rtol=rtol)
    case.check("paper_robust", losses.pwc_multiscale(flows, label, robust=True), rtol=rtol)
    # The other code base weighs the levels in the opposite order and nobody trains with it: the formulas, so that the
    # case is complete.
    differences = [flow - losses.average_pool(label / 20, flow) for flow in flows]
    weights = [0.32 / 2**i for i in range(5)]
    l2 = sum(w * losses.length(d).mean() for w, d in zip(weights, differences, strict=True))
    l1 = sum(w * d.abs().mean() for w, d in zip(weights, differences, strict=True))
    case.check("multiscale_L2_default", l2, rtol=rtol)
    case.check("multiscale_L1_default", l1, rtol=rtol)


def schedules(case: Case) -> None:
    for name in ("piecewise", "cyclic"):
        for batch in (8, 16):
            rates = [schedule.SCHEDULES[name](int(step), batch) for step in case.inputs["steps"]]
            case.check(f"{name}_{batch}", rates, rtol=case.meta["tolerance"]["rtol"])


def warp(case: Case) -> None:
    atol, image, flow = case.meta["tolerance"]["atol"], case.tensor("img"), case.tensor("flow")
    case.check("border", backward_warp(image, flow, padding="border"), atol=atol)
    case.check("legacy", original_flow_ops.legacy_warp(image, flow), atol=atol)
    case.check("legacy_zero_flow", original_flow_ops.legacy_warp(image, torch.zeros_like(flow)), atol=atol)


HANDLERS = {
    "qpwcnet/agc": agc,
    "qpwcnet/augment": augmentation,
    "qpwcnet/cost_volume": cost_volume,
    "qpwcnet/flo_format": flo_format,
    "qpwcnet/flow_image": flow_image,
    "qpwcnet/losses": training_losses,
    "qpwcnet/middlebury_colors": middlebury_colors,
    "qpwcnet/mish": mish,
    "qpwcnet/occlusion": occlusion,
    "qpwcnet/pwc_losses": pwc_losses,
    "qpwcnet/schedules": schedules,
    "qpwcnet/warp": warp,
}
