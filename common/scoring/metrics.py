"""PSNR, the SSIM variants of the literature by name, interpolation error, optical-flow errors.

Everything is computed in float64 on numpy images HxW or HxWxC. The functions neither convert colours, crop nor round:
a protocol does that first, in its own order. An identical pair has PSNR inf, and so has any mean that contains it.
"""

from collections.abc import Iterable

import cv2
import numpy as np

from common.degrade.operators import gaussian_taps


def psnr(a: np.ndarray, b: np.ndarray, *, peak: float) -> float:
    """Peak signal-to-noise ratio, 10 log10(peak^2 / MSE), in dB, over all pixels and channels.

    Args:
        a: image, uint8 or float.
        b: image of the same shape.
        peak: value of white in these images: 255 for levels, 1 for floats in [0, 1].

    Returns:
        dB; inf for identical images.

    Raises:
        ValueError: different shapes or empty images.
    """
    a, b = _pair(a, b)
    difference = (a - b).ravel()
    error = np.dot(difference, difference) / difference.size
    return float(10 * np.log10(peak**2 / error)) if error else float("inf")


def ssim(a: np.ndarray, b: np.ndarray, *, kind: str, peak: float) -> float:
    """Structural similarity (Wang et al. 2004), K = 0.01 and 0.03, in one of the variants that papers call SSIM.

    Args:
        a: image, uint8 or float.
        b: image of the same shape.
        kind: the window and what happens at the border.
            "wang": 11x11 Gaussian (sigma 1.5), only where it fits, mean of channels (Wang's code, BasicSR, mmagic).
            "volume": 11x11x11 Gaussian over rows, columns and channels, replicated outside (MATLAB's `ssim` on an RGB
                array, IFRNet, RIFE); 0.01 to 0.1 above "wang".
            "uniform7": 7x7 mean, sample covariance (49/48), only where it fits (scikit-image's default, PVDNet).
            "same-replicate": 11x11 Gaussian, replicated outside (IFRNet's 2-D variant).
            "same-zero": 11x11 Gaussian, zeros outside (pytorch_ssim, TDAN's training).
        peak: value of white in these images: 255 for levels, 1 for floats in [0, 1].

    Returns:
        At most 1; 1 for identical images.

    Raises:
        ValueError: unknown kind, different shapes, or images smaller than the window.
    """
    if kind not in _SSIM:
        raise ValueError(f"unknown SSIM kind {kind!r}: expected one of {', '.join(_SSIM)}")
    smooth, window, covariance = _SSIM[kind]
    a, b = _pair(a, b)
    if min(a.shape[:2]) < window:
        raise ValueError(f"SSIM {kind!r} needs at least {window} x {window} pixels, got {a.shape[0]} x {a.shape[1]}")
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    mean_a, mean_b = smooth(a), smooth(b)
    product = mean_a * mean_b
    squares = mean_a * mean_a + mean_b * mean_b
    # The two variances appear only as a sum, so one filter serves both.
    variances = covariance * (smooth(a * a + b * b) - squares)
    shared = covariance * (smooth(a * b) - product)
    return float(((2 * product + c1) * (2 * shared + c2) / ((squares + c1) * (variances + c2))).mean())


def interpolation_error(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference over all pixels and channels, in the unit of the images.

    Papers of frame interpolation report it on images rounded to levels; the RMS that Middlebury's server calls
    interpolation error is another number.

    Raises:
        ValueError: different shapes or empty images.
    """
    a, b = _pair(a, b)
    return float(np.abs(a - b).mean())


def end_point_error(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Length of the difference of two flows HxWx2, in pixels, HxW float64.

    Raises:
        ValueError: the flows are not both HxWx2 of one size.
    """
    if prediction.shape != truth.shape or prediction.shape[-1] != 2:
        raise ValueError(f"flows must both be HxWx2 of one size, got {prediction.shape} and {truth.shape}")
    return np.linalg.norm(prediction.astype(np.float64) - truth, axis=-1)


def flow_metrics_dense(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Sintel and FlyingChairs as RAFT reports them: all pixels of all frames pooled.

    Args:
        pairs: (prediction, truth), each HxWx2 in pixels.

    Returns:
        `epe` in pixels; `px1`, `px3`, `px5`: the fraction of pixels whose error is below 1, 3, 5 pixels.

    Raises:
        ValueError: no pair.
    """
    errors = [end_point_error(prediction, truth).ravel() for prediction, truth in pairs]
    pooled = np.concatenate(_not_empty(errors))
    return {"epe": float(pooled.mean())} | {f"px{limit}": float((pooled < limit).mean()) for limit in (1, 3, 5)}


def flow_metrics_kitti(triples: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> dict[str, float]:
    """KITTI as RAFT reports it.

    Args:
        triples: (prediction HxWx2, truth HxWx2, valid HxW).

    Returns:
        `epe`: the mean over images of each image's mean on valid pixels; `fl_all`: percent of all valid pixels, pooled,
        whose error is above 3 pixels and above 5 % of the true length.

    Raises:
        ValueError: no image, or one without a valid pixel.
    """
    means, outliers = [], []
    for prediction, truth, valid in triples:
        error, length = _valid_errors(prediction, truth, valid)
        means.append(error.mean())
        outliers.append((error > 3) & (error > 0.05 * length))
    return {"epe": float(np.mean(_not_empty(means))), "fl_all": float(100 * np.concatenate(outliers).mean())}


def flow_metrics_per_image(triples: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Flow metrics as ptlflow reports them: each is a mean on an image's valid pixels, then a mean over images.

    Args:
        triples: (prediction HxWx2, truth HxWx2, valid HxW).

    Returns:
        `epe` in pixels, `px1`, `px3`, `px5` as fractions, `fl_all` in percent, and `wauc` in percent: the weighted area
        under the curve of the fraction of errors up to i/20 pixels, i = 1..100, weight 1 - (i - 1)/100.

    Raises:
        ValueError: no image, or one without a valid pixel.
    """
    weights = 1 - np.arange(100) / 100
    rows = []
    for prediction, truth, valid in triples:
        error, length = _valid_errors(prediction, truth, valid)
        within = np.searchsorted(np.sort(error), np.arange(1, 101) / 20, side="right") / error.size
        row = {"epe": error.mean()} | {f"px{limit}": (error < limit).mean() for limit in (1, 3, 5)}
        row["fl_all"] = 100 * ((error > 3) & (error > 0.05 * length)).mean()
        row["wauc"] = 100 * (weights * within).sum() / weights.sum()
        rows.append(row)
    return {key: float(np.mean([row[key] for row in rows])) for key in _not_empty(rows)[0]}


def _pair(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 HxWxC."""
    if a.shape != b.shape:
        raise ValueError(f"images of different shapes cannot be compared: {a.shape} and {b.shape}")
    if a.ndim not in (2, 3) or not a.size:
        raise ValueError(f"expected non-empty images HxW or HxWxC, got shape {a.shape}")
    shape = (*a.shape, 1)[:3]
    return a.reshape(shape).astype(np.float64), b.reshape(shape).astype(np.float64)


def _valid_errors(prediction: np.ndarray, truth: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mask = np.asarray(valid) > 0
    if not mask.any():
        raise ValueError("a flow without a single valid pixel cannot be scored: leave this image out")
    length = np.linalg.norm(truth.astype(np.float64), axis=-1)
    return end_point_error(prediction, truth)[mask], length[mask]


def _not_empty(values: list) -> list:
    if not values:
        raise ValueError("nothing to average: the list of flows is empty")
    return values


_GAUSS = gaussian_taps(11, 1.5)


def _gauss(image: np.ndarray, border: int) -> np.ndarray:
    return cv2.sepFilter2D(image, cv2.CV_64F, _GAUSS, _GAUSS, borderType=border).reshape(image.shape)


def _gauss_valid(image: np.ndarray) -> np.ndarray:
    return _gauss(image, cv2.BORDER_REPLICATE)[5:-5, 5:-5]


def _gauss_replicate(image: np.ndarray) -> np.ndarray:
    return _gauss(image, cv2.BORDER_REPLICATE)


def _gauss_zero(image: np.ndarray) -> np.ndarray:
    return _gauss(image, cv2.BORDER_CONSTANT)


def _gauss_volume(image: np.ndarray) -> np.ndarray:
    # Few channels with replicated ends: the filter along them is a small matrix.
    channels = image.shape[2]
    mix = np.zeros((channels, channels))
    for out in range(channels):
        np.add.at(mix[:, out], np.clip(np.arange(out - 5, out + 6), 0, channels - 1), _GAUSS)
    return _gauss_replicate(image) @ mix


def _mean7_valid(image: np.ndarray) -> np.ndarray:
    return cv2.boxFilter(image, cv2.CV_64F, (7, 7)).reshape(image.shape)[3:-3, 3:-3]


# kind: (local mean, smallest side, factor of the covariances)
_SSIM = {
    "wang": (_gauss_valid, 11, 1.0),
    "volume": (_gauss_volume, 11, 1.0),
    "uniform7": (_mean7_valid, 7, 49 / 48),
    "same-replicate": (_gauss_replicate, 11, 1.0),
    "same-zero": (_gauss_zero, 11, 1.0),
}
