"""PVDNet's samples: what a training sample is, the order of samples, and what broken frames end in."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from common.media.image import write_image
from pvdnet.config import Config
from pvdnet.samples import (
    EpochBatches,
    MixedClips,
    TrainingClips,
    blurriest_crop,
    clip_frames,
    random_crop,
    training_order,
    validation_videos,
)
from pvdnet.sets import SUBFOLDERS, find_videos, read_pair
from tests.helpers.blurry_videos import frame, make_video

SMALL = Config(height=32, width=32, frame_itr_num=3, noise_sigma=0.0)


def one_video(root):
    return find_videos(root, "nah", "train")[0]


# Crops


def test_of_several_crops_the_blurriest_is_taken():
    sharp = np.zeros((96, 96, 3), np.uint8)
    blurry = sharp.copy()
    blurry[40:56, 40:56] = 90
    picked = [
        blurriest_crop(blurry, sharp, dataclasses.replace(SMALL, crop_tries=tries), np.random.default_rng(3))
        for tries in (1, 16)
    ]
    assert picked[0] == random_crop(blurry.shape, SMALL, np.random.default_rng(3))
    one, many = (int(blurry[crop].sum()) for crop in picked)
    assert one < many == blurry.sum()


# Frames


def test_unusual_files_are_read_as_rgb(root):
    video = one_video(root)
    bgr = frame(3)[..., ::-1]
    gray = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    alpha = np.dstack([bgr, np.full(bgr.shape[:2], 7, np.uint8)])
    cv2.imwrite(str(video.blurry[0]), gray)
    cv2.imwrite(str(video.blurry[1]), alpha)
    cv2.imwrite(str(video.blurry[2]), bgr.astype(np.uint16) * 257)
    expected = [np.repeat(gray[..., None], 3, -1), frame(3), frame(3)]
    for index, picture in enumerate(expected):
        assert np.array_equal(read_pair(video, index)[0], picture)
    sample = TrainingClips([video], SMALL)[1, 0]
    assert sample["input"].shape == sample["gt"].shape == (5, 3, 32, 32)
    assert torch.equal(sample["input"][2], sample["input"][3])  # with alpha and of 16 bits
    assert not torch.equal(sample["input"][1], sample["input"][2])


@pytest.mark.parametrize("kind", ["blur_gamma", "sharp"])
def test_damaged_frames_are_named(root, kind):
    path = root / "train_nah/a" / kind / "000002.png"
    path.write_bytes(path.read_bytes()[:-20])
    videos = find_videos(root, "nah", "train")
    for read in (lambda: list(clip_frames(videos[0])), lambda: TrainingClips(videos, SMALL)[1, 0]):
        with pytest.raises(ValueError, match=f"{kind}/000002.png is a truncated PNG"):
            read()


def test_truncated_jpeg_is_named(tmp_path):
    make_video(tmp_path / "test_DVD" / "a", "DVD", 3, ".jpg")
    path = tmp_path / "test_DVD/a/GT/000001.jpg"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"GT/000001.jpg is a truncated"):
        list(clip_frames(find_videos(tmp_path, "DVD", "test")[0]))


def test_blurry_and_sharp_of_two_sizes(root):
    write_image(root / "train_nah/a/sharp/000001.png", frame(1, height=32))
    with pytest.raises(ValueError, match=r"blur_gamma/000001.png has 40x36 pixels, its sharp frame 40x32"):
        list(clip_frames(one_video(root)))


def test_frames_of_two_sizes(root):
    for kind in SUBFOLDERS["nah"]:
        write_image(root / "train_nah/a" / kind / "000001.png", frame(1, height=44))
    videos = find_videos(root, "nah", "train")
    for read in (lambda: list(clip_frames(videos[0])), lambda: TrainingClips(videos, SMALL)[1, 0]):
        with pytest.raises(ValueError, match=r"blur_gamma/000001.png: differs in size"):
            read()


def test_frame_smaller_than_the_network_takes(tmp_path):
    make_video(tmp_path / "test_nah" / "a", count=1, height=3)
    with pytest.raises(ValueError, match=r"000000.png: 40x3 pixels are too few"):
        list(clip_frames(find_videos(tmp_path, "nah", "test")[0]))


# Evaluation


def test_evaluation_windows(tmp_path):
    make_video(tmp_path / "test_nah" / "a", count=4, height=38, width=43)
    steps = list(clip_frames(find_videos(tmp_path, "nah", "test")[0]))
    assert [index for index, _, _ in steps] == [0, 1, 2, 3]
    for index, frames, sharp in steps:
        wanted = [max(index - 1, 0), index, min(index + 1, 3)]
        for number, tensor in zip(wanted, frames, strict=True):
            expected = torch.from_numpy(frame(number, level=10)[:36, :40].transpose(2, 0, 1).copy())
            assert torch.equal(tensor[0], expected)  # uint8
        assert np.array_equal(sharp, frame(index)[:36, :40])


def test_clip_of_one_frame(tmp_path):
    make_video(tmp_path / "test_nah" / "a", count=1)
    ((index, frames, sharp),) = clip_frames(find_videos(tmp_path, "nah", "test")[0])
    assert (index, sharp.shape) == (0, (36, 40, 3))
    assert torch.equal(frames[0], frames[1])
    assert torch.equal(frames[1], frames[2])


def test_evaluation_reads_each_file_once(tmp_path, monkeypatch):
    make_video(tmp_path / "test_nah" / "a", count=6)
    video = find_videos(tmp_path, "nah", "test")[0]
    import pvdnet.sets as module

    seen = []
    monkeypatch.setattr(module, "read_image", lambda path, read=module.read_image: seen.append(path) or read(path))
    list(clip_frames(video))
    assert sorted(seen) == sorted(video.blurry + video.sharp)


# Training samples


def test_clips_too_short_to_train_on(root):
    with pytest.raises(ValueError, match=r"no video has 13 frames; the longest has 7: .*--set frame_itr_num"):
        TrainingClips(find_videos(root, "nah", "train"), dataclasses.replace(SMALL, frame_itr_num=13))


@pytest.mark.parametrize("size", [{"height": 64, "width": 32}, {"height": 32, "width": 64}])
def test_frames_smaller_than_the_crop(root, size):
    message = r"video a: frames of 40x36 are smaller than the crop of \d+x\d+; use --set width"
    with pytest.raises(ValueError, match=message):
        TrainingClips(find_videos(root, "nah", "train"), dataclasses.replace(SMALL, **size))


def test_later_frames_smaller_than_the_crop(root):
    for kind in SUBFOLDERS["nah"]:
        for number in range(2, 7):
            write_image(root / "train_nah/b" / kind / f"{number:06d}.png", frame(number, height=28))
    clips = TrainingClips(find_videos(root, "nah", "train"), SMALL)
    with pytest.raises(ValueError, match=r"video b: frames of 40x28 are smaller"):
        clips[1, 2]


def test_frames_of_the_size_of_the_crop(tmp_path):
    make_video(tmp_path / "train_nah" / "a", height=32, width=40)
    clips = TrainingClips(find_videos(tmp_path, "nah", "train"), dataclasses.replace(SMALL, width=40))
    expected = torch.from_numpy(frame(0, height=32).transpose(2, 0, 1))
    assert torch.equal(clips[1, 0]["gt"][0], expected)


def test_sample_is_a_window_with_one_crop(root):
    clips = TrainingClips(find_videos(root, "nah", "train"), SMALL)
    assert clips.items == [(0, 0), (1, 0), (1, 3)]
    sample = clips[1, 2]  # frames 2 to 6 of the second video
    assert torch.equal(sample["gt"][:, 2, 0, 0], 5 * torch.tensor([2, 3, 4, 5, 6], dtype=torch.uint8))
    top, left = (sample["gt"][0, :2, 0, 0] // 2).tolist()
    for index, number in enumerate((2, 3, 4, 5, 6)):
        whole = torch.from_numpy(frame(number).transpose(2, 0, 1))
        assert torch.equal(sample["gt"][index], whole[:, top : top + 32, left : left + 32])
    assert torch.allclose(sample["input"] - sample["gt"] / 255, torch.tensor(10 / 255))


def test_samples_depend_on_seed_epoch_and_number_alone(root):
    videos = find_videos(root, "nah", "train")
    noisy = dataclasses.replace(SMALL, noise_sigma=0.01)
    samples = {}
    for workers in (0, 1, 2):
        clips = TrainingClips(videos, noisy)
        loader = DataLoader(clips, batch_sampler=EpochBatches(len(clips), 2), num_workers=workers)
        batches = [batch for batch, _ in zip(loader, range(4), strict=False)]  # two epochs of two batches
        samples[workers] = torch.cat([batch["input"] for batch in batches])
        torch.manual_seed(workers)
        np.random.seed(workers)
    assert torch.equal(samples[0], samples[1])
    assert torch.equal(samples[0], samples[2])
    clips = TrainingClips(videos, noisy)
    same = clips[1, 0]["input"]
    assert torch.equal(same, clips[1, 0]["input"])
    assert not torch.equal(same, clips[2, 0]["input"])
    assert not torch.equal(same, TrainingClips(videos, dataclasses.replace(noisy, manual_seed=1))[1, 0]["input"])


def test_batches_from_any_point_on():
    whole = EpochBatches(7, 3, seed=5)
    iterator = iter(whole)
    keys = [next(iterator) for _ in range(3 * whole.per_epoch)]
    assert whole.per_epoch == 3
    for epoch in (1, 2, 3):
        own = [key for batch in keys[3 * (epoch - 1) : 3 * epoch] for key in batch]
        assert sorted(own) == [(epoch, sample) for sample in range(7)]
    assert keys[0] != [(1, sample) for _, sample in keys[3]]  # shuffled anew
    again = iter(EpochBatches(7, 3, seed=5, epoch=2, batch=1))
    assert [next(again) for _ in range(5)] == keys[4:9]
    ranks = [iter(EpochBatches(7, 2, rank=rank, world_size=2, seed=5)) for rank in range(2)]
    shares = [[next(share) for _ in range(2)] for share in ranks]
    assert {sample for share in shares for batch in share for _, sample in batch} == set(range(7))


def test_mixed_sets_have_their_shares_and_all_of_their_samples(root):
    """Of 12 samples an epoch 4 are of the weight 1: all 9 of that set in 9 positions, then they come again."""
    mixed = MixedClips([range_of(3), range_of(9)], (2.0, 1.0))
    places = [mixed.place(epoch, sample) for epoch in range(1, 10) for sample in range(len(mixed))]
    assert len(mixed) == 12
    for epoch in range(9):
        own = places[12 * epoch : 12 * (epoch + 1)]
        assert [number for number, *_ in own].count(1) == 4
    for number, count in ((0, 3), (1, 9)):
        seen = [place[1:] for place in places if place[0] == number]
        assert len(set(seen)) == len(seen)  # so every crop is another
        begin = -seen[0][1] % count
        assert sorted(sample for _, sample in seen[begin : begin + count]) == list(range(count))
    assert mixed[2, 11] == ("sample of 9", *mixed.place(2, 11)[1:])
    videos = find_videos(root, "nah", "train")
    one, two = (MixedClips([TrainingClips(videos[:1], SMALL), TrainingClips(videos[1:], SMALL)], (1, 2)) for _ in "ab")
    assert torch.equal(one[3, 1]["input"], two[3, 1]["input"])


def range_of(count):
    """In the place of `TrainingClips`: tells what is asked for."""

    class Told:
        def __len__(self):
            return count

        def __getitem__(self, key):
            return f"sample of {count}", *key

    return Told()


def test_crop_reaches_every_position():
    config, draw = dataclasses.replace(SMALL, height=32, width=36), np.random.default_rng(0)
    counts = np.zeros((4, 3), int)
    for _ in range(1200):
        rows, columns = random_crop((35, 38, 3), config, draw)
        assert (rows.stop - rows.start, columns.stop - columns.start) == (32, 36)
        counts[rows.start, columns.start] += 1
    assert counts.sum() == 1200
    assert counts.min() > 60  # 100 each are expected
    assert counts.max() < 150


def test_noise(tmp_path):
    for kind in SUBFOLDERS["nah"]:
        for number in range(15):
            level = 0 if number == 14 else 128
            write_image(tmp_path / "train_nah/a" / kind / f"{number:02}.png", np.full((64, 64, 3), level, np.uint8))
    config = Config(height=64, width=64)
    clips = TrainingClips(find_videos(tmp_path, "nah", "train"), dataclasses.replace(config, noise_sigma=0.02))
    noisy, deviations = 0, []
    for epoch in range(1, 21):
        sample = clips[epoch, 0]
        difference = sample["input"] - sample["gt"] / 255  # 15 frames
        changed = difference.abs().amax((1, 2, 3)) > 0
        noisy += int(changed.sum())
        deviations += difference[:14][changed[:14]].std((1, 2, 3)).tolist()
        assert sample["input"].min() >= 0  # the black last frame is clipped
        assert difference[:14].mean().abs() < 0.001
    assert 110 < noisy < 190  # half of 300
    assert np.allclose(deviations, 0.02, rtol=0.05)
    assert config.noise_sigma == 5e-5  # 1e-4 on [-1, 1]
    assert not (clips[1, 0]["input"][:14] == clips[2, 0]["input"][:14]).all()


def test_noise_is_new_for_every_frame_and_pixel(root):
    video = one_video(root)
    for path in video.blurry + video.sharp:
        write_image(path, frame(9))
    clips = TrainingClips([video], dataclasses.replace(SMALL, noise_sigma=0.02))
    for epoch in range(1, 10):
        sample = clips[epoch, 0]
        difference = sample["input"] - sample["gt"] / 255
        changed = difference[difference.abs().amax((1, 2, 3)) > 0][:, :, 8:, 8:].flatten(1)
        if len(changed) > 1:
            assert np.abs(np.corrcoef(changed.numpy()) - np.eye(len(changed))).max() < 0.1
            return
    pytest.fail("noise on fewer than two frames of five, nine times")


def test_an_epoch_is_dealt_out_in_turn_and_padded_with_its_first_samples():
    """As the published code deals samples out; the other papers have the order of common/training/sampling.py."""
    whole = torch.randperm(8, generator=torch.Generator().manual_seed(3)).tolist()  # seven samples, two processes
    shares = [training_order(7, epoch=3, rank=rank, world_size=2) for rank in (0, 1)]
    assert shares == [[number % 7 for number in whole[rank::2]] for rank in (0, 1)]
    assert training_order(7, epoch=3) != training_order(7, epoch=4)
    assert sorted(training_order(7, epoch=3)) == list(range(7))
    assert [list(validation_videos(5, rank, 2)) for rank in (0, 1)] == [[0, 2, 4], [1, 3]]
