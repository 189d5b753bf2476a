"""TDAN along a clip and window by window, with a small network: two ways to the same results."""

import torch

from common.media.frame_windows import neighbour_indices, windows
from common.media.image import to_uint8
from common.ops.tile import tiled
from tdan import stream
from tdan.ensemble import chopped, flipped
from tdan.model import TDAN
from tdan.stream import Enhancer

NEAR = 1e-6  # results are float32, near 1; below that, float64 hides which kernels ran, for five frames or for one


def network(scale=4, border="torchvision"):
    """A small network whose results lie near [0, 1]."""
    torch.manual_seed(0)
    made = TDAN(8, 1, 1, scale=scale, border=border, init="authors").eval()
    with torch.no_grad():
        made.last.weight *= 0.1
    return made


def precise(*args):
    """The same in float64."""
    return network(*args).double()


def clip(length, height, width):
    """Frames (T, 3, H, W) in [0, 1), float64."""
    generator = torch.Generator().manual_seed(length)
    return torch.randint(256, (length, 3, height, width), generator=generator).double() / 256


def by_network(made, window, *, tile=0, chop=False, flips=False):
    """The middle frame of (1, 5, 3, H, W), every part of it in a call of its own."""

    def whole(frames):
        function = lambda part: made(part)["pred"]  # noqa: E731
        if chop:
            return chopped(function, frames, made.scale)
        return tiled(function, frames, tile=tile, overlap=min(stream.TILE_OVERLAP, tile // 2), scale=made.scale)

    with torch.inference_mode():
        return (flipped(whole, window) if flips else whole(window))[0]


def streamed(made, frames, padding="reflection", **parts):
    """The results along a clip (T, 3, H, W)."""
    enhancer = Enhancer(made, **parts)
    return [enhancer(window) for window in windows(enumerate(frames), 5, padding=padding)]


def by_hand(made, frames, padding="reflection", **parts):
    """The same, from lists of the whole clip."""
    around = [neighbour_indices(number, 5, len(frames), padding=padding) for number in range(len(frames))]
    return [by_network(made, frames[window][None], **parts) for window in around]


def same(first, second):
    """Whether two lists of results are equal but for the rounding to float32."""
    return all((a.double() - b).abs().max() < NEAR for a, b in zip(first, second, strict=True))


def images(results):
    return [to_uint8(result.permute(1, 2, 0).numpy()) for result in results]
