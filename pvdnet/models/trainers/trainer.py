"""One iteration of PVDNet training: recurrence, losses, update. BIMNet is fixed, or trained along (joint mode).

Paper: Son et al., TOG 2021, sections 3 and 5. An iteration is one frame: the previous result comes from the step
before, without its gradient.

Another trainer is a file beside this one with a class `Trainer` of the same methods; `--trainer` names it.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from common.checkpoints import checkpoint_file
from common.media.flow_color import flow_to_image
from common.ops import complexity
from common.ops.autocast import autocast
from common.ops.warp import backward_warp
from common.training.distributed import Processes, to_device
from common.training.run_log import grid
from common.training.sampling import to_tensor
from pvdnet.losses import blur_invariant_loss, frame_psnr, image_loss
from pvdnet.models.deblurnet import DeblurNet, compile_parts, load_BIMNet
from pvdnet.models.trainers.radam import RAdam
from pvdnet.samples import Video, clip_frames
from pvdnet.schedule import cosine_restart, stepwise_decay


def initialise(module: nn.Module, gain: float) -> None:
    """Xavier weights and zero biases for every convolution."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight, gain)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class Trainer:
    """The network with its optimiser, and what a step and a validation do.

    Args:
        config: the settings.
        processes: this process among all.
        fresh: draw new weights and load BIMNet's; False where a checkpoint follows.
    """

    def __init__(self, config, processes: Processes, fresh: bool = True):
        self.config, self.processes = config, processes
        self.network = self.build(config)
        if fresh:
            initialise(self.network, config.wi)
            if config.BIMNet_ckpt:
                load_BIMNet(self.network.BIMNet, config.BIMNet_ckpt)
        self.network.to(processes.device)
        if config.compile:
            compile_parts(self.network)
        parallel = processes.world_size > 1
        self.model = DistributedDataParallel(self.network) if parallel else self.network
        self.optimizer = RAdam(
            self.network.parameters(), config.lr_init, (config.beta1, 0.999), decay=config.weight_decay
        )
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=config.amp == "fp16")
        self.itr = {"train": 0, "valid": 0}  # frames seen

    @staticmethod
    def build(config) -> nn.Module:
        """The network on the CPU; BIMNet is its attribute of that name."""
        return DeblurNet(config.network, config.PV_ksize, config.fix_BIMNet, config.with_BIMNet)

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the losses; `total` is minimised."""
        return ("total", "image") if self.config.fix_BIMNet else ("total", "image", "flow")

    def cost(self) -> tuple[int, int]:
        """Multiply-accumulates for one 1280x720 frame, and parameters."""
        shape = (1, 3, 720, 1280)
        return complexity.macs(lambda: self.build(self.config), *[shape] * 4), complexity.parameters(self.network)

    # One iteration

    def learning_rate(self) -> float:
        """Rate of the coming step."""
        config = self.config
        if config.LRS == "LD":
            return stepwise_decay(self.itr["train"], config.lr_init, config.decay_period, config.decay_rate)
        return cosine_restart(
            self.itr["train"], config.lr_init, config.T_period, config.restarts, config.restart_weights, config.eta_min
        )

    def first_memory(self, batch: dict[str, Tensor]) -> Tensor:
        """What stands for the previous result at a sample's first step: its first blurry frame."""
        return batch["input"][:, 0]

    def forward(self, batch: dict[str, Tensor], frame: int, memory: Tensor) -> tuple[dict, dict]:
        """Losses (scalars, those of `keys`) and outputs of frame `frame` + 1 of the windows."""
        blurry, sharp = batch["input"], batch["gt"]
        truths = () if self.config.fix_BIMNet else (sharp[:, frame], sharp[:, frame + 1])
        outputs = self.model(*blurry[:, frame : frame + 3].unbind(1), memory, *truths)
        losses = {"image": image_loss(outputs["result"].float(), sharp[:, frame + 1])}
        if not self.config.fix_BIMNet:
            losses["flow"] = blur_invariant_loss(outputs, *truths)
        return {"total": sum(losses.values())} | losses, outputs

    def iteration(self, batch: dict[str, Tensor], frame: int, memory: Tensor) -> tuple[dict, Tensor, dict, float]:
        """One step on frame `frame` + 1 of every sample's window.

        Args:
            batch: `input` and `gt`, each (B, T, 3, h, w) in [0, 1] on the device.
            frame: 0 to T - 3.
            memory: (B, 3, h, w) previous result, or `first_memory(batch)`.

        Returns:
            The losses as numbers; the next step's memory; the network's outputs; the gradient's norm before clipping.

        Raises:
            FloatingPointError: the loss or its gradient is not finite; the weights are still those before the step.
        """
        config, device = self.config, self.processes.device
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(device, config.amp):
            losses, outputs = self.forward(batch, frame, memory)
        values = {key: loss.item() for key, loss in losses.items()}
        self.scaler.scale(losses["total"]).backward()
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), config.gc).item()
        # An overflow under fp16 is ordinary: the scaler leaves that step out and scales less.
        broken = not math.isfinite(values["total"]) or (config.amp != "fp16" and not math.isfinite(norm))
        if self.processes.any(broken)[0]:
            parts = ", ".join(f"{key} {value:g}" for key, value in values.items())
            raise FloatingPointError(
                f"step {self.itr['train'] + 1}: loss is not finite ({parts}; gradient norm {norm:g})"
            )
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.itr["train"] += 1
        return values, self.next_memory(outputs), outputs, norm

    def next_memory(self, outputs: dict[str, Tensor]) -> Tensor:
        """What the step leaves for the next one."""
        return outputs["result"].detach()

    # Validation

    @torch.no_grad()
    def validate(self, videos: list[Video], with_pictures: bool) -> Iterator[tuple[dict, dict | None]]:
        """Run through whole videos frame by frame.

        Args:
            videos: those of this process.
            with_pictures: give sample pictures of every video's second frame.

        Yields:
            A frame's losses and its `psnr` in dB; its pictures or None.
        """
        model, self.model = self.model, self.network  # processes validate different numbers of frames
        try:
            for video in videos:
                memory = last_sharp = None
                for index, frames, truth in clip_frames(video):
                    sharp = to_tensor(truth)[None]
                    before = sharp if last_sharp is None else last_sharp
                    batch = {"input": torch.stack(frames, 1), "gt": torch.stack((before, sharp), 1)}
                    batch, last_sharp = to_device(batch, self.processes.device), sharp
                    memory = self.first_memory(batch) if memory is None else memory
                    losses, outputs = self.forward(batch, 0, memory)
                    memory = self.next_memory(outputs)
                    self.itr["valid"] += 1
                    values = {key: loss.item() for key, loss in losses.items()}
                    show = with_pictures and index == min(1, len(video) - 1)
                    yield (
                        values | {"psnr": self.psnr(batch, outputs).item()},
                        self.pictures(batch, 0, outputs) if show else None,
                    )
        finally:
            self.model = model

    def psnr(self, batch: dict[str, Tensor], outputs: dict[str, Tensor]) -> Tensor:
        """The score of a validation frame."""
        return frame_psnr(outputs["result"], batch["gt"][:, 1])

    def pictures(self, batch: dict[str, Tensor], frame: int, outputs: dict[str, Tensor]) -> dict[str, np.ndarray]:
        """Sample pictures of a step: frames, result, aligned sharp frames, flows as colours."""
        pictures = {"input": grid(batch["input"][:, frame + 1]), "gt": grid(batch["gt"][:, frame + 1])}
        if "result" in outputs:
            pictures["result"] = grid(outputs["result"])
        for name, flow in outputs.items():
            if name.startswith("flow_"):
                flow = flow.detach().float()
                pictures[f"warped_{name[-2:]}"] = grid(backward_warp(batch["gt"][:, frame], flow, padding="zeros"))
                colours = [flow_to_image(one.permute(1, 2, 0).cpu().numpy()) for one in flow]
                pictures[name] = grid(torch.stack([to_tensor(colour) for colour in colours]))
        return pictures

    # Checkpoints

    def weights(self) -> dict[str, Tensor]:
        """State dict under the keys of the published files, `module.` before each."""
        return {f"module.{key}": tensor for key, tensor in self.network.state_dict().items()}

    def state(self) -> dict:
        """What a resume needs besides the weights."""
        return {
            "itr": dict(self.itr),
            "schedulers": [{"itr": self.itr["train"], "lr": self.learning_rate()}],
            "optimizers": [self.optimizer.state_dict()],
            "scaler": self.scaler.state_dict(),
        }

    def restore(self, weights: dict[str, Tensor], state: dict, source) -> None:
        """Go back to what `weights` and `state` gave."""
        checkpoint_file.load_strict(self.network, weights, source)
        self.optimizer.load_state_dict(state["optimizers"][0])
        self.scaler.load_state_dict(state["scaler"])
        self.itr = dict(state["itr"])
