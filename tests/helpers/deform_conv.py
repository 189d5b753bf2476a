"""Random inputs of a deformable convolution."""

import torch

DOUBLE = torch.float64


def draw(batch=1, channels=4, size=(6, 7), outputs=3, kernel=(3, 3), count=2, reach=2.0, seed=0, dtype=DOUBLE, **how):
    """Image, offsets, weight, bias and mask; positions lie at least 0.05 pixels from whole ones and whole ones + H."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(shape, generator=generator, dtype=DOUBLE)

    stride, padding, dilation = (
        pair if isinstance(pair, tuple) else (pair, pair)
        for pair in (how.get("stride", 1), how.get("padding", 0), how.get("dilation", 1))
    )
    h, w = (
        (size[a] + 2 * padding[a] - dilation[a] * (kernel[a] - 1) - 1) // stride[a] + 1 for a in (0, 1)
    )  # positions of the output
    taps = kernel[0] * kernel[1]
    shape = (batch, 2 * count * taps, h, w)
    offset = (rand(*shape) * (2 * reach) - reach).floor() + 0.05 + 0.9 * rand(*shape)
    image = rand(batch, channels, *size) - 0.5
    weight = rand(outputs, channels // how.get("groups", 1), *kernel) - 0.5
    bias, mask = rand(outputs), rand(batch, count * taps, h, w)
    return [x.to(dtype) for x in (image, offset, weight, bias, mask)]
