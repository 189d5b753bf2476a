"""Handlers of the `ifrnet/*` reference cases that `common` answers: the flow teacher, the warp and the resize."""

import torch.nn.functional as F

from common.checkpoints.checkpoint_file import load_strict
from common.ops.liteflownet import LEVELS, LiteFlowNet, estimate_flow
from common.ops.warp import backward_warp
from tests.helpers.golden import Case


def liteflownet(case: Case) -> None:
    network = LiteFlowNet(half_pixel_warp=True)
    load_strict(network, case.state)
    seen = {}
    for kind in ("Matching", "Subpixel", "Regularization"):
        for level, module in zip(LEVELS, getattr(network, f"module{kind}"), strict=True):
            key = f"{kind.lower()}{level}"
            module.register_forward_hook(lambda _m, _i, output, key=key: seen.__setitem__(key, output))
    seen["flow"] = estimate_flow(network, case.tensor("first") / 255, case.tensor("second") / 255)[0]
    for key in case.outputs:
        case.check(key, seen[key], atol=case.meta["tolerance"]["atol"])


def warp_resize(case: Case) -> None:
    image, flow = case.tensor("img").requires_grad_(), case.tensor("flow").requires_grad_()
    warped = backward_warp(image, flow, padding="border")
    warped.backward(case.tensor("grad_out"))
    seen = {"warped": warped, "grad_img": image.grad, "grad_flow": flow.grad}
    for key, factor in {"up2": 2.0, "up4": 4.0, "down05": 0.5, "down08": 0.8, "up125": 1.25}.items():
        channels = image[:, : case.outputs[key].shape[1]]
        seen[key] = F.interpolate(channels, scale_factor=factor, mode="bilinear", align_corners=False)
    tolerance = case.meta["tolerance"]
    for key in case.outputs:
        case.check(key, seen[key], atol=tolerance.get(key, tolerance["atol"]))


HANDLERS = {"ifrnet/liteflownet": liteflownet, "ifrnet/warp_resize": warp_resize}
