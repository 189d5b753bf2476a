"""How published numbers were measured. A row of a table is only comparable under the same protocol."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """One published way to score a video.

    Attributes:
        name: what tables and outputs print beside every number.
        source: where it comes from.
        space: what PSNR and SSIM see: "rgb", or "luma" (0.299 R + 0.587 G + 0.114 B, not rounded).
        prediction: "float" scores the network's output as it is, neither clamped nor rounded; "uint8" as saved.
        mod: frames are cut, from the top left, to multiples of this before the network sees them.
        border: pixels cut on every side before scoring.
        first: index of the first frame that is scored; all later ones are.
        alignment: "none", or "koehler": scaled in intensity and shifted by whole pixels onto the truth.
        ssim: kind of SSIM, see `common.metrics.ssim`.
        peak: value of white in the scored images.
        averaging: "frames": the mean over all scored frames of all videos.
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
