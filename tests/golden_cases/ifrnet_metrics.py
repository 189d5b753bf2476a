"""Reference cases of IFRNet's metrics and of the groups that its 8x sets are cut into."""

import numpy as np
import pytest

from common.degrade.operators import gaussian_taps
from common.scoring.metrics import interpolation_error, psnr, ssim
from common.scoring.protocols import INTERPOLATION
from ifrnet.evaluate import score
from ifrnet.sets import groups
from tests.helpers.golden import Case

FLOAT32 = 1e-4  # the reference filters in float32, ours in float64


def metrics(case: Case):
    tolerance = case.meta["tolerance"]
    truths, results = (np.moveaxis(case.inputs[key], 1, -1) for key in ("gt", "pred"))
    pairs = list(zip(results, truths, strict=True))
    own = [score(INTERPOLATION["ifrnet_middlebury"], *pair) for pair in pairs]
    mmediting = [score(INTERPOLATION["mmediting"], *pair) for pair in pairs]
    case.check("psnr", [values["PSNR"] for values in own], atol=tolerance["psnr"])
    case.check("ssim3d", [values["SSIM"] for values in own], atol=FLOAT32)
    case.check("ie", [values["IE"] for values in own], atol=tolerance["ie"])
    case.check("mm_psnr", [values["PSNR"] for values in mmediting], atol=tolerance["psnr"])
    case.check("mm_ssim", [values["SSIM"] for values in mmediting], atol=tolerance["ssim"])
    case.check("mm_mae", [interpolation_error(out, gt / 255) for out, gt in pairs], atol=tolerance["mm_mae"])
    case.check("ssim2d", [ssim(out, gt / 255, kind="same-replicate", peak=1.0) for out, gt in pairs], atol=FLOAT32)
    case.check("ssim3d_batch", np.mean([values["SSIM"] for values in own]), atol=FLOAT32)
    pooled = psnr(np.concatenate(results), np.concatenate(truths) / 255, peak=1.0)
    case.check("psnr_batch", pooled, atol=tolerance["psnr"])
    taps = gaussian_taps(11, 1.5)
    case.check("window3d_slice", taps[5] * np.outer(taps, taps), atol=1e-7)
    small = [np.moveaxis(case.inputs[f"small_{key}"][0], 0, -1) for key in ("pred", "gt")]
    for key, kind in (("ssim3d_small", "volume"), ("ssim2d_small", "same-replicate")):
        with pytest.raises(ValueError, match="needs at least 11 x 11 pixels, got 9 x 14"):
            ssim(*small, kind=kind, peak=1.0)
        case.decline(key, "below 11 pixels the reference shrinks its window but not its padding; ours refuses")


def gopro_groups(case: Case):
    case.check("sets", [groups(int(count)) for count in case.inputs["frames"]], atol=case.meta["tolerance"]["atol"])


HANDLERS = {"ifrnet/metrics": metrics, "ifrnet/gopro_groups": gopro_groups}
