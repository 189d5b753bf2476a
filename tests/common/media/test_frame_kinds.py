"""Frames of a program: every kind in, the same kind out; what is no frame is refused in one line."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

from common.media import frame_kinds
from common.media.frame_kinds import as_arrays, as_tensor, between, gathered, like, mapped, timed, two
from common.media.image import to_uint8
from common.media.video_reader import open_clip
from tests.helpers.clips import pictures, write_folder

FRAME = pictures(1, 20, 30)[0]
TENSOR = torch.from_numpy(FRAME).permute(2, 0, 1)[None].contiguous()  # 1 3 H W uint8
KINDS = {
    "array": FRAME,
    "mirrored": FRAME[:, ::-1],
    "PIL": Image.fromarray(FRAME),
    "levels": TENSOR,
    "float": TENSOR.float() / 255,
    "double": (TENSOR.float() / 255).double(),
    "half": TENSOR.half() / 255,
    "single": TENSOR[0].float() / 255,
    "batch": torch.cat((TENSOR, 255 - TENSOR)).float() / 255,
}


def same(a, b):
    return type(a) is type(b) and np.array_equal(np.asarray(a), np.asarray(b)) and getattr(a, "dtype", 0) == getattr(
        b, "dtype", 0)  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_levels_are_those_of_the_plain_formula(dtype):
    halves = (np.arange(-3, 260) + 0.5).astype(dtype) / 255
    near = [np.nextafter(halves, dtype(side)) for side in (-9, 9)]
    values = np.concatenate([halves, *near, [-np.inf, np.inf, -7, 7, 0.0, -0.0], np.random.default_rng(0).random(501)])
    values = np.resize(values.astype(dtype), (2, 3, 18, 26))
    for result in (torch.from_numpy(values), torch.from_numpy(values).contiguous(memory_format=torch.channels_last)):
        assert np.array_equal(as_arrays(result), to_uint8(values.transpose(0, 2, 3, 1)))
    values[1, 2, 3, 4] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        as_arrays(torch.from_numpy(values))


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back(kind):
    frame = KINDS[kind]
    found = as_tensor(frame)
    assert (found.dtype, found.shape) == (torch.float32, (2 if kind == "batch" else 1, 3, 20, 30))
    assert 0 <= found.min() < found.max() <= 1
    if kind not in ("mirrored", "half"):
        assert torch.equal(found[:1], TENSOR.float() / 255)
        assert found.stride()[1:] == as_tensor(FRAME).stride()[1:]  # the same kernels compute the same
    assert same(like(found, frame), np.ascontiguousarray(frame) if kind == "mirrored" else frame)


def test_other_pictures_of_pil_become_rgb():
    grey = Image.fromarray(FRAME).convert("L")
    assert torch.equal(as_tensor(grey), as_tensor(grey.convert("RGB")))
    with pytest.raises(ValueError, match=r"mode I;16: expected H x W x 3 uint8.*8 bits first"):
        as_tensor(Image.fromarray(FRAME[..., 0].astype(np.uint16)))


def test_read_only_arrays_and_gradients_are_left_alone():
    frozen = FRAME.copy()
    frozen.flags.writeable = False
    assert torch.equal(as_tensor(frozen), as_tensor(FRAME))
    leaf = KINDS["float"].clone().requires_grad_()
    assert not as_tensor(leaf).requires_grad
    with torch.inference_mode():
        made = as_tensor(leaf) * 1
    result = like(made, leaf)
    assert not result.is_inference()
    torch.nn.Conv2d(3, 1, 1)(result).sum().backward()  # a result may go into a training


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (FRAME[..., 0], r"a frame of shape \(20, 30\): expected H x W x 3 uint8"),
        (FRAME[:0], r"a frame of shape \(0, 30, 3\)"),
        (TENSOR[0].numpy(), r"a frame of shape \(3, 20, 30\)"),
        (FRAME.astype(np.float32), "a frame of float32 values: expected H x W x 3 uint8"),
        (TENSOR.int(), "a frame of int32 values"),
        (TENSOR.permute(0, 2, 3, 1), r"a frame of shape \(1, 20, 30, 3\)"),
        (TENSOR.float(), r"values from \d+ to \d+: expected RGB in \[0, 1\]; divide by 255"),
        (TENSOR.float() / 127.5 - 1, r"values from -0.*expected RGB in \[0, 1\]$"),
        (TENSOR.float() * torch.nan, "values from nan to nan"),
        ("a.png", "a frame of type str"),
        (None, "a frame of type NoneType"),
    ],
)
def test_what_is_no_frame(frame, message):
    with pytest.raises(ValueError, match=message):
        as_tensor(frame)


def test_values_that_overshoot_are_brought_back():
    over = KINDS["float"] * 1.2 - 0.05
    assert over.max() > 1
    assert torch.equal(like(as_tensor(over), over), over.clamp(0, 1))
    with pytest.raises(ValueError, match="NaN"):
        like(torch.full((1, 3, 2, 2), torch.nan), over)
    with pytest.raises(ValueError, match="NaN"):
        like(torch.full((1, 3, 2, 2), torch.nan), FRAME)


def test_two_must_be_alike():
    for other in (FRAME[:-1], KINDS["PIL"], TENSOR):
        with pytest.raises(ValueError, match=r"frames of ndarray 20x30x3 and .*: expected one kind and one size"):
            two(FRAME, other, "cpu")
    with pytest.raises(ValueError, match=r"Image 30x20 and Image 20x30"):
        two(KINDS["PIL"], KINDS["PIL"].rotate(90, expand=True), "cpu")


TIMES = [(0.5, Fraction(1, 2)), (0.3, Fraction(3, 10)), (1 / 3, Fraction(1, 3)), (Fraction(1, 7), Fraction(1, 7))]


@pytest.mark.parametrize(("t", "exact"), [*TIMES, (0.123456789, Fraction(0.123456789))])
def test_between_takes_a_time(t, exact):
    def predict(first, second, times):
        assert times == [exact]
        return [torch.lerp(first, second, float(times[0]))]

    batch = KINDS["batch"]
    assert torch.allclose(between(predict, batch, batch.flip(0), t, "cpu"), torch.lerp(batch, batch.flip(0), float(t)))


@pytest.mark.parametrize("t", [0, 1, -0.5, 2, float("nan")])
def test_between_takes_no_other_time(t):
    with pytest.raises(ValueError, match=f"t {t}: expected a time between the two frames"):
        between(None, FRAME, FRAME, t, "cpu")


# Clips


def brighter(frames):
    return (frame + 5 / 255 for frame in frames)


@pytest.mark.parametrize(
    "kind", [list, tuple, np.stack, lambda x: torch.from_numpy(np.stack(x)).permute(0, 3, 1, 2), iter]
)
def test_a_clip_comes_back_as_it_came(kind):
    frames = [frame // 2 for frame in pictures(3, 8, 10)]
    clip = kind(frames)
    found = gathered(mapped(brighter, clip, "cpu"), clip)
    expected = {np.stack: np.ndarray, list: list, tuple: list}.get(kind)
    assert expected is None or type(found) is expected
    if isinstance(found, torch.Tensor):
        assert found.shape == (3, 3, 8, 10)
        found = found.permute(0, 2, 3, 1).numpy()
    elif kind is iter:
        assert iter(found) is found
    assert all(np.array_equal(a, b + 5) for a, b in zip(found, frames, strict=True))


def test_no_more_is_read_than_asked_for():
    seen = []
    found = mapped(brighter, (seen.append(n) or FRAME // 2 for n in range(9)), "cpu")
    assert seen == [0]
    next(found)
    assert seen == [0]
    next(found)
    assert seen == [0, 1]


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (FRAME, "found one frame: expected the frames of a clip"),
        (KINDS["PIL"], "found one frame"),
        (TENSOR[0], "found one frame"),
        ("a.mp4", r"found a str: .*clip\(\) takes files"),
        (3, "found a int"),
        ([], "found no frame"),
        ([None, FRAME], "a frame of type NoneType"),
    ],
)
def test_what_is_no_clip_is_told_at_once(frames, message):
    with pytest.raises(ValueError, match=message):
        mapped(brighter, frames, "cpu")


def test_frames_of_a_clip_are_alike():
    found = mapped(brighter, [FRAME // 2, FRAME[:-1]], "cpu")
    next(found)
    with pytest.raises(ValueError, match="expected one kind and one size"):
        next(found)


def test_a_users_clip_keeps_its_times(tmp_path):
    frames = [frame // 2 for frame in pictures(3, 8, 10)]
    write_folder(tmp_path, frames)
    found = list(timed(brighter, open_clip(tmp_path), "cpu"))
    assert all(np.array_equal(image, frame + 5) for (image, _), frame in zip(found, frames, strict=True))
    assert [time for _, time in found] == [None] * 3


def test_pil_need_not_be_there(monkeypatch):
    monkeypatch.delitem(frame_kinds.sys.modules, "PIL.Image")
    assert not frame_kinds.is_image(KINDS["PIL"])
    assert same(like(as_tensor(FRAME), FRAME), FRAME)


def test_arrays_of_sixteen_bits_come_back_as_they_went():
    levels = np.random.default_rng(0).integers(0, 65536, (9, 8, 3)).astype(np.uint16)
    tensor = frame_kinds.as_tensor(levels)
    assert tensor.dtype == torch.float32
    assert tensor.max() <= 1
    np.testing.assert_array_equal(frame_kinds.like(tensor, levels), levels)
    np.testing.assert_array_equal(frame_kinds.like(tensor * 2 - 0.5, levels).min((0, 1)), 0)
