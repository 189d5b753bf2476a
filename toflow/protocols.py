"""How TOFlow's published numbers were measured."""

from common.degrade.by_name import DEGRADATIONS
from common.scoring.protocols import Protocol

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

PROTOCOLS = {protocol.name: protocol for protocol in _TOFLOW}


def protocols_of(data: str) -> list[str]:
    """Names of the protocols that score a set unasked; sets of clips are scored as Vimeo-90K is."""
    return [protocol.name for protocol in _TOFLOW if data in protocol.sets] or ["toflow"]
