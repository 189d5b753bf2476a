"""Reference cases of PVDNet's metrics and image files."""

import tempfile
from pathlib import Path

import numpy as np

from common.media.image import crop_to_multiple, read_image, to_uint8, write_image
from common.scoring.metrics import psnr, ssim
from pvdnet.koehler import koehler_scores
from pvdnet.protocols import PVDNET_CODE
from tests.helpers.golden import Case


def metrics(case: Case):
    truths, results = (np.moveaxis(case.inputs[key], 1, -1) for key in ("gt", "result"))
    atol, atol_ssim = case.meta["atol"], case.meta["atol_ssim"]
    pairs = [
        ((gt / 255).astype(np.float32), (out / 255).astype(np.float32)) for gt, out in zip(truths, results, strict=True)
    ]
    peak, kind = PVDNET_CODE.peak, PVDNET_CODE.ssim
    case.check("psnr", [psnr(gt, out, peak=peak) for gt, out in pairs], atol=atol)
    case.check("ssim", [ssim(gt, out, kind=kind, peak=peak) for gt, out in pairs], atol=atol_ssim)
    scores = [koehler_scores(gt, out) for gt, out in zip(truths, results, strict=True)]
    case.check("koehler_psnr", [score[0] for score in scores], atol=atol)
    case.check("koehler_ssim", [score[1] for score in scores], atol=atol_ssim)
    case.check("koehler_shift", [score[2] for score in scores])


def image_io(case: Case):
    result, image = case.inputs["result"], case.inputs["image"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.png"
        saved = to_uint8((np.moveaxis(result, 0, -1) + 1) / 2)
        write_image(path, saved)
        case.check("saved", np.moveaxis(read_image(path), -1, 0))
        write_image(path, image)
        read = read_image(path) / 255 * 2 - 1
    case.check("read", read, atol=case.meta["atol"])
    case.check("cropped", crop_to_multiple(read, 4), atol=case.meta["atol"])


HANDLERS = {"pvdnet/metrics": metrics, "pvdnet/image_io": image_io}
