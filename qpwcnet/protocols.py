"""How published numbers of optical flow were measured; of frames between frames: common/scoring/protocols.py."""

from common.scoring.protocols import FlowProtocol

CLIPS, UNKNOWN_CLIPS = "clips", "clips of unknown flow"  # what protocols call sets of clips, whatever their names
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
        name="clips",
        source="ours: exact flow of clips that are drawn, everywhere, also where it leads out of sight",
        sets=(CLIPS,),
    ),
    FlowProtocol(
        name="warp",
        source="ours: the second frame moved back by the flow, against the first, where the flow stays in the frame",
        sets=(UNKNOWN_CLIPS,),
        metrics=("PSNR", "IE"),
        averaging="images",
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
