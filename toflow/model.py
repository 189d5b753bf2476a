"""TOFlow: frames are brought onto one by flow that is learnt for the task, then a few convolutions make the result.

Paper: Xue, Chen, Wu, Wei, Freeman, *Video Enhancement with Task-Oriented Flow*, IJCV 2019 (figure 4; sections 4.1 flow,
4.2 transformation, mask, 4.3 processing). The authors published no network definition; trained files exist in the
layouts of MMagic (BasicSR), of pytoflow, and of Lua Torch. `FORMS` says what each does:
  1. The flow network's pyramid has four levels always (Lua, MMagic), or fewer for small frames (pytoflow).
  2. It has batch normalisation (Lua, MMagic's super-resolution) or not.
  3. Outside of the frame its warps read zeros (MMagic's super-resolution) or the edge; the last warp reads zeros.
  4. Interpolation takes half of the flow that lies on the other frame's grid (MMagic, pytoflow); the paper has two flow
     networks that see both frames and give the flow from the middle frame to each.
  5. What the convolutions make is added to the mean of the warped frames (MMagic's interpolation, pytoflow) or to the
     middle frame (super-resolution of the authors).
  6. The seven frames are stacked in the order of time, or the middle one first (super-resolution of the authors).
Our own reading, since no source shows it: that the paper's denoising, deblocking and interpolation add to the mean,
that each of the two flow networks warps the frame its flow points to, and all about the mask beyond its shapes. Ours,
too: a flow network's last layers start at zero, so that an untrained one sees no motion; and all pairs of a batch pass
through it at once, so that in training batch normalisation sees them together.

Letters: B clips, T frames a clip, K = T or T - 1 flows a clip, N = B K, C channels, H W pixels, h w pixels of a level.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.ops.memory_format import fastest_layout
from common.ops.pad import pad_to_multiple
from common.ops.warp import backward_warp

LEVELS = 4
MULTIPLE = 16  # of H and W where the pyramid is fixed
SMALLEST = 2 ** (LEVELS - 1)  # pixels a side that three halvings leave one of
SMALL = 32  # pixels a side that need no coarser level, where the pyramid goes by size
MEAN = (0.485, 0.456, 0.406)  # of ImageNet, for RGB in [0, 1]
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Form:
    """What the published forms of the network differ in.

    Attributes:
        frames: 2: the frame between them; 7: the middle one, better.
        kernels: of the processing network's convolutions.
        reference_first: the middle frame is the first of the stack.
        residual: what the processing network adds to: "mean" of the warped frames or "reference".
        from_middle: two flow networks give the flow from the middle frame; else one, between the frames, halved.
        mask: weigh the warped frames (with from_middle).
        batch_norm: in the flow network.
        pyramid: "fixed" (four levels, sizes in multiples of 16) or "by_size" (any size).
        padding: of the warps in the pyramid, "zeros" or "border".
        align_corners: False only for weights that pytoflow's code trained under PyTorch 1.3 or later.
        widths: of the flow network's hidden layers.
        channels: of the processing network's.
        halved: flow is found on frames of half the size.
        quiet: the processing network's last layer begins at zero, so that training begins with what it adds to, and the
            others by Kaiming's rule: by PyTorch's, seven layers leave next to nothing of what is in the frames.
    """

    frames: int = 7
    kernels: tuple[int, ...] = (9, 1, 1)
    reference_first: bool = False
    residual: str = "mean"
    from_middle: bool = False
    mask: bool = False
    batch_norm: bool = False
    pyramid: str = "fixed"
    padding: str = "border"
    align_corners: bool = True
    widths: tuple[int, int, int, int] = (32, 64, 32, 16)
    channels: int = 64
    halved: bool = False
    quiet: bool = False


_LUA = {"batch_norm": True, "padding": "zeros"}
_SR = {"kernels": (9, 9, 1, 1), "residual": "reference"}
_PYTOFLOW = {"pyramid": "by_size"}
_TINY = {"widths": (8, 16, 8, 8), "channels": 32}  # ours, for trainings of minutes
_FREE = {  # ours, for laptops
    "kernels": (5, 3, 3, 3, 3, 3, 3), "widths": (16, 16, 16, 16), "channels": 48, "halved": True, "quiet": True,
}  # fmt: skip
FORMS = {
    "mmagic_vfi": Form(frames=2),
    "mmagic_vfi_bn": Form(frames=2, batch_norm=True),
    "mmagic_vsr": Form(**_SR, **_LUA),
    "official_sr": Form(reference_first=True, **_SR, **_LUA),
    "pytoflow_interp": Form(frames=2, **_PYTOFLOW),
    "pytoflow_denoise": Form(**_PYTOFLOW),
    "pytoflow_sr": Form(kernels=(9, 9, 1, 1), **_PYTOFLOW),
    "paper_interp": Form(frames=2, from_middle=True, **_LUA),
    "paper_interp_mask": Form(frames=2, from_middle=True, mask=True, **_LUA),
    "paper_denoise": Form(**_LUA),
    "tiny_interp": Form(frames=2, **_TINY),
    "tiny_denoise": Form(**_TINY),
    "free": Form(**_FREE),
    "tiny_sr": Form(residual="reference", **_TINY),
}


def conv_stack(inputs: int, widths: tuple[int, ...], outputs: int, batch_norm: bool) -> nn.Sequential:
    """One level of a pyramid: five 7x7 convolutions, the last of which starts at zero."""
    layers: list[nn.Module] = []
    for width in widths:
        conv = nn.Conv2d(inputs, width, 7, padding=3, bias=not batch_norm)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        layers += [conv, *([nn.BatchNorm2d(width)] if batch_norm else []), nn.ReLU(inplace=True)]
        inputs = width
    layers.append(nn.Conv2d(inputs, outputs, 7, padding=3))
    nn.init.zeros_(layers[-1].weight)
    for layer in layers:
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def double(x: Tensor, like: Tensor) -> Tensor:
    """Twice as large, bilinear with aligned corners; the edge is repeated where `like` has a row or column more."""
    x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
    missing = (0, like.shape[-1] - x.shape[-1], 0, like.shape[-2] - x.shape[-2])
    return F.pad(x, missing, mode="replicate") if any(missing) else x


class SPyNet(nn.Module):
    """Flow from coarse to fine: each level warps with what the coarser one found and adds what is left.

    960,200 parameters with four levels, 960,776 with batch normalisation, 1,440,300 with six.
    """

    def __init__(self, form: Form, levels: int = LEVELS):
        super().__init__()
        self.form = form
        self.levels = nn.ModuleList(conv_stack(8, form.widths, 2, form.batch_norm) for _ in range(levels))

    def forward(self, reference: Tensor, support: Tensor, layout: torch.memory_format) -> Tensor:
        """Flow from `reference` to `support`, both (N, 3, H, W) normalised: (N, 2, H, W) in pixels.

        Where the pyramid goes by size, a small frame uses the first, coarse levels' weights alone.
        """
        pyramid = [torch.cat((reference, support), 1)]  # N 6 H W
        if self.form.halved:
            pyramid = [F.avg_pool2d(pyramid[0], 2)]  # N 6 H/2 W/2
        while len(pyramid) < len(self.levels) and (self.form.pyramid == "fixed" or max(pyramid[0].shape[-2:]) > SMALL):
            pyramid.insert(0, F.avg_pool2d(pyramid[0], 2))  # N 6 h w
        flow = torch.zeros_like(pyramid[0][:, :2])  # N 2 h w
        for number, (both, level) in enumerate(zip(pyramid, self.levels[: len(pyramid)], strict=True)):
            if number:
                flow = 2 * double(flow, both)  # N 2 h w, of this level
            warped = backward_warp(both[:, 3:], flow, padding=self.form.padding, align_corners=self.form.align_corners)
            stack = torch.cat((both[:, :3], warped, flow), 1)  # N 8 h w
            flow = flow + level(stack.contiguous(memory_format=layout)).to(flow.dtype)
        return 2 * double(flow, reference) if self.form.halved else flow  # N 2 H W


class MaskNet(nn.Module):
    """How far the two warped frames are to be trusted, told from their flows alone, from coarse to fine."""

    def __init__(self, form: Form):
        super().__init__()
        self.levels = nn.ModuleList(
            conv_stack(6 if level else 4, form.widths, 2, form.batch_norm) for level in range(LEVELS)
        )

    def forward(self, flows: Tensor, layout: torch.memory_format) -> Tensor:
        """Masks (B, 2, H, W) in (0, 1) for flows (B, 4, H, W), two components for either frame."""
        pyramid = [flows]
        while len(pyramid) < LEVELS:
            pyramid.insert(0, F.avg_pool2d(pyramid[0], 2) / 2)  # B 4 h w, in pixels of the level
        found = None
        for flow, level in zip(pyramid, self.levels, strict=True):
            coarse = None if found is None else double(found, flow)  # B 2 h w
            stack = flow if coarse is None else torch.cat((flow, coarse), 1)  # B 4 or 6 h w
            found = level(stack.contiguous(memory_format=layout)).to(flow.dtype)
            found = found if coarse is None else found + coarse
        return found.sigmoid()


class TOFlow(nn.Module):
    """The network in one of `FORMS`.

    Its buffers `mean` and `std` normalise the frames; they are ImageNet's unless a BasicSR file brings others.
    `memory_format` may force the layout of the activations in memory; None is the fastest.
    """

    memory_format: torch.memory_format | None = None

    def __init__(self, form: Form):
        super().__init__()
        self.form = form
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))
        self.spynets = nn.ModuleList(SPyNet(form) for _ in range(2 if form.from_middle else 1))
        if form.mask:
            self.masknet = MaskNet(form)
        inputs = 3 * form.frames * (2 if form.mask else 1)  # masked frames come beside the warped ones
        layers: list[nn.Module] = []
        for kernel in form.kernels[:-1]:
            layers += [nn.Conv2d(inputs, form.channels, kernel, padding=kernel // 2), nn.ReLU(inplace=True)]
            inputs = form.channels
        self.processing = nn.Sequential(*layers, nn.Conv2d(inputs, 3, form.kernels[-1], padding=form.kernels[-1] // 2))
        for layer in self.processing[::2] if form.quiet else ():
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        if form.quiet:
            nn.init.zeros_(self.processing[-1].weight)

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        """Make the middle frame.

        Args:
            frames: (B, T, 3, H, W) RGB in [0, 1], T = 2 or 7 as the form has it; for super-resolution enlarged already
                (MATLAB's bicubic x4). H and W are multiples of 16 where the pyramid is fixed.

        Returns:
            `pred` (B, 3, H, W), not clamped; `flows` (B, K, 2, H, W) in pixels, from the result to every frame but the
            middle one of seven, in the order of time; `warped` (B, K, 3, H, W), those frames warped, [0, 1]; with a
            mask `masks` (B, 2, 1, H, W).

        Raises:
            ValueError: a number of frames or a size that does not fit.
        """
        self._check(frames)
        batch = frames.shape[0]  # not len(), which an exported graph would keep as a constant
        x = (frames - self.mean) / self.std  # B T 3 H W
        flows = self.estimate_flows(x)  # B K 2 H W
        moving = x if self.form.frames == 2 else torch.cat((x[:, :3], x[:, 4:]), 1)  # B K 3 H W
        warped = backward_warp(
            moving.flatten(0, 1), flows.flatten(0, 1), padding="zeros", align_corners=self.form.align_corners
        ).unflatten(0, (batch, -1))  # B K 3 H W
        outputs = {"flows": flows, "warped": warped * self.std + self.mean}
        stack, base = warped, warped.mean(1)  # B T 3 H W, B 3 H W
        if self.form.mask:
            masks = self.masknet(flows.flatten(1, 2), self._layout()).unsqueeze(2)  # B 2 1 H W
            outputs["masks"] = masks
            masked = masks * warped
            stack, base = torch.cat((warped, masked), 1), masked.sum(1) / masks.sum(1).clamp_min(1e-6)
        elif self.form.frames == 7:
            reference = x[:, 3:4]  # B 1 3 H W
            parts = (reference, warped) if self.form.reference_first else (warped[:, :3], reference, warped[:, 3:])
            stack = torch.cat(parts, 1)  # B 7 3 H W
            base = stack.mean(1) if self.form.residual == "mean" else reference[:, 0]  # B 3 H W
        residual = self.processing(stack.flatten(1, 2).contiguous(memory_format=self._layout()))  # B 3 H W
        return {"pred": (residual.to(base.dtype) + base) * self.std + self.mean} | outputs

    def estimate_flows(self, x: Tensor) -> Tensor:
        """The flows of `forward` from normalised frames (B, T, 3, H, W)."""
        layout = self._layout()
        if self.form.from_middle:
            first, second = x.unbind(1)
            pairs = ((second, first), (first, second))
            return torch.stack([spynet(*pair, layout) for spynet, pair in zip(self.spynets, pairs, strict=True)], 1)
        if self.form.frames == 2:
            flows = self.spynets[0](x.flip(1).flatten(0, 1), x.flatten(0, 1), layout) / 2  # 2B 2 H W
        else:
            others = torch.cat((x[:, :3], x[:, 4:]), 1)  # B 6 3 H W
            flows = self.spynets[0](x[:, 3:4].expand_as(others).flatten(0, 1), others.flatten(0, 1), layout)
        return flows.unflatten(0, (x.shape[0], -1))

    def pair_flow(self, x: Tensor) -> Tensor:
        """Flow (B, 1, 2, H, W) from the first to the second of two normalised frames (B, 2, 3, H, W)."""
        return self.spynets[0](x[:, 0], x[:, 1], self._layout()).unsqueeze(1)

    def _layout(self) -> torch.memory_format:
        return self.memory_format or fastest_layout(self)

    def _check(self, frames: Tensor) -> None:
        form = self.form
        shape = tuple(frames.shape)
        if len(shape) != 5 or shape[1:3] != (form.frames, 3):
            raise ValueError(f"frames {shape}: expected (B, {form.frames}, 3, H, W)")
        if form.pyramid == "fixed" and (shape[3] % MULTIPLE or shape[4] % MULTIPLE or not min(shape[3:])):
            raise ValueError(f"frames {shape}: expected H and W in multiples of {MULTIPLE}; pad them")
        if min(shape[3:]) < (SMALLEST if max(shape[3:]) > SMALL else 1):
            raise ValueError(f"frames {shape}: expected H and W of {SMALLEST} or more; pad them")


def predict(network: TOFlow, frames: Tensor) -> dict[str, Tensor]:
    """`network(frames)` for any size, mirrored at the right and bottom where the form needs it."""
    thin = min(frames.shape[-2:]) < SMALLEST
    multiple = MULTIPLE if network.form.pyramid == "fixed" or thin else 1
    padded, unpad = pad_to_multiple(frames, multiple, "reflect")
    return {key: unpad(value) for key, value in network(padded).items()}
