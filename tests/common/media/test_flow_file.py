"""Flow files, flow colours, frame windows, protocols, the alignment of the paper's tables."""

import weakref

import numpy as np
import pytest

from common.media.flow_color import color_wheel, flow_to_image
from common.media.flow_file import read_flow, write_flow
from common.media.frame_windows import PADDINGS, neighbour_indices, windows
from common.scoring.metrics import psnr
from common.scoring.protocols import PROTOCOLS, PVDNET_CODE, PVDNET_PAPER
from pvdnet.koehler import BORDER, find_shift, koehler_scores, shift_image


@pytest.fixture
def flow():
    return np.random.default_rng(0).normal(0, 20, (6, 9, 2)).astype(np.float32)


@pytest.mark.parametrize("suffix", ["flo", "pfm", "png", "FLO"])
def test_flow_round_trip(tmp_path, flow, suffix):
    write_flow(tmp_path / f"a.{suffix}", flow)
    again, valid = read_flow(tmp_path / f"a.{suffix}")
    assert again.dtype == np.float32
    assert valid.dtype == bool
    assert valid.all()
    if suffix == "png":
        assert ((flow - again >= 0) & (flow - again < 1 / 64)).all()  # cut, not rounded
    else:
        assert np.array_equal(again, flow)


@pytest.mark.parametrize("suffix", ["flo", "png"])
def test_unknown_flow(tmp_path, flow, suffix):
    known = np.random.default_rng(1).random(flow.shape[:2]) > 0.4
    flow[~known] = np.nan
    write_flow(tmp_path / f"a.{suffix}", flow, known)
    again, valid = read_flow(tmp_path / f"a.{suffix}")
    assert np.array_equal(valid, known)
    assert np.allclose(again[known], flow[known], atol=1 / 64)
    assert np.isfinite(again).all()
    assert (flow_to_image(again if suffix == "flo" else np.where(valid[..., None], again, np.nan))[~known] == 0).all()


def test_write_flow_refuses(tmp_path, flow):
    far = flow.copy()
    far[0, 0, 0] = 512
    bad = flow.copy()
    bad[0, 0, 0] = np.inf
    for name, values, valid, message in (
        ("a.png", far, None, "-512 to 512"),
        ("a.png", -far - 1, None, "-512 to 512"),
        ("a.flo", bad, None, "NaN or infinite"),
        ("a.pfm", flow, np.zeros(flow.shape[:2]), "no place"),
        ("a.flo", flow[..., 0], None, "HxWx2"),
        ("a.flo", flow, np.ones((2, 2)), "valid is"),
        ("a.npy", flow, None, "suffixes"),
    ):
        with pytest.raises(ValueError, match=message):
            write_flow(tmp_path / name, values, valid)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["flo", "pfm", "png"])
@pytest.mark.parametrize("kept", [0, 3, 8, 20, -1])
def test_truncated_flow(tmp_path, flow, suffix, kept):
    path = tmp_path / f"cut.{suffix}"
    write_flow(path, flow)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"cut\.") as error:
        read_flow(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.flo", b"PIEH" + np.array([2**31 - 1, 2**31 - 1], "<i4").tobytes()),  # must not allocate
        ("a.flo", b"PIEH" + np.array([-1, -1], "<i4").tobytes() + bytes(8)),
        ("a.flo", b"HEIP" + np.array([1, 1], ">i4").tobytes() + bytes(8)),
        ("a.pfm", b"Pf\n2 2\n-1\n" + bytes(16)),  # grey: a disparity
        ("a.pfm", b"PF\n99999999 99999999\n-1\n" + bytes(16)),
        ("a.pfm", b"PF\n0 0\n-1\n"),
        ("a.png", b"not a png"),
    ],
)
def test_hostile_flow(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"a\."):
        read_flow(tmp_path / name)


def test_flow_of_other_writers(tmp_path, flow):
    rows = np.dstack((flow, np.zeros((6, 9, 1), np.float32)))[::-1]
    (tmp_path / "big.pfm").write_bytes(b"PF\n  9   6\n1.000000\n" + rows.astype(">f4").tobytes())  # spaces, big endian
    assert np.array_equal(read_flow(tmp_path / "big.pfm")[0], flow)
    for missing in (tmp_path / "no.flo", tmp_path / "a.txt"):
        with pytest.raises(ValueError, match="cannot read"):
            read_flow(missing)


def test_real_flow(real_data, tmp_path):
    path = real_data / "flow_pair" / "pwcnet_official_0010.flo"
    flow, valid = read_flow(path)
    assert valid.all()
    write_flow(tmp_path / "again.flo", flow)
    assert (tmp_path / "again.flo").read_bytes() == path.read_bytes()


def test_wheel():
    wheel = color_wheel()
    assert wheel.shape == (55, 3)
    assert wheel[[0, 15, 21, 25, 36, 49]].tolist() == [
        [255, 0, 0],
        [255, 255, 0],
        [0, 255, 0],
        [0, 255, 255],
        [0, 0, 255],
        [255, 0, 255],
    ]


def test_flow_colours():
    right = np.zeros((1, 2, 2))
    right[0, 0] = (5, 0)
    image = flow_to_image(right, scale=5)
    assert image.tolist() == [[[255, 0, 0], [255, 255, 255]]]  # to the right is red, rest is white
    assert np.array_equal(flow_to_image(right * 7, scale=35), image)
    random = np.random.default_rng(0).normal(0, 9, (20, 20, 2))
    assert np.array_equal(flow_to_image(random, clip=1e6), flow_to_image(random))
    # Clipping by length keeps directions: motion to the left stays visible.
    left = flow_to_image(-10 * np.ones((1, 1, 2)), clip=4, scale=8)
    assert (left < 255).any()
    assert (flow_to_image(-10 * np.ones((1, 1, 2)), clip=4, scale=8, clip_rule="components") == 255).all()
    for wrong in ({"clip_rule": "x"}, {"scale": 0}):
        with pytest.raises(ValueError, match="must be"):
            flow_to_image(random, **wrong)
    with pytest.raises(ValueError, match="HxWx2"):
        flow_to_image(random[..., 0])


def test_windows():
    expected = {
        "replicate": [0, 0, 0, 1, 2],
        "reflection": [2, 1, 0, 1, 2],
        "reflection_circle": [4, 3, 0, 1, 2],
        "circle": [3, 4, 0, 1, 2],
        "tdan_eval": [2, 1, 0, 1, 2],
    }
    for padding, window in expected.items():
        assert neighbour_indices(0, 5, 9, padding=padding) == window
        assert neighbour_indices(4, 5, 9, padding=padding) == [2, 3, 4, 5, 6]
        mirrored = [8 - i for i in window[::-1]]
        end = neighbour_indices(8, 5, 9, padding=padding)
        assert end == ([6, 7, 8, 6, 6] if padding == "tdan_eval" else mirrored)
    assert neighbour_indices(0, 3, 1, padding="replicate") == [0, 0, 0]
    for arguments in ((0, 4, 9, "replicate"), (9, 5, 9, "replicate"), (-1, 5, 9, "replicate"), (0, 5, 9, "wrap")):
        with pytest.raises(ValueError, match=r"window|frame|padding"):
            neighbour_indices(*arguments[:3], padding=arguments[3])
    for padding in ("reflection", "reflection_circle", "circle", "tdan_eval"):
        with pytest.raises(ValueError, match="too short"):
            neighbour_indices(0, 5, 2, padding=padding)


def test_windows_along_a_clip_at_both_ends():
    assert [window for n, window in enumerate(windows(range(9), 7, padding="replicate")) if n in (0, 4, 7, 8)] == [
        [0, 0, 0, 0, 1, 2, 3], [1, 2, 3, 4, 5, 6, 7], [4, 5, 6, 7, 8, 8, 8], [5, 6, 7, 8, 8, 8, 8],
    ]  # fmt: skip
    around = list(windows(range(9), 7, padding="reflection_circle"))
    assert [around[n] for n in (0, 1, 8)] == [[6, 5, 4, 0, 1, 2, 3], [6, 5, 0, 1, 2, 3, 4], [5, 6, 7, 8, 4, 3, 2]]
    assert list(windows([], 5, padding="replicate")) == []
    with pytest.raises(ValueError, match="odd"):
        list(windows(range(9), 4, padding="replicate"))


@pytest.mark.parametrize("count", [5, 7])
@pytest.mark.parametrize("padding", PADDINGS)
def test_windows_along_a_clip_are_those_of_the_whole_clip(padding, count):
    for length in range(1, 20):
        try:
            expected = [neighbour_indices(n, count, length, padding=padding) for n in range(length)]
        except ValueError:
            with pytest.raises(ValueError, match="use 'replicate'"):
                next(windows(range(length), count, padding=padding))  # at once
            continue
        assert list(windows(iter(range(length)), count, padding=padding)) == expected


@pytest.mark.parametrize("count", [5, 7])
@pytest.mark.parametrize("padding", PADDINGS)
def test_windows_along_a_clip_hold_few_frames(padding, count):
    alive, read = [], []

    def frames():
        for number in range(60):
            frame = np.zeros(1)
            alive.append(weakref.ref(frame))
            read.append(number)
            yield frame

    for number, _ in enumerate(windows(frames(), count, padding=padding)):
        assert len(read) == min(max(number + count // 2 + 1, count), 60)
        assert sum(ref() is not None for ref in alive) <= 3 * count // 2
    assert number == 59


def test_protocols():
    assert PROTOCOLS == {"pvdnet_code": PVDNET_CODE, "pvdnet_paper": PVDNET_PAPER}
    assert PVDNET_PAPER.border == BORDER


def scene(seed=0):
    """Smooth random picture, large enough to cut shifted views of 75x90 out of it."""
    import cv2

    noise = np.random.default_rng(seed).integers(0, 256, (115, 130, 3), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 20, 200, cv2.NORM_MINMAX)


@pytest.mark.parametrize("shift", [(0, 0), (1, -2), (-4, 3), (6, 6)])
def test_koehler_undoes_a_shift(shift):
    big, (dy, dx) = scene(), shift
    truth, result = big[20:95, 20:110], big[20 + dy : 95 + dy, 20 + dx : 110 + dx]
    score, similarity, found = koehler_scores(truth, result)
    assert found == shift
    if shift == (0, 0):
        assert score == float("inf")
    else:
        # Only the intensity scale, which is fitted before the shift, is left as an error.
        assert score > psnr(truth, result, peak=255) + 5
    assert similarity > 0.95


def test_koehler_undoes_intensity():
    truth = scene()[:75, :90]
    result = np.floor(truth / 2).astype(np.uint8)
    score, similarity, shift = koehler_scores(truth, result)
    assert shift == (0, 0)
    assert score > 45
    assert similarity > 0.99


def test_koehler_turned_frames_score_the_same():
    truth, result = scene(1)[:75, :90], scene(1)[1:76, 2:92]
    upright, turned = koehler_scores(truth, result), koehler_scores(truth.swapaxes(0, 1), result.swapaxes(0, 1))
    assert turned[2] == upright[2][::-1]
    assert turned[:2] == pytest.approx(upright[:2], abs=1e-9)


def test_koehler_edge_cases():
    truth = scene()[:75, :90]
    black = np.zeros_like(truth)
    score, _, shift = koehler_scores(truth, black)
    assert score < 20
    assert shift == (0, 0)
    assert koehler_scores(black, black)[0] == float("inf")
    for a, b in ((truth, truth[1:]), (truth / 255, truth / 255), (truth[:42], truth[:42]), (truth[..., 0],) * 2):
        with pytest.raises(ValueError, match=r"expected two|8-bit|too few"):
            koehler_scores(a, b)


def test_find_shift_equals_exhaustive_search():
    draw = np.random.default_rng(0)
    fixed, moving = draw.random((7, 8)), draw.random((7, 8))
    best = max(
        ((dy, dx) for dy in range(-3, 4) for dx in range(-4, 4)),
        key=lambda shift: (fixed * np.roll(moving, shift, (0, 1))).sum(),
    )
    assert find_shift(fixed, moving) == best


def test_shift_image():
    image = np.arange(6.0).reshape(2, 3)
    assert shift_image(image, (0, 1)).tolist() == [[0, 0, 1], [0, 3, 4]]
    assert shift_image(image, (-1, 0)).tolist() == [[3, 4, 5], [0, 0, 0]]
    assert shift_image(image, (0, 0)).tolist() == image.tolist()
    assert not shift_image(image, (-1, 2)).any() or shift_image(image, (-1, 2)).tolist() == [[0, 0, 3], [0, 0, 0]]
