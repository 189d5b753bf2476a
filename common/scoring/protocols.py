"""How published numbers were measured. A row of a table is only comparable under the same protocol."""

from dataclasses import dataclass

from common.degrade.by_name import DEGRADATIONS


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


PVDNET_CODE = Protocol(
    name="pvdnet_code",
    source="PVDNet (TOG 2021), the published Python evaluation",
    space="rgb",
    prediction="float",
    mod=4,
    border=0,
    first=0,
    alignment="none",
    ssim="uniform7",
    peak=1.0,
    averaging="frames",
)

PVDNET_PAPER = Protocol(
    name="pvdnet_paper",
    source="PVDNet (TOG 2021), the MATLAB evaluation of the paper's tables, after Köhler et al. (ECCV 2012)",
    space="luma",
    prediction="uint8",
    mod=4,
    border=16,
    first=1,
    alignment="koehler",
    ssim="wang",
    peak=255.0,
    averaging="frames",
)

PROTOCOLS = {protocol.name: protocol for protocol in (PVDNET_CODE, PVDNET_PAPER)}

_WHOLE = {"mod": 1, "border": 0, "first": 0, "alignment": "none"}  # frames as they are
_BASICSR = {"prediction": "uint8", "ssim": "wang", "peak": 255.0, "averaging": "clips", "sets": ("vid4",)} | _WHOLE
_TOFLOW = (
    Protocol(
        name="toflow",
        source="TOFlow (IJCV 2019), the published MATLAB evaluation of saved images",
        space="rgb",
        prediction="uint8",
        ssim="volume",
        peak=1.0,
        averaging="frames",
        metrics=("PSNR", "SSIM", "MAE"),
        sets=("vimeo90k", "ucf101", *(f"vimeo_{name}" for name in DEGRADATIONS), "vid4"),
        **_WHOLE,
    ),
    Protocol(
        name="mmagic",
        source="MMagic, configurations of TOFlow",
        space="rgb",
        prediction="clamped",
        ssim="wang",
        peak=255.0,
        averaging="frames",
        metrics=("PSNR", "SSIM", "MAE"),
        sets=("vimeo90k", "vid4"),
        **_WHOLE,
    ),
    Protocol(name="basicsr", source="BasicSR, configuration of TOFlow on Vid4", space="rgb", **_BASICSR),
    Protocol(name="basicsr_y", source="BasicSR, configuration of TOFlow on Vid4, Y channel", space="y", **_BASICSR),
)

TOFLOW = {protocol.name: protocol for protocol in _TOFLOW}

_Y = {"space": "y", "mod": 1, "first": 0, "alignment": "none", "ssim": "wang", "peak": 255.0}
_VID4, _SPMCS = (tuple(f"{name}_{degradation}" for degradation in ("bi", "bd")) for name in ("vid4", "spmcs"))
_TDAN = (
    Protocol(
        name="tdan",
        source="MMEditing 0.x, which made the published table of TDAN",
        prediction="uint8",
        border=8,
        averaging="clips",
        sets=(*_VID4, *_SPMCS, "vimeo_bi", "vimeo_bd", "clips_bi", "clips_bd"),
        **_Y,
    ),
    Protocol(
        name="mmagic_vid4",
        source="MMagic 1.x, configurations of TDAN, on Vid4",
        prediction="clamped",
        border=0,
        averaging="frames",
        sets=_VID4,
        **_Y,
    ),
    Protocol(
        name="mmagic_spmcs",
        source="MMagic 1.x, configurations of TDAN, on SPMCS",
        prediction="clamped",
        border=8,
        averaging="frames",
        sets=_SPMCS,
        **_Y,
    ),
    Protocol(
        name="vid4_bicubic",
        source="the published bicubic row of Vid4 (EDVR and others): no border is cut",
        prediction="uint8",
        border=0,
        averaging="clips",
        sets=_VID4,
        **_Y,
    ),
)

TDAN = {protocol.name: protocol for protocol in _TDAN}


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
            5 % of the true length; "distance", EPE from the flow of another program, where the truth is unknown.
        averaging: of EPE. "pixels": all pixels of all pairs count alike; "images": the mean over the pairs of each
            pair's mean. Percentages are always of all pixels.
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


_DENSE = ("sintel_clean", "sintel_final", "chairs", "things")
_FLOW = (
    FlowProtocol(name="sintel", source="RAFT (ECCV 2020), evaluation on Sintel's training part", sets=_DENSE[:2]),
    FlowProtocol(name="chairs", source="RAFT (ECCV 2020), validation on FlyingChairs", sets=_DENSE[2:]),
    FlowProtocol(
        name="kitti15",
        source="RAFT (ECCV 2020), evaluation on KITTI 2015's training part",
        sets=("kitti15",),
        metrics=("EPE", "Fl-all"),
        averaging="images",
    ),
    FlowProtocol(
        name="flow_pair",
        source="the flow that the official PWC-Net made of this pair, which is not the truth",
        sets=("flow_pair",),
        metrics=("distance",),
    ),
    FlowProtocol(
        name="qpwcnet",
        source="QPWCNet, preprocessing of its evaluation: frames and flow are resized, the flow is scaled with them",
        sets=(*_DENSE, "kitti15"),
        metrics=("EPE", "Fl-all"),
        resized=True,
        default=False,
    ),
)

FLOW = {protocol.name: protocol for protocol in _FLOW}
