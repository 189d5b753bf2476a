"""Procedural clips: their flow is what the frames do, their blur the mean of light, their speeds those of video."""

import cv2
import numpy as np
import pytest

from common.sets.synthetic_scene import Scene
from tests.helpers.pictures import read_at

HEIGHT, WIDTH = 96, 160


@pytest.fixture(scope="module")
def scenes():
    return [Scene(seed, HEIGHT, WIDTH) for seed in range(8)]


def away_from_edges(scene, start, end, flow):
    """Pixels with one layer, and only one, within 3 pixels at both times."""

    def calm(time):
        labels, window = scene._labels(time).astype(np.uint8), np.ones((7, 7))
        return (cv2.dilate(labels, window) == cv2.erode(labels, window)).astype(np.float32)

    return (calm(start) == 1) & (read_at(calm(end), flow) > 0.999)


@pytest.mark.parametrize(("start", "end"), [(0, 1), (5.25, 7), (20, 18), (700, 701)])
def test_flow_is_what_the_frames_do(scenes, start, end):
    errors, static = [], []
    for scene in scenes:
        first, second = scene.render(start), scene.render(end)
        flow, hidden = scene.flow(start, end)
        use = ~hidden & away_from_edges(scene, start, end, flow)
        assert use.mean() > 0.2
        errors.append(np.mean((read_at(second, flow) - first)[use] ** 2))
        static.append(np.mean((second - first)[use] ** 2))
    psnr = -10 * np.log10(errors)
    assert psnr.min() > 30
    assert psnr.mean() > 35
    assert psnr.mean() > -10 * np.log10(np.mean(static)) + 10  # and it is not that nothing moved


def test_motion_is_the_flow_without_what_it_hides(scenes):
    assert np.array_equal(scenes[3].motion(2, 5), scenes[3].flow(2, 5)[0])


def test_black_behind_a_rounded_alpha_is_black():
    scene = Scene(0, 48, 64)
    for layer in scene.layers:
        layer.texture[..., :3] = 0
        layer.texture[..., 3] *= np.float32(1 + 2e-7)
    scene.layers[0].texture[..., :3] = 0.5
    frame = scene.render(0)
    assert not np.isnan(frame).any()
    assert frame.min() == 0


def test_flow_and_its_inverse_cancel(scenes):
    for scene in scenes:
        forward, hidden = scene.flow(3, 5)
        backward, _ = scene.flow(5, 3)
        use = ~hidden & away_from_edges(scene, 3, 5, forward)
        loop = np.linalg.norm(forward + read_at(backward, forward), axis=-1)[use]
        assert np.percentile(loop, 99) < 1e-2


def test_flow_to_the_same_time_is_zero_and_hides_nothing(scenes):
    flow, hidden = scenes[0].flow(2.5, 2.5)
    assert np.abs(flow).max() < 1e-4
    assert not hidden.any()


def test_hidden_pixels_are_those_that_the_frames_contradict(scenes):
    """Reading the second frame at hidden points shows something else, so the error there must be far above the rest."""
    seen, unseen = [], []
    for scene in scenes:
        flow, hidden = scene.flow(0, 4)
        error = ((read_at(scene.render(4), flow) - scene.render(0)) ** 2).mean(-1)
        seen.append(error[~hidden].mean())
        unseen.append(error[hidden].mean())
    assert np.mean(unseen) > 10 * np.mean(seen)


def test_layers_come_back_without_being_seen_to_jump():
    """A layer that left the frame returns on the other side; at the moment of that jump nothing of it is visible."""
    jumps = 0
    for seed in range(2):
        scene = Scene(seed, 48, 64, pace=4)
        for layer in scene.layers[1:]:

            def shift(time, scene=scene, layer=layer):
                return scene._jump(layer, scene._free_matrix(layer, time))[:2, 2]

            times = np.arange(0, 100, 0.5)
            shifts = np.stack([shift(time) for time in times])
            for index in np.flatnonzero((shifts[1:, 0] != shifts[:-1, 0]) | (shifts[1:, 1] != shifts[:-1, 1])):
                low, high = times[index], times[index + 1]
                while high - low > 1e-6:  # to the very moment
                    middle = (low + high) / 2
                    same = np.allclose(shift(middle), shift(low))
                    low, high = (middle, high) if same else (low, middle)
                for time in (low, high):
                    seen = scene._warp(layer, time, layer.alpha)
                    assert seen is None or seen[1].max() == 0
                jumps += 1
    assert jumps > 5


def test_blur_is_the_mean_in_linear_light(scenes):
    scene = scenes[1]
    times = 4 + 0.8 * np.array([-2, -1, 0, 1, 2]) / 5
    mean = np.mean([scene.render(time).astype(np.float64) ** 2.2 for time in times], 0) ** (1 / 2.2)
    assert np.abs(scene.blurred(4, 0.8, 5) - mean).max() < 1e-4
    assert np.abs(scene.blurred(4, 0.8, 1) - scene.render(4)).max() < 1e-6  # the middle one is the sharp frame
    with pytest.raises(ValueError, match="odd"):
        scene.blurred(4, 0.8, 6)


def test_samples_follow_the_motion():
    scene = Scene(0, HEIGHT, WIDTH, pace=4)
    assert scene.samples(0, 0.01) == 7
    assert scene.samples(0, 4.0) > scene.samples(0, 0.5)
    assert all(scene.samples(time, 1) % 2 for time in range(5))


def test_scene_is_a_function_of_its_seed():
    again, other = Scene(5, 48, 64).render(1.5), Scene(6, 48, 64).render(1.5)
    assert np.array_equal(Scene(5, 48, 64).render(1.5), again)
    assert not np.array_equal(again, other)
    assert again.dtype == np.float32
    assert again.shape == (48, 64, 3)
    assert again.min() >= 0
    assert again.max() <= 1


def test_speeds_are_small_with_a_long_tail():
    scenes = [Scene(seed, 48, 64) for seed in range(40)]
    speed = np.concatenate([np.linalg.norm(scene.flow(0, 1)[0], axis=-1).ravel() for scene in scenes])
    assert 1.2 < np.median(speed) < 4
    assert 7 < np.percentile(speed, 99) < 25
    slow = Scene(0, 48, 64, pace=0.125).flow(0, 8)[0]
    assert np.allclose(slow, Scene(0, 48, 64).flow(0, 1)[0], atol=1e-4)
