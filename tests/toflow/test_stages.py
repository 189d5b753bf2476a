"""The stages of TOFlow's training: when each begins, what learns in it, and that it does."""

from dataclasses import replace

import pytest
import torch

from common.training.sampling import to_device
from toflow.config import preset
from toflow.model import FORMS, TOFlow
from toflow.samples import FlowSamples, TrainingSamples
from toflow.sets import SETS, find_flow_samples, find_samples
from toflow.stages import Objective, learning_parts, plan


def test_plan_of_the_published_recipes():
    mmagic = plan(preset("tof_spynet-chair-wobn_1xb1_vimeo90k-triplet"), 51313)
    assert [(stage.name, stage.last, stage.total_batch) for stage in mmagic] == [("joint", 1_000_000, 1)]
    paper = plan(preset("TOFlow_denoise"), 64612)
    assert [stage.name for stage in paper] == ["flow", "processing", "joint"]
    assert paper[-1].last - paper[-1].first == 15 * 64612
    assert [stage.total_batch for stage in paper] == [16, 1, 1]
    assert plan(replace(preset("TOFlow_denoise"), max_steps=60_000), 64612)[-1].last == 60_000


def test_a_fixed_part_keeps_its_statistics():
    network = TOFlow(replace(FORMS["paper_interp_mask"], widths=(4, 4, 4, 4), channels=4))
    for parameter in network.parameters():  # an untrained flow network gives zeros, whose statistics stay
        parameter.data += 0.1 * torch.randn_like(parameter)
    before = {key: value.clone() for key, value in network.state_dict().items() if "running" in key}
    for stage, moving in (("flow", "spynets"), ("mask", "masknet"), ("processing", "masknet"), ("joint", "")):
        learning_parts(network, stage)
        network(torch.rand(2, 2, 3, 16, 16))
        after = network.state_dict()
        for key, value in before.items():
            assert torch.equal(value, after[key]) != key.startswith(moving), (stage, key)
        before = {key: after[key].clone() for key in before}


@pytest.mark.parametrize("name", ["TOFlow_interp_tiny", "TOFlow_denoise_tiny", "TOFlow_deblock_tiny", "TOFlow_sr_tiny"])
def test_loss_falls_on_one_batch(clips, name):
    torch.manual_seed(0)
    config = replace(preset(name), crop=32)
    dataset = TrainingSamples(find_samples(clips, config.data, "train"), config)
    objective = Objective(TOFlow(config.form), "joint", config.loss)
    batch = to_device(torch.utils.data.default_collate([dataset[0], dataset[1]]), torch.device("cpu"))
    optimizer = torch.optim.Adam(objective.parameters(), 3e-3)
    found = []
    for _ in range(30):
        loss, _ = objective(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    assert max(found[-3:]) < (0.95 if config.task == "sr" else 0.8) * found[0]  # bicubic is near already


def test_flow_stages_learn_the_exact_flow(clips):
    """Of pairs for one flow network, and of the labels of triplets for the two that begin at the middle."""
    torch.manual_seed(0)
    for name in ("TOFlow_denoise", "TOFlow_interp"):
        config = replace(preset(name), crop=32, flow_crop=32)
        form = replace(config.form, widths=(8, 8, 8, 8), channels=8)
        if form.from_middle:
            dataset = TrainingSamples(find_samples(clips, "vimeo90k", "train"), config, labels=True)
        else:
            dataset = FlowSamples(find_flow_samples(clips, "sintel"), config, SETS[config.data].degradation)
        objective = Objective(TOFlow(form), "flow", config.loss)
        learning_parts(objective.network, "flow")
        batch = to_device(torch.utils.data.default_collate([dataset[0], dataset[1]]), torch.device("cpu"))
        first, outputs = objective(batch)
        assert outputs["flows"].shape == batch["flows"].shape
        assert first.item() == pytest.approx(batch["flows"].abs().mean().item())  # untrained: no motion seen
        optimizer = torch.optim.Adam([p for p in objective.parameters() if p.requires_grad], 3e-3)
        for _ in range(30):
            optimizer.zero_grad()
            objective(batch)[0].backward()
            optimizer.step()
        assert objective(batch)[0] < 0.8 * first


def test_mean_gradient_of_two_samples_is_that_of_their_batch(clips):
    torch.manual_seed(0)
    config = replace(preset("TOFlow_denoise_tiny"), crop=32)
    network = TOFlow(config.form)
    for parameter in network.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    dataset = TrainingSamples(find_samples(clips, config.data, "train"), config)

    def gradient(*positions):
        network.zero_grad()
        batch = torch.utils.data.default_collate([dataset[position] for position in positions])
        Objective(network, "joint", config.loss)(batch)[0].backward()
        return torch.cat([parameter.grad.flatten() for parameter in network.parameters()])

    both = gradient(0, 1)
    assert ((gradient(0) + gradient(1)) / 2 - both).norm() < 1e-5 * both.norm()
