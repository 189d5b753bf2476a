"""PVDNet as a whole: sizes, batches, precisions, what it costs, how it begins."""

import pytest
import torch
from torch import nn

from common.ops import complexity
from common.ops.liteflownet import LiteFlowNet
from pvdnet.models.deblurnet import DeblurNet, initialise, load_BIMNet


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return DeblurNet("PVDNet_small").eval()


def frames(height, width, count=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 8, 8, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=False).clamp(0, 1)
    return list(smooth[:, None])


def test_parameters_and_tensors():
    assert complexity.parameters(LiteFlowNet()) == 5_381_969
    for name, count, tensors in (("PVDNet", 10_514_548, 290), ("PVDNet_large", 23_361_780, 338)):
        with torch.device("meta"):
            network = DeblurNet(name)
        assert complexity.parameters(network) == count
        assert len(network.state_dict()) == tensors


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(64, 96), (68, 76), (36, 32), (28, 64)])
def test_any_multiple_of_4(small, height, width):
    outputs = small(*frames(height, width))
    assert outputs["result"].shape == (1, 3, height, width)
    assert outputs["PV"].shape == (1, 25, height, width)
    flow = outputs["flow_bb"]
    assert flow.shape == (1, 2, height, width)
    assert flow.dtype == torch.float32
    assert not flow[..., height - height % 32 :, :].any()  # rows and columns that BIMNet does not see
    assert not flow[..., width - width % 32 :].any()


@torch.no_grad()
def test_batch_equals_one_by_one(small):
    inputs = [torch.cat(pair) for pair in zip(frames(64, 64), frames(64, 64, seed=1), strict=True)]
    together = small(*inputs)
    for n in range(2):
        alone = small(*(x[n : n + 1] for x in inputs))
        torch.testing.assert_close(together["flow_bb"][n], alone["flow_bb"][0], atol=1e-5, rtol=0)
        torch.testing.assert_close(together["result"][n], alone["result"][0], atol=1e-5, rtol=0)


@torch.no_grad()
def test_bf16_autocast_stays_close(small):
    inputs = frames(64, 64)
    plain = small(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        low = small(*inputs)
    assert low["flow_bb"].dtype == torch.float32
    torch.testing.assert_close(low["flow_bb"], plain["flow_bb"], atol=0.05, rtol=0.05)
    torch.testing.assert_close(low["result"].float(), plain["result"], atol=0.02, rtol=0)


def test_cost_counts_convolutions():
    shape = (1, 3, 64, 64)
    step = complexity.macs(lambda: DeblurNet("PVDNet"), *[shape] * 4)
    assert step == complexity.macs(LiteFlowNet, shape, shape) + complexity.macs(
        lambda: DeblurNet("PVDNet").PVDNet, (1, 25, 64, 64), shape, shape, shape
    )


def test_initialise_draws_every_convolution_anew():
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ConvTranspose2d(8, 4, 4, bias=False), nn.Linear(4, 4))
    linear = module[2].weight.clone()
    torch.manual_seed(0)
    initialise(module, gain=2.0)
    assert not module[0].bias.any()
    bound = 2 * (6 / (27 + 72)) ** 0.5  # Xavier's for 3 and 8 channels of 9 pixels
    assert 0.9 * bound < module[0].weight.abs().max() <= bound
    assert torch.equal(module[2].weight, linear)


@torch.no_grad()
def test_a_quiet_start_changes_nothing():
    network = DeblurNet("PVDNet_free", with_BIMNet=False)
    frames = [torch.rand(1, 3, 32, 32) for _ in range(4)]
    initialise(network, gain=1.4)
    assert (network(*frames)["result"] - frames[1]).abs().max() > 0.1
    initialise(network, gain=1.4, quiet=True)
    torch.testing.assert_close(network(*frames)["result"], frames[1])


def test_BIMNet_is_loaded_from_its_own_file_and_from_a_whole_PVDNet(small, tmp_path):
    state = {key: value + 1 for key, value in small.state_dict().items()}
    torch.save({f"module.{key}": value for key, value in state.items()}, tmp_path / "whole.pytorch")
    own = {key.removeprefix("BIMNet."): value for key, value in state.items() if key.startswith("BIMNet.")}
    torch.save(own, tmp_path / "own.pytorch")
    for name in ("whole", "own"):
        BIMNet = LiteFlowNet()
        load_BIMNet(BIMNet, tmp_path / f"{name}.pytorch")
        assert all(torch.equal(value, own[key]) for key, value in BIMNet.state_dict().items())
    with pytest.raises(ValueError, match="no BIMNet weights; get BIMNet"):
        load_BIMNet(LiteFlowNet(), tmp_path / "none.pytorch")


@pytest.mark.gpu
@torch.no_grad()
def test_cuda_equals_cpu(small):
    torch.backends.cudnn.allow_tf32, before = False, torch.backends.cudnn.allow_tf32
    try:
        for height, width in ((64, 96), (68, 76)):
            inputs = frames(height, width)
            here = small.cpu()(*inputs)
            there = small.cuda()(*(x.cuda() for x in inputs))
            torch.testing.assert_close(there["flow_bb"].cpu(), here["flow_bb"], atol=1e-4, rtol=0)
            torch.testing.assert_close(there["result"].cpu(), here["result"], atol=1e-4, rtol=0)
    finally:
        torch.backends.cudnn.allow_tf32 = before
        small.cpu()


@pytest.mark.gpu  # compiles for over half a minute on one CPU core
@torch.no_grad()
def test_compiled_equals_eager(small):
    inputs = [x.cuda() for x in frames(64, 64)]
    network = small.cuda()
    eager = network(*inputs)["result"]
    try:
        torch.testing.assert_close(torch.compile(network)(*inputs)["result"], eager, atol=2e-3, rtol=0)
    finally:
        small.cpu()
