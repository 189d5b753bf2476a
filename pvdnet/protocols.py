"""How PVDNet's published numbers were measured."""

from common.scoring.protocols import Protocol

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
