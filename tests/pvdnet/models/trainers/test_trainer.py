"""One iteration of training: what it minimises, returns, clips, saves, and refuses."""

import copy

import numpy as np
import pytest
import torch

from common.sets.synthetic_scene import Scene
from common.training.distributed import Processes
from pvdnet.config import Config
from pvdnet.models.trainers import trainer as trainer_module
from tests.helpers.runs import same

SMALL = {"network": "PVDNet_small", "with_BIMNet": False, "BIMNet_ckpt": ""}


def make(**fields):
    torch.manual_seed(0)
    return trainer_module.Trainer(Config(**SMALL | fields), Processes(0, 1, torch.device("cpu")))


@pytest.fixture(scope="module")
def batch():
    """Three frames of a clip of 32x32."""
    scene = Scene(5, 32, 32)
    clips = [[scene.render(t) for t in (0.0, 1.0, 2.0)], [scene.blurred(t, 1.0, 7) for t in (0.0, 1.0, 2.0)]]
    sharp, blurry = (torch.from_numpy(np.stack(clip)).permute(0, 3, 1, 2)[None] for clip in clips)
    return {"input": blurry, "gt": sharp}


def test_loss_falls_on_one_batch(batch):
    trainer = make(lr_init=3e-3)
    losses = [trainer.iteration(batch, 0, trainer.first_memory(batch))[0]["total"] for _ in range(30)]
    assert max(losses[-5:]) < 0.8 * losses[0]


def test_an_iteration_gives_memory_outputs_and_the_norm_before_clipping(batch):
    norms = []
    for gc in (1e6, 1e-3):
        trainer = make(gc=gc)
        values, memory, outputs, norm = trainer.iteration(batch, 0, trainer.first_memory(batch))
        norms.append(norm.item())
        assert set(values) == set(trainer.keys)
        assert torch.equal(memory, outputs["result"])
        assert not memory.requires_grad  # nothing goes back through time
        left = torch.stack([p.grad.norm() for p in trainer.network.parameters()]).norm()
        assert left == pytest.approx(min(norms[-1], gc), rel=1e-4)
    assert norms[0] == norms[1] > 1e-3


def test_state_and_weights_go_back_to_what_they_were(batch):
    trainer = make(lr_init=3e-3)
    memory = trainer.first_memory(batch)
    for _ in range(6):
        trainer.iteration(batch, 0, memory)
    weights, state = copy.deepcopy((trainer.weights(), trainer.state()))
    assert all(key.startswith("module.") for key in weights)
    other = trainer_module.Trainer(trainer.config, trainer.processes, fresh=False)
    other.restore(weights, state, "the state")
    assert other.itr == {"train": 6, "valid": 0}
    for one in (trainer, other):
        one.iteration(batch, 0, memory)
    assert same(trainer.weights(), other.weights())
    assert other.state()["schedulers"] == [{"itr": 7, "lr": trainer.learning_rate()}]


def test_a_loss_that_is_no_number_leaves_the_weights(batch, monkeypatch):
    trainer = make()
    before = copy.deepcopy(trainer.weights())
    monkeypatch.setattr(trainer_module, "image_loss", lambda result, gt: result.mean() * float("nan"))
    with pytest.raises(FloatingPointError, match=r"loss or gradient is not finite \(total nan, image nan\)"):
        trainer.iteration(batch, 0, trainer.first_memory(batch))
    assert same(trainer.weights(), before)
    assert trainer.itr["train"] == 0


def test_the_average_is_what_is_saved_and_goes_on(batch):
    trainer = make(lr_init=3e-3, ema=0.9)
    memory = trainer.first_memory(batch)
    for _ in range(4):
        trainer.iteration(batch, 0, memory)
    weights, state = copy.deepcopy((trainer.weights(), trainer.state()))
    plain = trainer.network.state_dict()
    assert not same({key.removeprefix("module."): value for key, value in weights.items()}, plain)
    other = trainer_module.Trainer(trainer.config, trainer.processes, fresh=False)
    other.restore(weights, state, "the state")
    for one in (trainer, other):
        one.iteration(batch, 0, memory)
    assert same(other.weights(), trainer.weights())
    assert same(other.network.state_dict(), trainer.network.state_dict())
    with trainer.average.applied():
        assert same({f"module.{key}": value for key, value in trainer.network.state_dict().items()}, trainer.weights())


def test_a_training_starts_from_given_weights(batch):
    trainer, other = make(ema=0.9), make(ema=0.9)
    trainer.iteration(batch, 0, trainer.first_memory(batch))
    weights = copy.deepcopy(trainer.weights())
    other.start(weights, "a file")
    assert same(other.weights(), weights)
    assert same({f"module.{key}": value for key, value in other.network.state_dict().items()}, weights)
