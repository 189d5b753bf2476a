"""TDAN's samples: windows as training and testing read them, crops, turns, and what is drawn at a position."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from common.degrade.low_resolution import make_low
from common.degrade.matlab_imresize import imresize
from common.degrade.operators import downsample_bd
from common.media.image import read_image, write_image
from tdan.config import preset
from tdan.samples import Sample, TrainingSamples, Window, low_part, read_low, scored_samples, turn
from tdan.sets import Clip, find_clips
from tests.helpers.runs import ROOT, script


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture
def clip(tmp_path):
    """Six frames of noise, 26x35 pixels, without files of low-resolution ones."""
    draw, paths = np.random.default_rng(0), [tmp_path / f"{number}.png" for number in range(6)]
    for path in paths:
        write_image(path, draw.integers(0, 256, (26, 35, 3), np.uint8))
    return Clip("noise", tuple(paths), (), "bd", tuple(range(6)))


def with_files(clip):
    """The same clip with files that no degradation makes."""
    lows = [path.with_name(f"low_{path.name}") for path in clip.truths]
    for path, truth in zip(lows, clip.truths, strict=True):
        write_image(path, 255 - downsample_bd(read_image(truth)))
    return replace(clip, lows=tuple(lows))


def test_a_window_makes_its_frames_or_reads_them(clip):
    truths = [read_image(path)[:24, :32] for path in clip.truths]
    made = [make_low(truth, "bd") for truth in truths]
    for given, lows in ((clip, made), (with_files(clip), [255 - low for low in made])):
        window = Window(given, 4, 4)
        assert window.numbers == [2, 3, 4, 5, 4]
        assert window.size == (6, 8)
        assert np.array_equal(window.truth, truths[4])
        assert same(window.lows(), [lows[k] for k in window.numbers])
        assert same(window.lows(((1, 4), (2, 8))), [lows[k][1:4, 2:8] for k in window.numbers])
    assert Window(clip, 5, 4, padding="tdan_eval").numbers == [3, 4, 5, 3, 3]


@pytest.fixture
def recall():
    """Remembers everything."""
    known = {}

    def get(key, make):
        if key not in known:
            known[key] = make()
        return known[key]

    return get


def test_windows_that_share_frames_read_them_once(clip, monkeypatch, recall):
    read = []
    monkeypatch.setattr("tdan.samples.read_image", lambda path: read.append(path) or read_image(path))
    shared = [Window(clip, k, 4, recall=recall).lows() for k in range(6)]
    assert sorted(read) == list(clip.truths)
    assert all(same(lows, Window(clip, k, 4).lows()) for k, lows in enumerate(shared))


def test_frames_that_do_not_fit_are_named(clip, recall):
    files = with_files(clip)
    write_image(clip.truths[3], np.zeros((26, 39, 3), np.uint8))
    for known in ({}, {"recall": recall}):
        with pytest.raises(ValueError, match=r"but 9x6 was expected, as of .*3.png"):  # what it reads is remembered
            Window(clip, 3, 4, **known).lows()
        with pytest.raises(
            ValueError, match=r"3.png: 9x6 pixels at low resolution, but 8x6 was expected, as of .*2.png"
        ):
            Window(clip, 2, 4, **known).lows(((0, 2), (0, 2)))
    write_image(files.lows[0], np.zeros((6, 7, 3), np.uint8))
    with pytest.raises(
        ValueError, match=r"low_0.png: 7x6 pixels at low resolution, but 8x6 was expected, as of .*1.png"
    ):
        Window(files, 1, 4).lows(((0, 2), (0, 2)))
    assert read_low(files, 0, 4).shape == (6, 7, 3)  # by itself it may be of any size


def test_what_is_scored(clip):
    samples = scored_samples([clip, replace(clip, name="other", middles=(2, 3))])
    assert [sample.name for sample in samples] == [*(f"noise/{k}" for k in range(6)), "other/2", "other/3"]
    assert samples[-1] == Sample(replace(clip, name="other", middles=(2, 3)), 3)


def test_lows_of_a_crop_are_crops_of_the_lows():
    rng = np.random.default_rng(0)
    truths = [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(2)]
    for degradation, scale in (("bi", 4), ("bd", 4), ("bi", 2)):
        for truth in truths:
            low = make_low(truth, degradation, scale=scale)
            for top, left in ((0, 0), (3, 5), (4, 8), (1, 7)):
                place = (top, top + 8), (left, left + 8)
                part = low_part(truth, place, degradation, scale)
                assert np.array_equal(part, low[top : top + 8, left : left + 8])
            assert np.array_equal(low_part(truth, ((0, 48 // scale), (0, 64 // scale)), degradation, scale), low)


def test_samples_depend_on_the_position_alone(clips):
    for data in ("vimeo_bi", "vimeo_bd", "clips_bi"):
        config = replace(preset("TDAN_tiny_bi"), data=data, crop=8)
        found = find_clips(clips, data, "train")
        first, again = (TrainingSamples(found, config)[7] for _ in range(2))
        assert all(torch.equal(first[key], again[key]) for key in first)
        other = TrainingSamples(found, replace(config, manual_seed=5))[7]
        assert not torch.equal(first["frames"], other["frames"])
        assert first["frames"].shape == (5, 3, 8, 8)
        assert first["target"].shape == (3, 32, 32)


def test_middle_frames_of_long_clips_vary(clips):
    config = replace(preset("TDAN_tiny_bi"), data="clips_bi", crop=12, flip=False)
    found = find_clips(clips, "clips_bi", "train")
    assert [clip.middles for clip in found] == [tuple(range(2, 12))] * 2
    assert found[0].truths[10].name == "Frame 10.png"  # sorted as numbers
    dataset = TrainingSamples(found, config)
    assert len({dataset[position]["target"].sum().item() for position in range(12)}) > 6


def test_target_lies_over_the_middle_frame(clips):
    for scale in (2, 4):
        config = replace(preset("TDAN_tiny_bi"), crop=12, scale=scale)
        dataset = TrainingSamples(find_clips(clips, "vimeo_bi", "train", scale=scale), config)
        for position in range(6):
            item = dataset[position]
            low = imresize(item["target"].permute(1, 2, 0).numpy(), scale=1 / scale)[2:-2, 2:-2]
            difference = [np.abs(frame.permute(1, 2, 0).numpy()[2:-2, 2:-2] - low).mean() for frame in item["frames"]]
            assert np.argmin(difference) == 2
            assert difference[2] < 0.003  # half a level of rounding


def test_prepared_frames_are_read_as_they_are(clips, tmp_path):
    shutil.copytree(clips / "vimeo_septuplet", tmp_path / "vimeo_septuplet")
    layout = ("--layout", "vimeo_septuplet", "--root", tmp_path)
    script([ROOT / "datasets/prepare_vimeo90k.py", *layout, "--degrade", "BDx4"])
    made, flying = (find_clips(tmp_path, "vimeo_bd", "train", prepared=prepared) for prepared in (True, False))
    for a, b in zip(made, flying, strict=True):
        assert np.array_equal(read_image(a.lows[1]), read_low(b, 1, 4))
        for window in (Window(a, 3, 4), Window(b, 3, 4)):
            assert window.numbers == [1, 2, 3, 4, 5]
            assert same(window.lows(), [read_image(a.lows[k]) for k in window.numbers])
            assert np.array_equal(window.truth, read_image(a.truths[3]))
    config = replace(preset("TDAN_tiny_bd"), crop=8)
    first, second = (TrainingSamples(found, config)[3] for found in (made, flying))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_turn_keeps_frames_and_target_together():
    low = np.arange(4 * 6 * 3).reshape(4, 6, 3)
    target = low.repeat(4, 0).repeat(4, 1)
    seen = set()
    for seed in range(60):
        turned, large = turn([low, target], np.random.default_rng(seed))
        assert np.array_equal(large[::4, ::4], turned)
        seen.add((turned.shape, int(turned[0, 0, 0])))
    assert len(seen) == 8
