"""Deformable convolution, v1 and v2 (modulated), in plain PyTorch, with both border rules that networks are trained by.

Dai et al., Deformable Convolutional Networks (ICCV 2017); Zhu et al., Deformable ConvNets v2 (CVPR 2019). Every tap of
the kernel is moved by an offset of its own and samples the image between pixels, bilinearly. The samples become
columns, and the product with the weights is a convolution with a 1x1 kernel.

Letters: N images, C channels, G deformable groups, K = kh kw taps, O output channels, H W pixels, h w of the output.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from common.ops.exporting import exporting

BORDERS = ("torchvision", "tdan")
CHUNK = {"cpu": 2**24, "cuda": 2**29}  # bytes of columns at a time: a CPU's cache is small, a GPU wants to be busy
KEPT = 2**29  # bytes of columns that are kept for the backward pass; more are made again


def deform_conv2d(
    image: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    border: str = "torchvision",
    chunk: int | None = None,
    kept: int = KEPT,
) -> Tensor:
    """Convolution whose taps are moved by `offset` and, in v2, weighted by `mask`.

    Args:
        image: (N, C, H, W).
        offset: (N, 2 G K, h, w) in pixels, for any G that divides C. Of a group's channels 2k is how far tap k moves
            down, 2k + 1 how far to the right; taps are counted row by row. Channel c of the image is in group
            c // (C / G).
        weight: (O, C / groups, kh, kw).
        bias: (O,).
        mask: (N, G K, h, w); multiplies the samples as it is: a sigmoid is the caller's.
        stride: of the output over the image, (down, right) or one number for both.
        padding: how far outside the image the first taps lie, in pixels, likewise.
        dilation: pixels from tap to tap, likewise.
        groups: of the convolution.
        border: what a tap sees near and beyond the border.
            "torchvision" (also mmcv): zeros lie around the image, so samples fade out within a pixel.
            "tdan" (the 2018 kernel of TDAN's authors): nothing unless 0 <= y < H and 0 <= x < W, which is a jump at 0;
            from the last row to H, and the last column to W, they are repeated.
        chunk: bytes of columns that are made at a time, but one row at least; by default `CHUNK` of the device.
        kept: if all columns together need more bytes, the backward pass makes them again instead of keeping them.

    Returns:
        (N, O, h, w) with h = (H + 2 padding - dilation (kh - 1) - 1) // stride + 1, w alike. Positions and samples are
        float32 or more, also under autocast. Gradients are the analytic ones; at whole pixels, where the slope jumps,
        that towards the bottom right. A tap exactly one pixel outside has none, as in mmcv.

    Raises:
        ValueError: an unknown border rule, or shapes that do not fit together.
    """
    stride, padding, dilation = (x if isinstance(x, tuple) else (x, x) for x in (stride, padding, dilation))
    _check(image, offset, weight, bias, mask, groups, border)
    kernel, size, (h, w) = weight.shape[2:], image.shape[2:], offset.shape[2:]
    taps = kernel[0] * kernel[1]
    expected = [(size[a] + 2 * padding[a] - dilation[a] * (kernel[a] - 1) - 1) // stride[a] + 1 for a in (0, 1)]
    if [h, w] != expected:
        raise ValueError(f"offset {tuple(offset.shape)}: expected {expected[0]}x{expected[1]} positions")

    with torch.autocast(image.device.type, enabled=False):
        wide = torch.promote_types(torch.promote_types(image.dtype, offset.dtype), torch.float32)
        framed = _frame(image.to(wide), exact=torch.is_grad_enabled() and offset.requires_grad)
        if torch.is_grad_enabled():  # at a position that is no number grid_sample's gradient leaves its memory
            offset = offset.nan_to_num(math.inf)
        # Not `unflatten`, behind which an exported graph has the traced sizes as constants.
        offset = offset.to(wide).contiguous().reshape(offset.shape[0], -1, taps, 2, h, w)  # N G K 2 h w
        mask = mask if mask is None else mask.to(wide).reshape(mask.shape[0], -1, 1, taps, h, w)  # N G 1 K h w
        down, right = (
            torch.arange(kernel[a], device=image.device)[:, None] * dilation[a]
            + torch.arange((h, w)[a], device=image.device) * stride[a]
            - padding[a]
            for a in (0, 1)
        )  # kh h, kw w
        down = down[:, None, :, None].expand(-1, kernel[1], -1, -1).flatten(0, 1)  # K h 1
        right = right[None, :, None, :].expand(kernel[0], -1, -1, -1).flatten(0, 1)  # K 1 w

    def part(images: slice, rows: slice) -> Tensor:
        """The result for some images and rows."""
        with torch.autocast(image.device.type, enabled=False):
            own = offset[images, ..., rows, :]
            positions = own[:, :, :, 0] + down[:, rows], own[:, :, :, 1] + right  # N G K h w each
            if border == "tdan":
                positions = _as_in_2018(*positions, size)
            columns = _sample(framed[images], *positions)  # N G C/G K h w
            columns = columns if mask is None else columns * mask[images, ..., rows, :]
        columns = columns.flatten(1, 3).to(image.dtype)  # N C*K h w
        return F.conv2d(columns, weight.reshape(len(weight), -1, 1, 1), bias, groups=groups)  # N O h w

    row = image.shape[1] * taps * w * framed.element_size()
    chunk = chunk or CHUNK.get(image.device.type, KEPT)
    if exporting() or len(image) * h * row <= chunk:
        return part(slice(None), slice(None))
    if torch.is_grad_enabled() and len(image) * h * row > kept:
        return _in_parts(lambda *place: checkpoint(part, *place, use_reentrant=False), len(image), h, chunk // row)
    return _in_parts(part, len(image), h, chunk // row)


def _in_parts(part, images: int, height: int, rows: int) -> Tensor:
    """What `part` gives for all, made from as many images as have `rows` rows together, at least from one row."""
    rows = max(rows, 1)
    together = max(rows // height, 1)
    results = []
    for first in range(0, images, together):
        strips = [
            part(slice(first, first + together), slice(top, top + rows)) for top in range(0, height, min(rows, height))
        ]
        results.append(torch.cat(strips, 2))
    return torch.cat(results)


def _frame(image: Tensor, exact: bool) -> Tensor:
    """The image with zeros around it: one row or column above and to the left, one or more below and to the right.

    `grid_sample` wants positions as shares of a side. Where sides are powers of two a whole pixel stays one after
    that division; elsewhere rounding decides on which side of it the sample lies, and so, if `exact`, matters for the
    gradient: at zero offsets, where training starts, for all of them.
    """
    bottom, right = ((1 << (side + 1).bit_length()) - side - 1 if exact else 1 for side in image.shape[2:])
    return F.pad(image.contiguous(), (1, right, 1, bottom))


def _as_in_2018(down: Tensor, right: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Positions at which an image in zeros gives what the border rule "tdan" gives."""
    inside = (down >= 0) & (down < size[0]) & (right >= 0) & (right < size[1])
    moved = []
    for position, side in ((down, size[0]), (right, size[1])):
        repeated = torch.where(position < side - 1, position, side - 1)
        moved.append(torch.where(inside, repeated, -1))
    return moved[0], moved[1]


def _sample(framed: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Samples (N, G, C/G, K, h, w) of an image from `_frame` (N, C, ., .), at positions (N, G, K, h, w) in pixels.

    Its outermost pixels are zeros, so that `grid_sample`, which clamps to them, finds zeros and no slope outside.
    """
    images, count, taps, h, w = down.shape
    # With corners not aligned, the middle of pixel p of the image, p + 1 of the frame, is at (2 p + 3) / side - 1.
    shares = [p * (2 / side) + (3 / side - 1) for p, side in zip((right, down), framed.shape[:1:-1], strict=True)]
    # Two planes that are seen as pairs are made much faster than pairs.
    grid = torch.stack(shares, 2).view(images * count, 2, taps * h, w).permute(0, 2, 3, 1)
    split = framed.reshape(images * count, -1, *framed.shape[2:])  # N*G C/G . .
    samples = F.grid_sample(split, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return samples.view(images, count, -1, taps, h, w)


def _check(
    image: Tensor, offset: Tensor, weight: Tensor, bias: Tensor | None, mask: Tensor | None, groups: int, border: str
) -> None:
    if border not in BORDERS:
        raise ValueError(f"unknown border rule {border!r}: expected one of {', '.join(BORDERS)}")
    for name, x in {"image": image, "offset": offset, "weight": weight}.items():
        if x.dim() != 4:
            raise ValueError(f"{name} {tuple(x.shape)}: expected four dimensions")
    taps = weight.shape[2] * weight.shape[3]
    if image.shape[1] != weight.shape[1] * groups or len(weight) % groups:
        raise ValueError(
            f"weight {tuple(weight.shape)} does not fit image {tuple(image.shape)} in {groups} groups: expected "
            "(O, C / groups, kh, kw), O a multiple of groups"
        )
    count = offset.shape[1] // (2 * taps)
    if offset.shape[0] != image.shape[0] or not count or offset.shape[1] % (2 * taps) or image.shape[1] % count:
        raise ValueError(
            f"offset {tuple(offset.shape)} does not fit image {tuple(image.shape)}: expected (N, {2 * taps} G, h, w) "
            "with a G that divides C"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"bias {tuple(bias.shape)}: expected {tuple(weight.shape[:1])}")
    if mask is not None and mask.shape != (offset.shape[0], count * taps, *offset.shape[2:]):
        raise ValueError(f"mask {tuple(mask.shape)}: expected {(len(offset), count * taps, *offset.shape[2:])}")
