"""Textures with the statistics of photographs, for the layers of `common/sets/synthetic_scene.py`.

Every surface is a dead leaves image (Lee, Mumford, Huang: Occlusion models for natural images, IJCV 2001): shapes of
power-law sizes that occlude each other, which gives the power spectrum, the sparse gradients and the occlusion edges of
photographs. Colours, 1/f grain, shading and defocus are drawn from distributions that were set against real frames.

Shapes: h w texture size in texels, N points or leaves.
"""

from collections.abc import Callable

import cv2
import numpy as np
from scipy import fft, special

DENSITY = 2  # texels a pixel: bilinear reading then costs half as much sharpness, and almost the same at any phase
GAMMA = 2.2
CORNERS = (
    48  # vertices of a shape; a multiple of 3, 4 and 6 so that triangles, rectangles and hexagons keep their corners
)
GRAINS = 3  # 1/f textures that the leaves of one surface share


def one_over_f(
    rng: np.random.Generator, h: int, w: int, slope: float, stretch: float = 1, angle: float = 0
) -> np.ndarray:
    """Periodic Gaussian noise (h, w) float32 with zero mean, unit deviation and power spectrum 1 / f^slope.

    Args:
        rng: source of randomness.
        h: rows.
        w: columns.
        slope: 0 is white; 2 is the average photograph.
        stretch: 1 is isotropic; more draws the grain out, as in wood, cloth or grass.
        angle: radians, the direction of the stretch.
    """
    fy, fx = np.meshgrid(fft.fftfreq(h).astype(np.float32), fft.rfftfreq(w).astype(np.float32), indexing="ij")
    along, across = fx * np.cos(angle) + fy * np.sin(angle), fy * np.cos(angle) - fx * np.sin(angle)
    frequency = np.hypot(along * stretch, across)
    frequency[0, 0] = 1
    spectrum = fft.rfft2(rng.standard_normal((h, w), dtype=np.float32)) * frequency ** (-slope / 2)
    spectrum[0, 0] = 0
    noise = fft.irfft2(spectrum, (h, w))
    return (noise / noise.std()).astype(np.float32)


def outlines(rng: np.random.Generator, radius: np.ndarray, stretch: float, order: float) -> np.ndarray:
    """Random closed shapes around the origin: blobs, ellipses and polygons, turned and stretched.

    Args:
        rng: source of randomness.
        radius: (N,) typical radii.
        stretch: deviation of the log of width over height; 0 for round shapes, 1.5 for blades of grass.
        order: 1 if all shapes point the same way, as in buildings; 0 if each has its own direction.

    Returns:
        (N, CORNERS, 2) vertices x, y in the unit of `radius`.
    """
    n = len(radius)
    angle = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    waves = np.arange(2, 6)[:, None]
    height = rng.normal(0, 0.35, (n, 4, 1)) / waves * rng.choice([0.2, 1.0], (n, 1, 1))
    blob = np.clip(1 + (height * np.cos(waves * angle + rng.uniform(0, 2 * np.pi, (n, 4, 1)))).sum(1), 0.25, 2)
    sides = rng.choice([3, 4, 4, 4, 6], (n, 1))
    polygon = np.cos(np.pi / sides) / np.cos(angle % (2 * np.pi / sides) - np.pi / sides)
    r = np.where(rng.random((n, 1)) < 0.5, blob, 1.2 * polygon) * radius[:, None]
    aspect = np.exp(0.5 * np.abs(rng.normal(0, stretch, n)).clip(max=3))
    skew = rng.normal(0, 0.2, n)
    x, y = r * np.cos(angle) * aspect[:, None], r * np.sin(angle) / aspect[:, None]
    x = x + skew[:, None] * y
    turn = rng.uniform(0, 2 * np.pi) + (1 - order) * rng.uniform(-np.pi, np.pi, (n, 1))
    return np.stack((x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)), -1)


def dead_leaves(
    rng: np.random.Generator, h: int, w: int, smallest: float, largest: float, layers: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shapes with density r^-3 of radii, later ones in front, periodic at the border.

    Args:
        rng: source of randomness.
        h: rows.
        w: columns.
        smallest: radius in texels.
        largest: radius in texels.
        layers: how many times the leaves cover the plane.

    Returns:
        labels (h, w) int32, centres (N, 2) and radii (N,) in texels. Leaf 0 is what shows through the others.
    """
    mean_area = 2 * np.pi * np.log(largest / smallest) / (smallest**-2 - largest**-2)
    count = int(np.clip(layers * h * w / mean_area, 8, 20000))
    radius = np.append(h + w, rng.uniform(largest**-2, smallest**-2, count) ** -0.5)
    centre = rng.uniform(0, 1, (count + 1, 2)) * (w, h)
    shape = outlines(rng, radius, np.exp(rng.uniform(-1.2, 0.4)), rng.choice([0, 0.5, 1])) + centre[:, None]
    low, high = shape.min(1), shape.max(1)
    labels = np.zeros((h, w), np.int32)
    for leaf in range(1, count + 1):
        for dx in (-w, 0, w):
            for dy in (-h, 0, h):
                shift = np.array([dx, dy])
                if (low[leaf] + shift < (w, h)).all() and (high[leaf] + shift > 0).all():
                    cv2.fillPoly(labels, [np.rint(shape[leaf] + shift).astype(np.int32)], leaf)
    return labels, centre, radius


def colours(rng: np.random.Generator, spread: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """(N, 3) display RGB in [0, 1] around `mean` = (logit of lightness, warm-cold, green-magenta).

    `spread` (N,) is how far each may be from the mean.
    Chroma is heavy-tailed, mostly along the daylight axis, and proportional to lightness: most of a photograph is
    nearly gray and a little of it is vivid.
    """
    n = len(spread)
    light = special.expit(mean[0] + spread * rng.normal(0, 1, n))[:, None]
    warm = (mean[1] + spread * rng.laplace(0, 0.08, n)).clip(-0.4, 0.4)[:, None]
    green = (mean[2] + spread * rng.laplace(0, 0.03, n)).clip(-0.2, 0.2)[:, None]
    return np.clip(light * (1 + warm * (0.9, 0.1, -1.3) + green * (-0.8, 0.6, -0.4)), 0.01, 0.99)


def surface(rng: np.random.Generator, h: int, w: int, mean: np.ndarray, spread: float) -> np.ndarray:
    """A periodic textured surface (h, w, 3) float32 in linear light: dead leaves with grain and soft shading."""
    extent = min(h, w)
    smallest = DENSITY * np.exp(rng.uniform(np.log(2), np.log(8)))
    smallest = min(smallest, extent / 8)
    labels, centre, radius = dead_leaves(
        rng, h, w, smallest, extent * rng.uniform(0.25, 0.5), np.exp(rng.uniform(np.log(0.3), np.log(3)))
    )
    count = len(radius)
    # Small leaves stand out less: what is small in a photograph is mostly a part of something.
    spread = spread * (radius / extent).clip(0.01, 0.3) ** 0.25 * 1.6
    colour = colours(rng, spread, mean).astype(np.float32)

    # Most leaves are smooth, some are rough: grain has log-normal strength and one of a few characters.
    grain = np.stack(
        [
            one_over_f(rng, h, w, rng.uniform(0.8, 2.2), np.exp(abs(rng.normal(0, 0.7))), rng.uniform(0, np.pi))
            for _ in range(GRAINS)
        ]
    )  # 3 h w
    strength = 0.075 * np.exp(rng.normal(0, 0.75))
    strength = (strength * np.exp(rng.normal(0, 0.7, count))).clip(max=0.4).astype(np.float32)
    kind = rng.integers(0, GRAINS, count)
    rows, columns = np.ogrid[: float(h), : float(w)]
    light = strength[labels] * np.take_along_axis(grain, kind[labels][None], 0)[0]

    # Each leaf is lit from its own side, with a ramp of the same height whatever its size.
    side = (rng.normal(0, 0.12, (count, 2)) / radius[:, None]).astype(np.float32)
    side[0] = 0  # it has no border that could hide where its ramp begins again
    centre = centre.astype(np.float32)
    dx, dy = ((v - centre[labels, i] + n / 2) % n - n / 2 for i, (v, n) in enumerate(((columns, w), (rows, h))))
    light += side[labels, 0] * dx + side[labels, 1] * dy
    light += rng.uniform(0.05, 0.25) * one_over_f(rng, h, w, 4.5).clip(-2, 2)
    return (colour[labels] * np.exp(light)[..., None]).clip(0, 1) ** GAMMA


def defocused(texture: np.ndarray, sigma: float, border: int) -> np.ndarray:
    """Blur by the lens: `sigma` in pixels of the frame. Also what keeps a texture free of aliasing.

    `border` is how the texture goes on beyond itself, as OpenCV names it.
    """
    sigma *= DENSITY
    if border != cv2.BORDER_WRAP:  # which is the one that GaussianBlur does not know
        return cv2.GaussianBlur(texture, (0, 0), sigma, borderType=border)
    pad = int(4 * sigma) + 1
    padded = cv2.copyMakeBorder(texture, pad, pad, pad, pad, cv2.BORDER_WRAP)
    return cv2.GaussianBlur(padded, (0, 0), sigma)[pad:-pad, pad:-pad].copy()


def lens_sigma(rng: np.random.Generator) -> float:
    """Half of the layers are in focus; the others are out of it by a little, seldom by much."""
    return 0.36 + max(0.0, rng.normal(-0.25, 0.45))


def cut_out(rng: np.random.Generator, radius: float, mood: np.ndarray, paint: Callable = surface) -> np.ndarray:
    """One object: a surface cut along a random outline and rounded by shading.

    Args:
        rng: source of randomness.
        radius: typical, in pixels.
        mood: (3,) average colour of the scene, see `colours`; the object's own lies around it.
        paint: what makes the surface; takes what `surface` takes.

    Returns:
        (h, w, 4) float32: linear-light RGB times alpha, and alpha; alpha is 0 at the border.
    """
    parts = rng.integers(1, 4)
    shape = outlines(rng, radius * rng.uniform(0.5, 1, parts), stretch=0.8, order=0)
    shape += rng.normal(0, 0.4 * radius, (parts, 1, 2)) * (parts > 1)
    sigma = lens_sigma(rng)
    margin = 4 * sigma + 2
    low, high = shape.min((0, 1)) - margin, shape.max((0, 1)) + margin
    w, h = (fft.next_fast_len(int(np.ceil(size * DENSITY)), real=True) for size in high - low)
    mask = np.zeros((h, w), np.uint8)
    for part in shape:
        cv2.fillPoly(mask, [np.rint((part - low) * DENSITY * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    alpha = mask.astype(np.float32) / 255
    # A relief that falls off towards the outline, lit from a random side.
    relief = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.05, 0.3) * radius * DENSITY)
    lamp = rng.normal(0, 1, 2) / (1e-3 + relief.std())
    step = max(2, int(0.1 * radius * DENSITY))
    light = lamp[0] * (np.roll(relief, step, 1) - relief) + lamp[1] * (np.roll(relief, step, 0) - relief)
    mean = mood + np.array([rng.normal(0, 0.9), rng.laplace(0, 0.08), rng.laplace(0, 0.03)])
    colour = paint(rng, h, w, mean, rng.uniform(0.2, 1.2))
    colour *= np.exp(rng.uniform(0, 1) * light.clip(-1, 1))[..., None]
    rgba = np.dstack((colour.clip(0, 1) * alpha[..., None], alpha)).astype(np.float32)
    return defocused(rgba, sigma, cv2.BORDER_CONSTANT)


def backdrop(rng: np.random.Generator, height: int, width: int, mood: np.ndarray) -> np.ndarray:
    """What is behind all objects: (h, w, 4) like `cut_out`, opaque and periodic, larger than the frame in pixels."""
    h, w = (fft.next_fast_len(int(1.25 * DENSITY * size), real=True) for size in (height, width))
    colour = defocused(surface(rng, h, w, mood, rng.uniform(0.6, 1.3)), lens_sigma(rng), cv2.BORDER_WRAP)
    return np.dstack((colour, np.ones((h, w), np.float32)))


def random_mood(rng: np.random.Generator) -> np.ndarray:
    """Average colour of a scene, see `colours`."""
    return np.array([rng.normal(-0.25, 0.5), rng.laplace(0.03, 0.06), rng.laplace(0, 0.02)])
