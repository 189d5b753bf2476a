"""Photographs as surfaces: read upright, cut at random, periodic behind the scene, moved as exactly as drawn ones."""

import struct

import numpy as np
import pytest

from common.media.image import write_image
from common.sets import photo_textures
from common.sets.photo_textures import Photographs
from common.sets.synthetic_scene import Scene
from common.sets.synthetic_textures import DENSITY, GAMMA, cut_out
from tests.common.sets.test_synthetic_scene import away_from_edges
from tests.helpers.clips import moving, write_video
from tests.helpers.pictures import picture, read_at

RED, MEAN, MOOD = (250, 30, 20), np.zeros(3), np.zeros(3)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def folder(tmp_path):
    for number in range(3):
        write_image(tmp_path / "photos" / f"{number}.png", picture(220, 300, seed=number))
    return tmp_path / "photos"


def test_photographs_are_upright_and_not_too_large(tmp_path, rng):
    """A picture with one red edge: at the top as stored, at the right when turned as its EXIF tag asks."""
    stored = np.full((60, 80, 3), 40, np.uint8)
    stored[:10] = RED
    write_image(tmp_path / "a.jpg", stored)
    jpeg = (tmp_path / "a.jpg").read_bytes()
    tag = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0) + b"\0\0\0\0"
    (tmp_path / "a.jpg").write_bytes(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(tag) + 2) + tag + jpeg[2:])
    (read,) = photo_textures._read(tmp_path / "a.jpg")
    assert read.shape == (80, 60, 3)
    assert read[:, 55, 0].min() > 200
    assert read[:, 40, 0].max() < 80

    write_image(tmp_path / "b.png", np.zeros((30, 2 * photo_textures.LONGEST, 3), np.uint8))
    assert photo_textures._read(tmp_path / "b.png")[0].shape == (15, photo_textures.LONGEST, 3)


def test_every_eighth_frame_of_a_clip_is_a_photograph(tmp_path):
    path = write_video(tmp_path / "clip.mp4", moving(17), frame_rate=25)
    pictures = photo_textures._read(path)
    assert len(pictures) == 3
    assert np.abs(pictures[2].astype(float) - moving(17)[16]).mean() < 8
    photographs = Photographs.of(tmp_path, 1.0)
    assert photographs.files == (path,)
    assert Scene(0, 48, 64, photographs=photographs).render(0).shape == (48, 64, 3)


def test_what_cannot_be_read_is_named_at_once(folder, tmp_path):
    whole = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(whole[:-20])
    with pytest.raises(ValueError, match=r"1\.png is a truncated PNG"):
        Photographs.of(folder, 1.0)
    (folder / "1.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"1\.png is not a readable image"):
        Photographs.of(folder, 1.0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no photographs in"):
        Photographs.of(tmp_path / "empty", 1.0)


def test_digest_follows_the_files(folder):
    before = Photographs.of(folder, 1.0).digest()
    assert Photographs.of(folder, 0.5).digest() == before
    write_image(folder / "2.png", picture(220, 300, seed=9))
    assert Photographs.of(folder, 1.0).digest() != before


def test_a_surface_is_a_part_of_a_photograph_in_linear_light(tmp_path, rng):
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[None, :, None], 150, 0).repeat(3, 2)
    write_image(tmp_path / "ramp.png", ramp)
    photographs = Photographs.of(tmp_path, 1.0)
    starts, steps, turned = [], [], 0
    for _ in range(60):
        part = photographs.surface(rng, 60, 80, MEAN, 1.0)
        assert part.shape == (60, 80, 3)
        assert part.dtype == np.float32
        level = 255 * part[..., 0] ** (1 / GAMMA)
        down, right = level[30, 40] - level[29, 40], level[30, 40] - level[30, 39]
        turned += abs(down) > abs(right)
        starts.append(level[0, 0])
        steps.append(down + right)
    assert np.std(starts) > 20
    assert 0 < turned < 30
    assert min(steps) < 0 < max(steps)  # some are mirrored
    size = np.abs(steps)
    assert photo_textures.SCALES[0] - 0.05 < size.min() < 0.7
    assert 1.5 < size.max() < 200 / 80 + 0.05  # never more than there is


def test_share_of_the_surfaces(folder, rng, monkeypatch):
    monkeypatch.setattr(photo_textures.synthetic_textures, "surface", lambda *_: "drawn")
    monkeypatch.setattr(photo_textures.synthetic_textures, "backdrop", lambda *_: "drawn")
    photographs = Photographs.of(folder, 0.7)
    surfaces = [photographs.surface(rng, 8, 8, MEAN, 1.0) for _ in range(200)]
    backdrops = [photographs.backdrop(rng, 8, 8, MOOD) for _ in range(200)]
    for made in (surfaces, backdrops):
        assert 40 < sum(isinstance(one, str) for one in made) < 80


def test_a_backdrop_has_no_seam_and_shows_the_photograph_in_the_middle(folder, rng):
    behind = Photographs.of(folder, 1.0).backdrop(rng, 48, 64, MOOD)
    assert (behind[..., 3] == 1).all()
    for axis in (0, 1):
        steps = np.abs(behind - np.roll(behind, 1, axis)).mean((1 - axis, 2))
        size = len(steps) // 2
        assert size >= photo_textures.REACH * DENSITY * (48, 64)[axis]
        assert list(np.flatnonzero(steps == 0)) == [size // 2, size // 2 + size]  # mirrors, at equal distances
        assert steps[0] < 2 * np.median(steps)


def test_an_object_keeps_its_outline(folder):
    """Drawn or photographed: the alpha of the same seed is the same, and colours are its multiples."""
    drawn = cut_out(np.random.default_rng(3), 20, MOOD)
    pasted = cut_out(np.random.default_rng(3), 20, MOOD, Photographs.of(folder, 1.0).surface)
    assert np.array_equal(drawn[..., 3], pasted[..., 3])
    assert (pasted[..., :3] <= pasted[..., 3:] + 1e-3).all()
    assert not np.allclose(drawn, pasted, atol=0.05)


def test_flow_of_photographs_is_what_the_frames_do(folder):
    photographs = Photographs.of(folder, 1.0)
    for seed in range(4):
        scene = Scene(seed, 96, 160, photographs=photographs)
        first, second = scene.render(0), scene.render(3)
        flow, hidden = scene.flow(0, 3)
        use = ~hidden & away_from_edges(scene, 0, 3, flow)
        assert use.mean() > 0.2
        assert np.mean((read_at(second, flow) - first)[use] ** 2) < 0.1 * np.mean((second - first)[use] ** 2)


def test_the_same_seed_gives_the_same_scene(folder):
    photographs = Photographs.of(folder, 0.7)
    first, again = (Scene(5, 48, 64, photographs=photographs).render(1.5) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, Scene(5, 48, 64).render(1.5))
