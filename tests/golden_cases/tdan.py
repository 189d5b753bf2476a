"""Reference cases of TDAN's network, operator, losses and training steps, in both published forms."""

import numpy as np
import torch

from common.degrade.matlab_imresize import imresize
from common.degrade.operators import downsample_bd, gaussian_taps
from common.media.color import rgb_to_y
from common.media.frame_windows import neighbour_indices
from common.ops.deform_conv import deform_conv2d
from common.scoring.metrics import psnr, ssim
from tdan.checkpoints import AUTHORS, MMAGIC, build, convert, own_name
from tdan.ensemble import chopped, flipped
from tdan.losses import tdan_loss
from tdan.model import TDAN
from tests.golden_cases.common import chw, hwc
from tests.helpers.golden import Case
from tests.helpers.sides import Twin

CHANNELS = slice(0, 8)  # that the cases keep of an activation
FIRST = slice(0, 1)  # the first neighbour
GRADIENT = 1e-4  # of a gradient's largest entry, or of its norm: the tolerance that the cases name


def unit(levels: np.ndarray, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return (torch.from_numpy(levels).float() / 255).to(dtype)


def network_of(case: Case, dtype: torch.dtype = torch.float32, decide=None) -> TDAN:
    """The case's network; `decide` sees where its taps are between pixels, and what its ReLUs are given."""
    network = build(convert(case.state, case.folder), case.folder).to(dtype)
    assert network.deform[0].border == case.meta.get("border_rule", "torchvision")
    if decide:
        blocks = [*network.blocks_before, *network.blocks_after]
        for layer in (network.first, network.fuse, *(block.conv1 for block in blocks)):
            layer.register_forward_hook(lambda _, given, made: decide(made, 0.0))
        for layer in network.deform:
            layer.register_forward_pre_hook(lambda _, given: (given[0], decide(given[1], given[1].detach().round())))
    return network


def compare(case: Case, compute, limits=None) -> None:
    """Float64's results are the reference's, and our float32's are float64's, whatever rounding decided.

    Args:
        case: keeps the results.
        compute: makes them, by name, for a type and with a `decide` as of `Twin`.
        limits: function of a name and the reference's values; the tolerance. By default the case's `atol`.
    """

    def results(dtype: torch.dtype, decide=None) -> dict[str, np.ndarray]:
        return {key: value.detach().double().numpy() for key, value in compute(dtype, decide).items()}

    single, twin = results(torch.float32), Twin(lambda decide: results(torch.float64, decide))
    expected = {key: case.outputs[key].astype(np.float64) for key in single}
    limits = limits or (lambda key, value: np.array(case.meta["tolerance"]["atol"]))
    halves = {key: limits(key, value) / 2 for key, value in expected.items()}  # float64 is between the two
    for key, value in twin.nearest(expected, halves).items():
        case.check(key, value, atol=halves[key])
    for key, value in twin.nearest(single, halves).items():
        off = (np.abs(value - single[key]) / halves[key]).max()
        assert off <= 1, f"{key}: float32 is off float64 by {off / 2:.3g} of the tolerance"


def deform_conv(case: Case) -> None:
    args = {key: tuple(x) if isinstance(x, list) else x for key, x in case.meta["args"].items()}
    count = args.pop("deform_groups")
    taps = case.tensor("weight")[0, 0].numel()
    assert case.tensor("offset").shape[1] == 2 * taps * count

    def compute(dtype: torch.dtype, decide) -> dict[str, torch.Tensor]:
        inputs = {key: case.tensor(key).to(dtype).requires_grad_() for key in case.inputs if key != "grad_y"}
        image, offset, weight = (inputs[key] for key in ("x", "offset", "weight"))
        offset = decide(offset, offset.detach().round()) if decide else offset
        y = deform_conv2d(
            image, offset, weight, inputs.get("bias"), inputs.get("mask"), **args, border=case.meta["border_rule"]
        )
        y.backward(case.tensor("grad_y").to(dtype))
        return {"y": y, **{f"grad_{key}": tensor.grad for key, tensor in inputs.items()}}

    compare(case, compute)
    if "grad_offset_torchvision" in case.outputs:
        case.decline("grad_offset_torchvision", "a tap exactly one pixel outside: we follow mmcv, in grad_offset")


@torch.no_grad()
def net(case: Case) -> None:
    compare(case, lambda dtype, decide: activations(network_of(case, dtype, decide), case))


def activations(network: TDAN, case: Case) -> dict[str, torch.Tensor]:
    """What a case keeps of a call of the network."""
    seen = {}

    def keep(name):
        """A hook that keeps a module's first result, and what that was made from."""

        def hook(module, given, made):
            seen.setdefault(f"into_{name}", given)
            seen.setdefault(name, made)

        return hook

    network.blocks_before.register_forward_hook(keep("features"))
    network.blocks_after.register_forward_hook(keep("rec1"))
    for k, layer in enumerate(network.deform):
        layer.register_forward_hook(keep(f"deform{k}"))
    made = network(unit(case.inputs["lr"], network.first.weight.dtype))
    first = {k: [x[FIRST] for x in seen[f"into_deform{k}"]] for k in range(4)}  # of the first neighbour
    found = {
        "features_ch0_8": seen["features"][:, CHANNELS],
        "agg0_ch0_8": first[0][0][:, CHANNELS],
        "agg_ch0_8": seen["deform1"][FIRST, CHANNELS],
        "align1_ch0_8": seen["deform2"][FIRST, CHANNELS],
        "align2_ch0_8": seen["deform3"][FIRST, CHANNELS],
        "rec1_ch0_8": seen["rec1"][:, CHANNELS],
        "offset1_group0": first[0][1][:, :18],
        "offset3_group0": first[2][1][:, :18],
        "offset4_group7": first[3][1][:, -18:],
    }
    found = {key: value for key, value in found.items() if key in case.outputs}
    return {"sr": made["pred"] - 0.5, "aligned": made["aligned"] - 0.5, **found}


def losses_of(network: TDAN, case: Case, *weights: float) -> list[dict[str, torch.Tensor]]:
    """The losses of a training step, for one or more weights of the alignment."""
    frames, target = (unit(case.inputs[key], network.first.weight.dtype) for key in ("lr", "gt"))
    outputs = network(frames)
    return [tdan_loss(outputs, frames, target, weight) for weight in weights]


def compare_step(case: Case, table: dict, weights: dict[str, float], named) -> None:
    """Losses and gradients of a training step.

    Args:
        case: keeps the norms of all gradients, in the order of the reference's parameters, as PREFIX_grad_norms, and,
            for the first weight, some gradients.
        table: of the names in the case's checkpoint.
        weights: of the alignment, by the prefixes of the outputs' names.
        named: function of the losses and their weight; the losses that the case keeps, by name without the prefix.
    """

    def compute(dtype: torch.dtype, decide) -> dict[str, torch.Tensor]:
        network, found = network_of(case, dtype, decide), {}
        parameters = dict(network.named_parameters())
        parameters = [parameters[own_name(name, table)] for name in case.state]
        for (prefix, weight), losses in zip(weights.items(), losses_of(network, case, *weights.values()), strict=True):
            gradients = torch.autograd.grad(losses["total"], parameters, retain_graph=True)
            found |= {f"{prefix}{key}": value for key, value in named(losses, weight).items()}
            found[f"{prefix}grad_norms"] = torch.stack([gradient.norm() for gradient in gradients])
            kept = {f"grad_{name}": gradient for name, gradient in zip(case.state, gradients, strict=True)}
            found = {key: kept[key] for key in case.outputs if key in kept} | found  # those of the first weight stay
        return found

    def limit(key: str, value: np.ndarray) -> np.ndarray:
        if "loss" in key:
            return case.meta["tolerance"]["loss_rtol"] * np.abs(value)
        return GRADIENT * (np.abs(value) if "norms" in key else np.abs(value).max())

    compare(case, compute, lambda key, value: limit(key, value) + 1e-9)  # which is nothing beside these losses


def mmagic_training(case: Case) -> None:
    compare_step(
        case,
        MMAGIC,
        {"w0p01_": 0.01, "w0p25_": 0.25},
        lambda losses, _: {"loss_pix": losses["sr"], "loss_pix_lq": losses["align"], "loss_total": losses["total"]},
    )
    for stage, rate, decay in (("stage1", 1e-4, 1e-6), ("stage2", 5e-5, 0.0)):
        network = network_of(case)
        optimizer = torch.optim.Adam(network.parameters(), rate, weight_decay=decay)
        totals = []
        for _ in case.outputs[f"{stage}_losses"]:
            optimizer.zero_grad()
            (losses,) = losses_of(network, case, 0.01)
            losses["total"].backward()
            optimizer.step()
            totals.append(losses["total"].item())
        case.check(f"{stage}_losses", totals, rtol=case.meta["tolerance"]["steps_rtol"])


def authors_training(case: Case) -> None:
    compare_step(
        case,
        AUTHORS,
        {"": 0.25},
        lambda losses, weight: {
            "loss_sr": losses["sr"],
            "loss_align_unweighted": losses["align"] / weight,
            "loss_total": losses["total"],
        },
    )


@torch.no_grad()
def chop_and_flip(case: Case) -> None:
    def compute(dtype: torch.dtype, decide) -> dict[str, torch.Tensor]:
        network, frames = network_of(case, dtype, decide), unit(case.inputs["lr"], dtype)
        return {
            "chop": chopped(lambda part: network(part)["pred"], frames, 4) - 0.5,
            "ensemble": flipped(lambda part: network(part)["pred"], frames) - 0.5,
        }

    compare(case, compute)


def degradations(case: Case) -> None:
    atol = case.meta["tolerance"]["atol"]
    gt, odd = (hwc(case.inputs[key]) / 255 for key in ("gt", "gt_odd"))
    bi, bd = imresize(gt, scale=1 / 4), downsample_bd(gt)
    case.check("bi_float", chw(bi), atol=atol)
    case.check("bd_float", chw(bd), atol=atol)
    taps = gaussian_taps(12, 1.6)
    case.check("bd_kernel", np.outer(taps, taps), atol=atol)
    case.check("bi_up4_float", chw(imresize(bi, scale=4)), atol=atol)
    case.check("bi_float_odd", chw(imresize(odd, scale=1 / 4)), atol=atol)
    case.check("duf_float", chw(downsample_bd(gt, kind="duf")), atol=atol)
    whole = hwc(case.inputs["gt"])
    for key, levels in (("bi_u8", imresize(whole, scale=1 / 4)), ("bd_u8", downsample_bd(whole))):
        case.check(key, chw(levels), outliers=0.002)  # of ties
        assert np.abs(chw(levels) - case.outputs[key]).max() <= 1


def bi_uint8(case: Case) -> None:
    gt, odd = (hwc(case.inputs[key]) for key in ("gt", "gt_odd"))
    low = imresize(gt, scale=1 / 4, rounding="per-axis")
    for key, levels in {
        "lr": low,
        "lr_odd": imresize(odd, scale=1 / 4, rounding="per-axis"),
        "lr_up4": imresize(hwc(case.inputs["lr"]), scale=4, rounding="per-axis"),
        "lr_float_passes": imresize(gt, scale=1 / 4),
    }.items():
        case.check(key, chw(levels), outliers=0.001)  # of ties
        assert np.abs(chw(levels) - case.outputs[key]).max() <= 1


def metrics(case: Case) -> None:
    gt, pred = (hwc(case.inputs[key]) for key in ("gt", "pred"))
    rounded = np.round(pred).clip(0, 255)
    tolerance = case.meta["tolerance"]
    case.check("gt_y", rgb_to_y(gt), atol=tolerance["gt_y"])
    for key in case.outputs:
        measure, *rest = key.removeprefix("basicsr_").split("_")
        if measure not in ("psnr", "ssim"):
            continue
        space, kind, crop = rest
        border = int(crop.removeprefix("crop"))
        cut = slice(border, -border or None)
        images = [(gt if image is gt else {"float": pred, "u8": rounded}[kind])[cut, cut] for image in (gt, pred)]
        if space == "y":
            images = [rgb_to_y(image / 255) for image in images]
        value = psnr(*images, peak=255) if measure == "psnr" else ssim(*images, kind="wang", peak=255)
        case.check(key, value, atol=tolerance[measure])
    shaved = [rgb_to_y(image / 255)[4:-4, 4:-4] for image in (gt, rounded)]
    case.check("tdan2018_psnr_y_shave4", psnr(*shaved, peak=255), atol=tolerance["psnr"])
    case.check("tdan2018_ssim_rgb", ssim(gt / 255, pred / 255, kind="same-zero", peak=1), atol=tolerance["ssim"])


def frame_windows(case: Case) -> None:
    for key, rows in case.outputs.items():
        padding, _, length = key.rpartition("_")
        padding = {"tdan2018": "tdan_eval"}.get(padding, padding)
        case.check(key, [neighbour_indices(k, 5, int(length), padding=padding) for k in range(len(rows))])


HANDLERS = {
    "tdan/deform_conv": deform_conv,
    "tdan/mmagic_net": net,
    "tdan/tdan2018_net": net,
    "tdan/mmagic_training": mmagic_training,
    "tdan/tdan2018_training": authors_training,
    "tdan/tdan2018_chop_and_flip": chop_and_flip,
    "tdan/degradations": degradations,
    "tdan/degradation_bi_matlab_uint8": bi_uint8,
    "tdan/metrics": metrics,
    "tdan/frame_windows": frame_windows,
}
