"""Reference cases of common/: what computes each output, by the kind of case."""

import re
import tempfile
from pathlib import Path

import numpy as np

from common.degrade.matlab_imresize import imresize
from common.degrade.operators import add_noise, average_blur, downsample_bd, gaussian_taps
from common.media.color import luma, rgb_to_y, rgb_to_ycbcr, ycbcr_to_rgb
from common.media.flow_color import color_wheel, flow_to_image
from common.media.flow_file import read_flow, write_flow
from common.media.frame_windows import neighbour_indices
from common.ops.correlation import correlation
from common.ops.warp import backward_warp
from common.scoring.metrics import (
    end_point_error,
    flow_metrics_dense,
    flow_metrics_kitti,
    flow_metrics_per_image,
    interpolation_error,
    psnr,
    ssim,
)
from tests.helpers.golden import Case


def hwc(image):
    return np.moveaxis(image, -3, -1)


def chw(image):
    return np.moveaxis(image, -1, -3)


def check_levels(case: Case, key: str, levels, exact=None, outliers=0.0):
    """uint8 outputs: equal, but for one level where the unrounded value `exact` lies within 1e-4 of a half."""
    levels, expected = chw(levels).astype(float), case.outputs[key]
    assert np.abs(levels - expected).max() <= 1, key
    if exact is not None:
        undecided = np.abs(chw(exact) % 1 - 0.5) < 1e-4
        levels = np.where(undecided, expected, levels)
    case.check(key, levels, outliers=outliers)


def bd_downsample(case: Case):
    tolerance = case.meta["tolerance"]["float"]
    for key in case.outputs:
        if key.startswith("kernel"):
            taps = gaussian_taps(int(key.removeprefix("kernel")), 1.6)
            case.check(key, np.outer(taps, taps), atol=tolerance)
            continue
        name, method, *scale, kind = key.split("_")
        method = {"bdx4": "bd"}.get(method, method)
        scale = int(re.search(r"\d+", scale[0])[0]) if scale else 4
        image = hwc(case.inputs[name])
        exact = downsample_bd(image / 255, kind=method, scale=scale)
        if kind == "float":
            case.check(key, chw(exact), atol=tolerance)
        else:
            check_levels(case, key, downsample_bd(image, kind=method, scale=scale), exact * 255)


def imresize_case(case: Case):
    for key in case.outputs:
        name, how, kind = re.fullmatch(r"(img\d+)_(.+)_(float|uint8|matlabuint8)", key).groups()
        image = hwc(case.inputs[name])
        if how.startswith("to_"):
            target = {"size": tuple(int(length) for length in how[3:].split("x"))}
        else:
            factor = int(how[1:])
            target = {"scale": factor if how[0] == "u" else 1 / factor}
        exact = imresize(image, **target, rounding=None)
        if kind == "float":
            case.check(key, chw(exact), atol=case.meta["tolerance"]["float"])
        elif kind == "uint8":
            check_levels(case, key, imresize(image, **target), exact * 255)
        else:
            check_levels(case, key, imresize(image, **target, rounding="per-axis"), outliers=0.001)


def ycbcr(case: Case):
    rgb = hwc(case.inputs["rgb"])
    tolerance = case.meta["tolerance"]
    y = rgb_to_y(rgb)
    for key in ("mm_y_float", "duf_y", "skimage_y"):
        case.check(key, y, atol=tolerance["float"])
    case.check("y_uint8", rgb_to_y(rgb, rounded=True), atol=tolerance["uint8"])
    case.check("bgr_as_rgb_y_uint8", rgb_to_y(rgb[..., ::-1], rounded=True), atol=tolerance["uint8"])
    levels = rgb_to_ycbcr(rgb, rounded=True)
    case.check("ycbcr_uint8", chw(levels), atol=tolerance["uint8"])
    # The reference casts values outside 0..255 without clipping: hold the unclipped values, wrapped likewise.
    back = ycbcr_to_rgb(levels) * 255
    case.check("back_rgb_uint8", chw(np.round(back) % 256), atol=tolerance["uint8"])
    clipped = ycbcr_to_rgb(levels, rounded=True)
    assert np.array_equal(clipped, np.clip(np.round(back), 0, 255))
    case.check("pvd_pixelvolume_grey", luma(rgb, (0.2989, 0.587, 0.114)), atol=tolerance["float"])
    case.check("sof_y", luma(rgb, (0.257, 0.504, 0.098)) + 16, atol=tolerance["float"])
    for key in ("pil_y_jpeg_fullrange", "cv2_y_fullrange"):
        assert np.abs(case.outputs[key] - y).max() > 5
        case.decline(key, "the full-range Y of JPEG, on which published scores were never measured")


def one_metric(name, truth, prediction, crop):
    """One published number of a pair of uint8 images HxWx3 or HxWx1."""
    if name.endswith("_crop"):
        truth, prediction = (image[crop:-crop, crop:-crop] for image in (truth, prediction))
    shave = (slice(4, -4), slice(4, -4))
    if name.startswith(("mm_", "bs_", "duf_", "matlab_")) and "_y" in name:
        truth, prediction = (rgb_to_y(image, rounded="_y8" in name) for image in (truth, prediction))
    match name.removesuffix("_crop"):
        case "mm_mae":
            return interpolation_error(truth / 255, prediction / 255)
        case "ifr_ie":
            return interpolation_error(truth, prediction)
        case "ifr_psnr" | "pvd_psnr":
            return psnr(truth / 255, prediction / 255, peak=1)
        case "tdan_psnr":
            return psnr(rgb_to_y(truth)[shave], rgb_to_y(prediction)[shave], peak=255)
        case "tdan_ssim":
            return ssim(truth / 255, prediction / 255, kind="same-zero", peak=1)
        case "ifr_ssim2d":
            return ssim(truth / 255, prediction / 255, kind="same-replicate", peak=1)
        case "ifr_ssim3d" | "matlab_ssim3d":
            return ssim(truth / 255, prediction / 255, kind="volume", peak=1)
        case "pvd_ssim":
            return ssim(truth / 255, prediction / 255, kind="uniform7", peak=1)
        case "sk_ssim_u8" | "sk7_ssim_u8":
            return ssim(truth, prediction, kind="uniform7", peak=255)
        case other if "psnr" in other:
            return psnr(truth, prediction, peak=255)
        case other if "ssim" in other:
            return ssim(truth, prediction, kind="wang", peak=255)
    raise AssertionError(f"no metric {name}")


def metrics(case: Case):
    tolerance = case.meta["tolerance"]
    single = next(value for key, value in tolerance.items() if "float32" in key)
    for pair, expected in case.outputs.items():
        order = case.meta.get(f"{pair}_order", case.meta["order"])
        truth, prediction = hwc(case.inputs[f"{pair}_gt"]), hwc(case.inputs[f"{pair}_pred"])
        values = [one_metric(name, truth, prediction, case.meta["crop"].get(pair)) for name in order]
        for name, value, wanted in zip(order, values, expected, strict=True):
            if "psnr" in name:
                limit = tolerance["psnr above 60 dB"] if wanted > 60 else tolerance["psnr"]
            elif name in ("ifr_ssim3d", "ifr_ssim2d", "tdan_ssim"):
                limit = single
            else:
                limit = tolerance["ssim"]
            assert np.isclose(value, wanted, rtol=0, atol=limit), f"{pair} {name}: {value}, the reference has {wanted}"
        case.check(pair, values, atol=tolerance["psnr above 60 dB"])


def warp(case: Case):
    image, flow = case.tensor("img"), case.tensor("flow")
    atol = case.meta["tolerance"]["atol"]
    few = 0.005  # nearest and the mask may flip on single pixels
    zeros = backward_warp(image, flow, padding="zeros")
    border = backward_warp(image, flow, padding="border")
    for key in ("mm_zeros", "torch7_bilinear_bhwd", "pvdnet"):
        case.check(key, zeros, atol=atol)
    for key in ("mm_border", "qpwc_dense_image_warp", "ifrnet"):
        case.check(key, border, atol=atol)
    case.check("mm_nearest_zeros", backward_warp(image, flow, padding="zeros", mode="nearest"), atol=atol, outliers=few)
    inside = backward_warp(image.new_ones(image.shape), flow, padding="zeros") > 0.999
    case.check("sniklaus_pwc_masked", zeros * inside, atol=atol, outliers=few)
    today = backward_warp(image, flow, padding="zeros", align_corners=False)
    case.check("pytoflow_warp_new_torch_BUG", today, atol=atol)
    assert np.abs(case.outputs["qpwc_tf_warp_unused"] - border.numpy()).max() > 0.1
    case.decline("qpwc_tf_warp_unused", "extrapolates outside the image; the layer is not used by its network")


def correlation_case(case: Case):
    for key in case.outputs:
        channels, stride = re.fullmatch(r"[a-z]+_(\d+)(?:_stride(\d+))?", key).groups()
        radius = (round(int(channels) ** 0.5) - 1) // 2
        value = correlation(case.tensor("first"), case.tensor("second"), radius=radius, stride=int(stride or 1))
        case.check(key, value, atol=case.meta["tolerance"]["atol"])


def flow_metrics(case: Case):
    predictions, truths, valid = hwc(case.inputs["pred"]), hwc(case.inputs["gt"]), case.inputs["valid"]
    atol = case.meta["tolerance"]["atol"]
    dense = flow_metrics_dense(zip(predictions, truths, strict=True))
    case.check("raft_dense", list(dense.values()), atol=atol)
    kitti = flow_metrics_kitti(zip(predictions, truths, valid, strict=True))
    case.check("raft_kitti", list(kitti.values()), atol=atol)
    for key, mask in (("ptlflow_valid", valid), ("ptlflow_all", np.ones_like(valid))):
        scores = flow_metrics_per_image(zip(predictions, truths, mask, strict=True))
        case.check(key, [scores[name] for name in ("epe", "px1", "px3", "px5", "fl_all", "wauc")], atol=atol)
    case.check("epe_map", end_point_error(predictions, truths), atol=atol)


def flow_io(case: Case):
    flow, kitti = case.inputs["flow"], case.inputs["flow_kitti"]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for suffix in ("flo", "pfm"):
            path = folder / f"a.{suffix}"
            write_flow(path, flow)
            case.check(f"{suffix}_bytes", np.frombuffer(path.read_bytes(), np.uint8))
            assert np.array_equal(read_flow(path)[0], flow)
        write_flow(folder / "a.png", kitti)
        again, valid = read_flow(folder / "a.png")
    case.check("kitti_uint16_rgb", np.dstack((again * 64 + 32768, valid)))
    case.check("kitti_read_flow", again)
    case.check("kitti_read_valid", valid)


def colour_wheel(case: Case):
    case.check("wheel", color_wheel())
    few = 0.001
    ring, random = case.inputs["ring"], case.inputs["random"]
    case.check("ring", flow_to_image(ring), outliers=few)
    case.check("random", flow_to_image(random), outliers=few)
    case.check("random_bgr", flow_to_image(random)[..., ::-1], outliers=few)
    case.check("zero", flow_to_image(np.zeros((*case.outputs["zero"].shape[:2], 2))))
    for key in (key for key in case.outputs if key.startswith("clip")):
        clip = float(re.search(r"\d+", key)[0])
        case.check(key, flow_to_image(random, clip=clip, clip_rule="components"), outliers=few)
        assert np.abs(flow_to_image(random, clip=clip) - case.outputs[key]).mean() > 1  # ours keeps motion to the left
    case.check("unnormalised_uv", flow_to_image(random, scale=1.0), outliers=few)


def frame_indices(case: Case):
    for key in case.outputs:
        padding, length, count = re.fullmatch(r"(.+)_T(\d+)_n(\d+)", key).groups()
        padding = "replicate" if padding == "pvdnet" else padding
        length, count = int(length), int(count)
        case.check(key, [neighbour_indices(i, count, length, padding=padding) for i in range(length)])


def vimeo_noise(case: Case):
    image, gauss, colour = (hwc(case.inputs[key]) for key in ("img", "gauss", "unif"))
    case.check("gaussian", chw(add_noise(image, gauss=gauss)))
    case.check("mixed", chw(add_noise(image, gauss=gauss, colour=colour, mask=case.inputs["mask"])))


def gopro_blur(case: Case):
    frames = hwc(case.inputs["frames"])
    for key in case.outputs:
        if key == "sharp":
            value = frames[len(frames) // 2]
        else:
            digits = re.search(r"\d+$", key)
            value = average_blur(frames, gamma=int(digits[0]) / 10 if digits else None)
        case.check(key, chw(value), atol=1)


HANDLERS = {
    "common/bd_downsample": bd_downsample,
    "common/colour_wheel": colour_wheel,
    "common/correlation": correlation_case,
    "common/flow_io": flow_io,
    "common/flow_metrics": flow_metrics,
    "common/frame_indices": frame_indices,
    "common/gopro_blur": gopro_blur,
    "common/imresize": imresize_case,
    "common/metrics": metrics,
    "common/metrics_small": metrics,
    "common/vimeo_noise": vimeo_noise,
    "common/warp": warp,
    "common/ycbcr": ycbcr,
}
