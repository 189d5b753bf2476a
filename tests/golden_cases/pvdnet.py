"""Handlers of the `pvdnet/*` reference cases."""

import re
import tempfile
from pathlib import Path

import numpy as np
import torch

from common.checkpoints.checkpoint_file import load_strict
from common.checkpoints.run_checkpoints import CheckpointManager
from common.media.frame_windows import neighbour_indices
from common.ops.correlation import correlation
from common.ops.liteflownet import LEVELS, LiteFlowNet
from common.training.distributed import Processes
from pvdnet.config import Config
from pvdnet.evaluate import protocol_scores
from pvdnet.losses import FLOWS, blur_invariant_error, blur_invariant_loss, frame_psnr, image_loss
from pvdnet.models.deblurnet import DeblurNet, blur_invariant_flow
from pvdnet.models.pixel_volume import pixel_volume
from pvdnet.models.trainers.radam import RAdam
from pvdnet.models.trainers.trainer import Trainer
from pvdnet.samples import training_items, training_order, validation_videos, window_frames
from pvdnet.schedule import cosine_restart, stepwise_decay
from tests.golden_cases import pvdnet_metrics as golden_pvdnet_metrics
from tests.helpers.golden import Case


def unit(array: np.ndarray) -> torch.Tensor:
    """Uint8 frames -> float32 in [0, 1]."""
    return torch.from_numpy(array).float() / 255


def tolerance(case: Case, key: str) -> float:
    return case.meta.get("atol_per_output", {}).get(key, case.meta.get("atol"))


@torch.no_grad()
def bimnet(case: Case) -> None:
    net = LiteFlowNet()
    load_strict(net, case.state)
    raw = {}
    for kind in ("Matching", "Subpixel", "Regularization"):
        for level, module in zip(LEVELS, getattr(net, f"module{kind}"), strict=True):
            name = f"raw_{kind.lower()}_level{level}"
            module.register_forward_hook(lambda _m, _i, output, name=name: raw.__setitem__(name, output))
    first, second = unit(case.inputs["first"]), unit(case.inputs["second"])
    flow = net(first, second)
    features = net.moduleFeatures(first)
    named = {"thr": features[3], "fou": features[4], "fiv": features[5], "six": features[6]}
    for key in case.outputs:
        if key == "flow_half":
            value = flow
        elif key == "flow_full":
            value = blur_invariant_flow(net, first, second)
        elif key.startswith("feat_first_"):
            value = named[key.removeprefix("feat_first_")]
        else:
            value = raw[key]
        case.check(key, value, atol=tolerance(case, key))


def correlation_gradients(case: Case) -> None:
    for key in case.outputs:
        if not key.startswith("corr_"):
            continue
        name = key.removeprefix("corr_")  # "0_stride1"
        number, stride = name.split("_stride")
        first = case.tensor(f"first_{number}").requires_grad_()
        second = case.tensor(f"second_{number}").requires_grad_()
        value = correlation(first, second, radius=3, stride=int(stride))
        value.backward(case.tensor(f"gradout_{name}"))
        atol = case.meta["atol"]
        case.check(key, value, atol=atol)
        case.check(f"gradfirst_{name}", first.grad, atol=atol)
        case.check(f"gradsecond_{name}", second.grad, atol=atol)


def volume(case: Case) -> None:
    for key in case.outputs:
        value = pixel_volume(case.tensor("img"), case.tensor("flow"), case.tensor("pad"), int(key.removeprefix("pv_k")))
        case.check(key, value, atol=case.meta["atol"])


@torch.no_grad()
def network(case: Case) -> None:
    net = DeblurNet(case.meta["network"]).PVDNet
    load_strict(net, case.state)
    seen = {}
    for key, module in (("temp", net.temp), ("rb_end", net.RB_end), ("dconv1_end", net.dconv1_end)):
        module.register_forward_hook(lambda _m, _i, output, key=key: seen.__setitem__(key, output.clone()))
    frames = [2 * unit(case.inputs[name]) - 1 for name in ("prev", "curr", "next")]
    seen["result"] = net(case.tensor("pv"), *frames)
    seen["dconv1_end"] = seen["dconv1_end"][:, :16]
    for key in case.outputs:
        case.check(key, seen[key], atol=tolerance(case, key))


@torch.no_grad()
def deblurnet(case: Case) -> None:
    net = DeblurNet(case.meta["network"])
    load_strict(net, case.state)
    frames = unit(case.inputs["frames"])
    previous = frames[:1]
    for j in range(len(frames)):
        window = [frames[min(max(k, 0), len(frames) - 1)][None] for k in (j - 1, j, j + 1)]
        outputs = net(*window, previous)
        previous = outputs["result"]
        scores = protocol_scores(
            "pvdnet_code", previous[0].permute(1, 2, 0).numpy(), case.inputs["gt"][j].transpose(1, 2, 0)
        )
        case.check(f"flow_{j}", outputs["flow_bb"], atol=case.meta["atol_flow"])
        case.check(f"pv_{j}", outputs["PV"][:, case.meta["pv_channels"]], atol=case.meta["atol_pv"])
        case.check(f"result_{j}", 2 * previous - 1, atol=case.meta["atol_result"])
        case.check(f"psnr_{j}", scores[0], atol=case.meta["atol_psnr"])
        case.check(f"ssim_{j}", scores[1], atol=case.meta["atol_ssim"])


def losses(case: Case) -> None:
    gt_prev, gt_curr = unit(case.inputs["gt_prev"]), unit(case.inputs["gt_curr"])
    result = (case.tensor("result") + 1) / 2
    flows = {f"flow_{name}": case.tensor(f"flow_{name}") for name in FLOWS}
    atol = case.meta["atol"]
    for name in FLOWS:
        error, warped, mask = blur_invariant_error(flows[f"flow_{name}"], gt_prev, gt_curr)
        case.check(f"err_{name}", error, atol=atol)
        case.check(f"warped_{name}", warped, atol=atol)
        case.check(f"mask_{name}", mask, atol=atol)
    flow, image = blur_invariant_loss(flows, gt_prev, gt_curr), image_loss(result, gt_curr)
    case.check("flow", flow, atol=atol)
    case.check("image", image, atol=atol)
    case.check("total", image + flow, atol=atol)
    case.check("psnr", frame_psnr(result, gt_curr), atol=atol)


def training(case: Case) -> None:
    meta, settings = case.meta, case.meta["settings"]
    names = ("lr_init", "LRS", "eta_min", "decay_rate", "gc", "beta1", "weight_decay")
    lists = ("T_period", "restarts", "restart_weights", "decay_period")
    config = Config(
        network=meta["network"],
        fix_BIMNet=meta["kind"].endswith("fixed_bimnet"),
        BIMNet_ckpt="",
        **{name: settings[name] for name in names},
        **{name: tuple(settings[name]) for name in lists},
    )
    trainer = Trainer(config, Processes(0, 1, torch.device("cpu")))
    load_strict(trainer.network, case.state)
    batch = {"input": unit(case.inputs["input"]), "gt": unit(case.inputs["gt"])}
    memory, seen = trainer.first_memory(batch), {}
    for frame in range(batch["input"].shape[1] - 2):
        seen.setdefault("lr", []).append(trainer.learning_rate())
        values, memory, outputs, norm = trainer.iteration(batch, frame, memory)
        for key, value in (values | {"grad_norm": norm}).items():
            seen.setdefault(key, []).append(value)
    seen["last_result"] = 2 * outputs["result"] - 1
    seen |= {f"param_{key}": tensor for key, tensor in trainer.network.state_dict().items()}
    for key in case.outputs:
        case.check(key, seen[key], atol=tolerance(case, key))


def radam(case: Case) -> None:
    meta = case.meta
    p, q = (torch.nn.Parameter(case.tensor(name).clone()) for name in ("p", "q"))
    frozen = torch.nn.Parameter(torch.ones(3), requires_grad=False)
    assert meta["eps"] == 1e-8  # PyTorch's default, which the trainer leaves alone
    optimizer = RAdam([p, q, frozen], meta["lr"], tuple(meta["betas"]), decay=meta["weight_decay"])
    seen = {"p_after": [], "q_after": [], "grad_norm": []}
    for gradient in case.tensor("grads"):
        p.grad, q.grad = gradient[: p.numel()].view_as(p).clone(), gradient[p.numel() :].view_as(q).clone()
        seen["grad_norm"].append(torch.nn.utils.clip_grad_norm_([p, q, frozen], 1.0).item())
        optimizer.step()
        seen["p_after"].append(p.detach().clone())
        seen["q_after"].append(q.detach().clone())
    assert torch.equal(frozen, torch.ones(3))
    for key, values in seen.items():
        stacked = torch.stack(values) if isinstance(values[0], torch.Tensor) else values
        case.check(key, stacked, atol=meta["atol"], rtol=1e-6)


def lr_schedule(case: Case) -> None:
    meta = case.meta
    full = meta["full"]

    def cosine(itr, given, weights):
        periods, restarts = given["T_period"], given["restarts"]
        return cosine_restart(itr, meta["lr_init"], periods, restarts, given[weights], given["eta_min"])

    def decay(itr, given):
        return stepwise_decay(itr, meta["lr_init"], given["decay_period"], given["decay_rate"])

    rates = {
        "full_ca": [cosine(int(itr), full, "restart_weights") for itr in case.outputs["full_ca_itr"]],
        "full_ld": [decay(int(itr), full) for itr in case.outputs["full_ld_itr"]],
    }
    for name, given in meta["small"].items():
        itrs = range(given["total"] + 1)
        is_cosine = given["kind"] == "CA"
        rates[f"small_{name}"] = [cosine(i, given, "weights") if is_cosine else decay(i, given) for i in itrs]
    for name, values in rates.items():
        case.check(f"{name}_lr_x1e4", np.array(values) * 1e4, atol=meta["atol_x1e4"], rtol=meta["rtol"])
    for name in ("full_ca_itr", "full_ld_itr"):  # the steps asked for, not results
        case.check(name, case.outputs[name])


def data_index(case: Case) -> None:
    settings = case.meta["settings"]
    steps = settings["frame_itr_num"]
    lengths = {"train": case.inputs["train_lengths"].tolist(), "valid": case.inputs["val_lengths"].tolist()}
    items = {
        "train": training_items(lengths["train"], steps),
        "valid": [(video, frame) for video, length in enumerate(lengths["valid"]) for frame in range(length)],
    }
    frames = {
        "train": [window_frames(start, steps, lengths["train"][video]) for video, start in items["train"]],
        "valid": [
            neighbour_indices(frame, settings["frame_num"], lengths["valid"][video], padding="replicate")
            for video, frame in items["valid"]
        ],
    }
    for split in ("train", "valid"):
        case.check(f"{split}_video", [video for video, _ in items[split]])
        case.check(f"{split}_start", [start for _, start in items[split]])
        case.check(f"{split}_frames", frames[split])
        case.check(f"{split}_is_first", [start == 0 for _, start in items[split]])
    size = (settings["height"], settings["width"])
    case.check("train_shape", (len(frames["train"][0]), 3, *size))
    # Validation reads whole frames, so their size is the reference's files', cut to multiples of 4 by the network.
    case.check("valid_shape", (len(frames["valid"][0]), 3, *case.outputs["valid_shape"][2:]))
    for key in case.outputs:
        if match := re.fullmatch(r"train_dist(\d+)_rank(\d+)_epoch(\d+)", key):
            world_size, rank, epoch = map(int, match.groups())
            case.check(key, training_order(len(items["train"]), epoch, rank, world_size))
        elif match := re.fullmatch(r"valid_dist(\d+)_(rank(\d+)|len)", key):
            world_size = int(match[1])
            shares = [
                [n for n, (video, _) in enumerate(items["valid"]) if video in videos]
                for videos in (validation_videos(len(lengths["valid"]), r, world_size) for r in range(world_size))
            ]
            case.check(key, shares[int(match[3])] if match[3] else [max(map(len, shares))])


def ckpt_manager(case: Case) -> None:
    log = case.meta["log"]
    with tempfile.TemporaryDirectory() as folder:
        manager = CheckpointManager(folder, case.meta["mode"], case.meta["max_ckpt_num"])
        for entry in log:
            what, *arguments = entry["step"]
            loaded = None
            if what == "save":
                epoch, scores = arguments
                manager.save({"w": torch.tensor([epoch])}, {"epoch": epoch}, epoch, scores)
            elif what == "load":
                loaded = manager.select(**arguments[0])
            else:
                loaded, state = manager.resume(int(arguments[0]))
                assert state.is_file()
            if loaded is not None:
                loaded = str(loaded.relative_to(folder)) if loaded.is_relative_to(folder) else str(loaded)
            there = {kind: sorted(p.name for p in Path(folder, kind).glob("*")) for kind in ("ckpt", "state")}
            found = {"loaded": loaded, "list": manager.lines(), **there}
            assert found == {key: entry[key] for key in found}, entry["step"]
            assert Path(folder, "checkpoints.txt").read_text() == "".join(f"{line}\n" for line in entry["list"])
    case.check("steps", [len(log)])


HANDLERS = golden_pvdnet_metrics.HANDLERS | {
    "pvdnet/bimnet": bimnet,
    "pvdnet/ckpt_manager": ckpt_manager,
    "pvdnet/data_index": data_index,
    "pvdnet/lr_schedule": lr_schedule,
    "pvdnet/radam": radam,
    "pvdnet/train_fixed_bimnet": training,
    "pvdnet/train_joint": training,
    "pvdnet/correlation": correlation_gradients,
    "pvdnet/deblurnet": deblurnet,
    "pvdnet/losses": losses,
    "pvdnet/network": network,
    "pvdnet/pixel_volume": volume,
}
