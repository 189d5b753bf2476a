"""One iteration of PVDNet training: recurrence, losses, update. BIMNet is fixed, or trained along (joint mode).

Paper: Son et al., TOG 2021, sections 3 and 5. An iteration is one frame: the previous result comes from the step
before, without its gradient.

Another trainer is a file beside this one with a class `Trainer` of the same methods; `--trainer` names it.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from common.checkpoints import checkpoint_file
from common.ops import complexity
from common.ops.autocast import autocast
from common.training.distributed import Processes
from common.training.minimiser import Minimiser
from common.training.sampling import as_tensor, to_device
from common.training.weight_average import WeightAverage
from pvdnet.losses import blur_invariant_loss, frame_psnr, image_loss
from pvdnet.models.deblurnet import DeblurNet, compile_parts, initialise, load_BIMNet
from pvdnet.models.trainers.radam import RAdam
from pvdnet.samples import clip_frames
from pvdnet.schedule import learning_rate
from pvdnet.sets import Video


class Trainer:
    """The network with its optimiser, and what a step and a validation do.

    Args:
        config: the settings.
        processes: this process among all.
        fresh: draw new weights and load BIMNet's; False where a checkpoint follows.

    Attributes:
        average: of the network's weights, which is tested and kept.
    """

    def __init__(self, config, processes: Processes, fresh: bool = True):
        self.config, self.processes = config, processes
        self.network = self.build(config)
        if fresh:
            initialise(self.network, config.wi, config.quiet)
            if config.BIMNet_ckpt:
                load_BIMNet(self.network.BIMNet, config.BIMNet_ckpt)
        self.network.to(processes.device)
        if config.compile:
            compile_parts(self.network)
        self.parallel = DistributedDataParallel(self.network) if processes.world_size > 1 else self.network
        betas = (config.beta1, 0.999)
        optimizer = RAdam(self.network.parameters(), config.lr_init, betas, decay=config.weight_decay)
        self.minimiser = Minimiser(optimizer, processes, config.amp)
        self.average = WeightAverage(self.network, config.ema)
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

    @property
    def model(self) -> nn.Module:
        """The network; in a step that of all processes together, who validate different numbers of frames."""
        return self.parallel if torch.is_grad_enabled() else self.network

    # One iteration

    def learning_rate(self) -> float:
        """Rate of the coming step."""
        return learning_rate(self.itr["train"], self.config)

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

    def iteration(self, batch: dict[str, Tensor], frame: int, memory: Tensor) -> tuple[dict, Tensor, dict, Tensor]:
        """One step on frame `frame` + 1 of every sample's window.

        Args:
            batch: `input` and `gt`, each (B, T, 3, h, w) in [0, 1] on the device.
            frame: 0 to T - 3.
            memory: (B, 3, h, w) previous result, or `first_memory(batch)`.

        Returns:
            The losses as numbers; the next step's memory; the network's outputs; the gradient's norm before clipping,
            a scalar on the device.

        Raises:
            FloatingPointError: the loss or its gradient is not finite; the weights are still those before the step.
        """
        with autocast(self.processes.device, self.config.amp):
            losses, outputs = self.forward(batch, frame, memory)
        values = self.minimiser.step(losses, self.learning_rate(), self.clip)
        self.itr["train"] += 1
        self.average.update(self.itr["train"])
        return values, self.next_memory(outputs), outputs, self.norm

    def clip(self) -> None:
        """Bring the gradient's norm down to `gc` where it is larger; `norm` is what it was."""
        self.norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gc)

    def next_memory(self, outputs: dict[str, Tensor]) -> Tensor:
        """What the step leaves for the next one."""
        return outputs["result"].detach()

    # Validation

    @torch.no_grad()
    def validate(self, video: Video) -> Iterator[tuple[dict, dict, dict]]:
        """Run through a whole video; yields each frame's losses with its `psnr` in dB, its batch and its outputs."""
        memory = sharp = None
        for _, frames, truth in clip_frames(video):
            before, sharp = sharp, as_tensor(truth)[None]
            truths = torch.stack((sharp if before is None else before, sharp), 1)
            batch = to_device({"input": torch.stack(frames, 1), "gt": truths}, self.processes.device)
            memory = self.first_memory(batch) if memory is None else memory
            losses, outputs = self.forward(batch, 0, memory)
            memory = self.next_memory(outputs)
            self.itr["valid"] += 1
            values = {key: loss.item() for key, loss in losses.items()}
            yield values | {"psnr": self.psnr(batch, outputs).item()}, batch, outputs

    def psnr(self, batch: dict[str, Tensor], outputs: dict[str, Tensor]) -> Tensor:
        """The score of a validation frame."""
        return frame_psnr(outputs["result"], batch["gt"][:, 1])

    # Checkpoints

    def weights(self) -> dict[str, Tensor]:
        """State dict under the keys of the published files, `module.` before each."""
        return {f"module.{key}": tensor for key, tensor in self.average.weights().items()}

    def state(self) -> dict:
        """What a resume needs besides the weights."""
        saved = self.minimiser.state()
        return {
            "itr": dict(self.itr),
            "schedulers": [{"itr": self.itr["train"], "lr": self.learning_rate()}],
            "optimizers": [saved["optimizer"]],
            "scaler": saved["scaler"],
        } | self.average.state()

    def start(self, weights: dict[str, Tensor], source) -> None:
        """Begin with the weights of another training."""
        checkpoint_file.load_strict(self.network, weights, source)
        self.average.restore({})

    def restore(self, weights: dict[str, Tensor], state: dict, source) -> None:
        """Go back to what `weights` and `state` gave."""
        self.start(weights, source)
        self.average.restore(state)
        self.minimiser.restore({"optimizer": state["optimizers"][0], "scaler": state["scaler"]})
        self.itr = dict(state["itr"])
