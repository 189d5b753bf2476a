"""BI and BD downsampling, noise, blur: direct sums, statistics, published frames and rows."""

import numpy as np
import pytest

from common.degrade.matlab_imresize import imresize
from common.degrade.operators import add_noise, average_blur, downsample_bd, downsample_bi, draw_noise, gaussian_taps
from common.media.color import rgb_to_y
from common.media.image import list_frames, read_image
from common.scoring.metrics import psnr, ssim


@pytest.mark.parametrize(("kind", "scale"), [("bd", 4), ("duf", 4), ("duf", 2), ("duf", 3), ("sof", 4)])
def test_bd_equals_direct_sum(kind, scale):
    image = np.random.default_rng(1).random((24, 36))
    taps = {"bd": 12, "sof": 13, "duf": {4: 13, 3: 11, 2: 7}.get(scale)}[kind]
    kernel = np.outer(gaussian_taps(taps, 0.4 * scale), gaussian_taps(taps, 0.4 * scale))
    before, after = (taps - 1) // 2, taps // 2
    mode = {"bd": "edge", "duf": "reflect", "sof": "symmetric"}[kind]
    padded = np.pad(image, ((before, after), (before, after)), mode=mode)
    first = 1 if kind == "bd" else 0
    expected = [
        [(padded[y : y + taps, x : x + taps] * kernel).sum() for x in range(first, 36, scale)]
        for y in range(first, 24, scale)
    ]
    assert np.allclose(downsample_bd(image, kind=kind, scale=scale), expected, atol=1e-14)


def test_only_bd_is_in_phase_with_bi():
    """A horizontal ramp keeps its values under BI and "bd" and is shifted by 1.5 pixels under the other kinds."""
    ramp = np.tile(np.arange(64.0) / 100, (64, 1))[..., None]
    truth = downsample_bi(ramp)[4:-4, 4:-4]
    assert np.allclose(downsample_bd(ramp)[4:-4, 4:-4], truth, atol=1e-12)
    for kind in ("duf", "sof"):
        assert np.allclose(downsample_bd(ramp, kind=kind)[4:-4, 4:-4], truth - 0.015, atol=1e-12)


def test_degradations_crop_and_keep_types():
    image = np.random.default_rng(0).integers(0, 256, (43, 38, 3), dtype=np.uint8)
    for function in (downsample_bi, downsample_bd):
        small = function(image)
        assert small.dtype == np.uint8
        assert small.shape == (10, 9, 3)
        assert np.array_equal(small, function(image[:40, :36]))
        assert function(image.astype(np.float32) / 255).dtype == np.float32
    with pytest.raises(ValueError, match="unknown BD kind"):
        downsample_bd(image, kind="BD")
    with pytest.raises(ValueError, match="scale 4"):
        downsample_bd(image, kind="bd", scale=3)
    with pytest.raises(ValueError, match="smaller"):
        downsample_bi(image[:3])


def test_noise_statistics_and_errors():
    image = np.full((200, 200, 3), 128, np.uint8)
    gauss, colour, mask = draw_noise(image.shape, np.random.default_rng(0))
    gaussian = add_noise(image, gauss=gauss)
    mixed = add_noise(image, gauss=gauss, colour=colour, mask=mask)
    assert abs((gaussian.astype(float) - 128).std() - 25.5) < 0.5
    changed = (gaussian != mixed).any(-1)
    assert np.array_equal(changed & (mask > 0.1), np.zeros_like(changed))
    assert abs((mask <= 0.1).mean() - 0.1) < 0.01
    assert add_noise(image, gauss=np.full(image.shape, 500.0)).min() == 255
    assert add_noise(image, gauss=np.full(image.shape, -2.5))[0, 0, 0] == 125  # halves away from zero
    with pytest.raises(ValueError, match="uint8"):
        add_noise(image / 255, gauss=gauss)
    with pytest.raises(ValueError, match="both"):
        add_noise(image, gauss=gauss, mask=mask)


def test_average_blur():
    frames = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1).repeat(3, -1)
    assert (average_blur(frames) == 128).all()
    assert (average_blur(frames, gamma=2.2) == np.floor(255 * 0.5 ** (1 / 2.2) + 0.5)).all()
    assert np.allclose(average_blur(frames / 255, gamma=2.2), 0.5 ** (1 / 2.2))
    assert np.array_equal(average_blur(frames[1:], gamma=2.2), frames[1])
    with pytest.raises(ValueError, match="at least one"):
        average_blur([])


def test_bi_reproduces_published_frames(real_data):
    truth = list_frames(real_data / "Vid4" / "GT" / "calendar")
    published = list_frames(real_data / "Vid4" / "BIx4" / "calendar_tdan")
    assert published
    for high, low in zip(truth, published, strict=False):
        assert np.array_equal(downsample_bi(read_image(high)), read_image(low)), low.name


VID4_BICUBIC = {  # PSNR, SSIM of MATLAB bicubic x4 of calendar: (degradation, border) of Y; TOFlow's tests score city
    ("bi", 0): (20.3945, 0.5720),  # equals the published row, 20.39 / 0.5720
    ("bi", 8): (20.5269, 0.5679),
    ("bd", 0): (20.1385, 0.5570),
    ("bd", 8): (20.2795, 0.5522),
}


@pytest.mark.parametrize("degradation", ["bi", "bd"])
def test_vid4_bicubic_rows(real_data, degradation):
    down = {"bi": downsample_bi, "bd": downsample_bd}[degradation]
    scores = {0: [], 8: []}
    for path in list_frames(real_data / "Vid4" / "GT" / "calendar"):
        truth = read_image(path)
        a, b = rgb_to_y(truth), rgb_to_y(imresize(down(truth), scale=4))
        for border, rows in scores.items():
            inside = slice(border, -border or None), slice(border, -border or None)
            rows.append((psnr(a[inside], b[inside], peak=255), ssim(a[inside], b[inside], kind="wang", peak=255)))
    for border, rows in scores.items():
        mean_psnr, mean_ssim = np.mean(rows, axis=0)
        expected_psnr, expected_ssim = VID4_BICUBIC[degradation, border]
        assert abs(mean_psnr - expected_psnr) < 1e-4
        assert abs(mean_ssim - expected_ssim) < 1e-4
