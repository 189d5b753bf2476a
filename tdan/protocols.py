"""How TDAN's published numbers were measured."""

from common.scoring.protocols import Protocol

_Y = {"space": "y", "mod": 1, "first": 0, "alignment": "none", "ssim": "wang", "peak": 255.0}
_VID4, _SPMCS = (tuple(f"{name}_{degradation}" for degradation in ("bi", "bd")) for name in ("vid4", "spmcs"))
_TDAN = (
    Protocol(
        name="tdan",
        source="MMEditing 0.x, which made the published table of TDAN",
        prediction="uint8",
        border=8,
        averaging="clips",
        sets=(*_VID4, *_SPMCS, "vimeo_bi", "vimeo_bd"),
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

PROTOCOLS = {protocol.name: protocol for protocol in _TDAN}


def protocols_of(data: str) -> list[str]:
    """Names of the protocols that score a set unasked; sets of clips are scored as the published table is."""
    return [protocol.name for protocol in _TDAN if data in protocol.sets] or ["tdan"]
