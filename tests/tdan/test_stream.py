"""TDAN along a clip: what is remembered of a frame gives the results of whole windows, once, in bounded memory."""

import weakref

import pytest
import torch

from common.media.frame_windows import PADDINGS, windows
from tdan.model import TDAN
from tdan.stream import Enhancer
from tests.helpers.tdan_windows import by_hand, by_network, clip, network, precise, same, streamed

PARTS = ({}, {"tile": 12}, {"chop": True}, {"flips": True}, {"tile": 13, "flips": True})


@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_remembered_results_are_those_of_whole_windows(parts):
    made, frames = precise(2), clip(5, 23, 7)
    expected = by_hand(made, frames, **parts)
    assert same(streamed(made, frames, **parts), expected)
    assert not same(expected[1:], expected[:-1])


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("length", [3, 6])
def test_every_padding_and_length(padding, length):
    made, frames = precise(2, "tdan"), clip(length, 6, 7)
    try:
        expected = by_hand(made, frames, padding)
    except ValueError:
        assert length == 3
        assert "circle" in padding
        return
    results = streamed(made, frames, padding)
    assert len(results) == length
    assert same(results, expected)


@pytest.mark.parametrize(
    ("padding", "parts", "count"),
    [
        *((padding, {}, 1) for padding in PADDINGS),
        ("reflection", {"tile": 12}, 3),
        ("circle", {"chop": True}, 4),
        ("replicate", {"flips": True}, 4),
    ],
)
def test_every_part_of_a_frame_is_computed_once(monkeypatch, padding, parts, count):
    calls = dict.fromkeys(("extract", "neighbour_part", "middle_part"), 0)

    def counted(name, original):
        def call(self, x):
            calls[name] += len(x)
            return original(self, x)

        return call

    for name in calls:
        monkeypatch.setattr(TDAN, name, counted(name, getattr(TDAN, name)))
    streamed(precise(2), clip(7, 23, 7), padding, **parts)
    expected = dict.fromkeys(calls, 7 * count)
    assert calls == (expected | {"neighbour_part": 4 * 7 * count} if "tile" in parts else expected)  # saves memory


@pytest.mark.parametrize("padding", PADDINGS)
def test_memory_does_not_grow_with_the_clip(padding):
    made, enhancer = network(2), Enhancer(network(2), flips=True)
    frames, features = [], []

    def living(references):
        return sum(reference() is not None for reference in references)

    def read():
        for number in range(12):
            frame = torch.full((3, 2, 3), number / 32)
            frames.append(weakref.ref(frame))
            yield number, frame

    def extract(x):
        features.append(weakref.ref(result := made.extract(x)))
        return result

    enhancer.network.extract = extract
    for number, window in enumerate(windows(read(), 5, padding=padding)):
        enhancer(window)
        assert living(frames) <= 7
        assert living(features) <= 5 * 4
        assert living(features) == 5 * 4 or not 2 <= number < 10
    assert len(features) == 12 * 4
    enhancer.forget()
    assert living(features) == 0


def test_another_clip_begins():
    made, first, second = precise(2), clip(5, 6, 7), clip(4, 6, 7)[[0, 1, 2, 3, 0]]
    enhancer = Enhancer(made)
    enhancer(list(enumerate(first)))
    enhancer.forget()
    assert same(enhancer(list(enumerate(second))), by_network(made, second[None]))


def test_half_precision_gives_nearly_the_same():
    made, frames = network(), clip(3, 9, 14).float()
    whole, half = torch.stack(streamed(made, frames)), torch.stack(streamed(made, frames, amp="bf16"))
    assert half.dtype == torch.float32
    assert 0 < (whole - half).abs().mean() < 0.02 * whole.std()
