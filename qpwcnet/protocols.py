"""How published numbers of optical flow were measured; of frames between frames: common/scoring/protocols.py."""

from common.scoring.protocols import FlowProtocol

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
