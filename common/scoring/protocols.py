"""How published numbers were measured. A row of a table is only comparable under the same protocol.

Here is what a protocol of each kind says, and those that several papers score by; one paper's own are in its folder.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """One published way to score a video.

    Attributes:
        name: what tables and outputs print beside every number.
        source: where it comes from.
        space: what PSNR and SSIM see: "rgb", "luma" (0.299 R + 0.587 G + 0.114 B, not rounded), or "y" (BT.601 in
            studio range, 16 to 235, not rounded).
        prediction: "float" scores the network's output as it is, neither clamped nor rounded; "clamped" to [0, 1],
            not rounded; "uint8" as saved.
        mod: frames are cut, from the top left, to multiples of this before the network sees them.
        border: pixels cut on every side before scoring.
        first: index of the first frame that is scored; all later ones are.
        alignment: "none", or "koehler": scaled in intensity and shifted by whole pixels onto the truth.
        ssim: kind of SSIM, see `common.scoring.metrics.ssim`.
        peak: value of white in the scored images.
        averaging: "frames": the mean over all scored frames of all videos; "clips": the mean of the videos' means.
        metrics: of "PSNR" (dB), "SSIM", "MAE" (mean absolute difference, white is 1).
        sets: data sets that it scores unasked, for papers that have several.
    """

    name: str
    source: str
    space: str
    prediction: str
    mod: int
    border: int
    first: int
    alignment: str
    ssim: str
    peak: float
    averaging: str
    metrics: tuple[str, ...] = ("PSNR", "SSIM")
    sets: tuple[str, ...] = ()


@dataclass(frozen=True)
class InterpolationProtocol:
    """One published way to score frames between frames.

    Attributes:
        name: what tables and outputs print beside every number.
        source: where it comes from.
        sets: data sets that it belongs to.
        metrics: of "PSNR" (dB), "SSIM", "IE" (mean absolute error, both images rounded to levels, half to even).
        ssim: kind of SSIM, see `common.scoring.metrics.ssim`. Predictions are not rounded for PSNR and SSIM.
        peak: value of white in the images that PSNR and SSIM see.
        crop: side of the square that is cut out before the network sees it, in pixels; a shorter side of the frame
            stays whole. 0: no crop.
        position: where the crop lies: "centre" (rows h//2 - crop//2 to h//2 + crop//2, columns alike) or "random".
        padding: what the network gets beside the frame: "centred" (its edge, half on either side, to the next size that
            the network takes; nothing where it fits) or "canvas" (zeros at the right and bottom, to 480x640).
        scale: of the frames that flows are estimated on.
        averaging: "frames": the mean over all frames; "samples": a sample's frames first.
        default: whether it is used on its data sets unasked.
    """

    name: str
    source: str
    sets: tuple[str, ...]
    metrics: tuple[str, ...] = ("PSNR", "SSIM")
    ssim: str = "volume"
    peak: float = 1.0
    crop: int = 0
    position: str = "centre"
    padding: str = "centred"
    scale: float = 1.0
    averaging: str = "frames"
    default: bool = True

    @property
    def view(self) -> tuple:
        """Equal for protocols under which the network sees the same."""
        return self.crop, self.position, self.padding, self.scale


_MMEDITING = {"ssim": "wang", "peak": 255.0, "averaging": "samples"}
_X8 = {"sets": ("gopro", "adobe240"), "crop": 512}
_INTERPOLATION = (
    InterpolationProtocol(
        name="ifrnet",
        source="IFRNet (CVPR 2022), benchmarks Vimeo90K and UCF101",
        sets=("vimeo90k", "vimeo_septuplet", "ucf101"),
    ),
    InterpolationProtocol(
        name="ifrnet_snu_film",
        source="IFRNet (CVPR 2022), benchmark SNU-FILM",
        sets=("snu_film", "snu_film_easy", "snu_film_medium", "snu_film_hard", "snu_film_extreme"),
        scale=0.8,
    ),
    InterpolationProtocol(
        name="ifrnet_middlebury",
        source="IFRNet (CVPR 2022), benchmark Middlebury Other",
        sets=("middlebury",),
        metrics=("PSNR", "SSIM", "IE"),
        padding="canvas",
    ),
    InterpolationProtocol(name="ifrnet_x8", source="IFRNet (CVPR 2022), evaluation in its GoPro training", **_X8),
    InterpolationProtocol(
        name="mmediting", source="MMEditing, configuration of Vimeo-90K", sets=("vimeo90k",), **_MMEDITING
    ),
    InterpolationProtocol(
        name="mmediting_x8", source="MMEditing, with the centre crop that its text tells of", **_X8, **_MMEDITING
    ),
    InterpolationProtocol(
        name="mmediting_x8_random",
        source="MMEditing, with the random crop that its configuration makes (here by --seed)",
        position="random",
        default=False,
        **_X8,
        **_MMEDITING,
    ),
)

INTERPOLATION = {protocol.name: protocol for protocol in _INTERPOLATION}


@dataclass(frozen=True)
class FlowProtocol:
    """One published way to score optical flow. Pixels whose true flow nobody knows are left out.

    Attributes:
        name: what tables and outputs print beside every number.
        source: where it comes from.
        sets: data sets that it scores.
        metrics: of "EPE", the length of the difference of two flows in pixels; "px1", "px3", "px5", the percentage of
            pixels whose error is below 1, 3, 5 pixels; "Fl-all", the percentage whose error is above 3 pixels and above
            5 % of the true length; "distance", EPE from the flow of another program, where the truth is unknown;
            "PSNR" (dB) and "IE" (mean absolute error in levels) of the second frame, moved back by the flow.
        averaging: of EPE, PSNR and IE. "pixels": all pixels of all pairs count alike; "images": the mean over the pairs
            of each pair's mean. Percentages are always of all pixels.
        resized: whether the network sees, and is scored at, the size that it was trained at.
        default: whether it is used on its data sets unasked.
    """

    name: str
    source: str
    sets: tuple[str, ...]
    metrics: tuple[str, ...] = ("EPE", "px1", "px3", "px5", "Fl-all")
    averaging: str = "pixels"
    resized: bool = False
    default: bool = True
