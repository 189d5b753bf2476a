import pytest
import torch

from common.ops import complexity
from common.ops.liteflownet import LiteFlowNet
from common.ops.memory_format import fastest_layout, layout_of
from pvdnet.models.archs import PVDNet_small
from pvdnet.models.deblurnet import DeblurNet
from pvdnet.models.pixel_volume import pixel_volume


def volume_pixel_by_pixel(deblurred, flow, current, ksize):
    """The definition, for every pixel q and offset (i, j)."""
    luma = torch.tensor([0.2989, 0.5870, 0.1140]).view(3, 1, 1)
    batch, _, height, width = current.shape
    radius = ksize // 2
    out = torch.zeros(batch, ksize**2, height, width)
    for n in range(batch):
        past, now = (deblurred[n] * luma).sum(0), (current[n] * luma).sum(0)
        for i in range(-radius, radius + 1):
            for j in range(-radius, radius + 1):
                for qy in range(height):
                    for qx in range(width):
                        rx, ry = qx - i, qy - j
                        if not (0 <= rx < width and 0 <= ry < height):
                            continue
                        x = int(rx + flow[n, 0, ry, rx]) + i  # int() truncates toward zero
                        y = int(ry + flow[n, 1, ry, rx]) + j
                        inside = 1 <= x <= width - 2 and 1 <= y <= height - 2
                        value = past[y, x] if inside else now[qy, qx]
                        out[n, (i + radius) * ksize + (j + radius), qy, qx] = value
    return out


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return DeblurNet("PVDNet_small").eval()


def frames(height, width, count=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 8, 8, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=False).clamp(0, 1)
    return list(smooth[:, None])


@pytest.mark.parametrize("ksize", [3, 5])
@pytest.mark.parametrize("scale", [0.0, 1.5, 40.0])
def test_pixel_volume_equals_its_definition(ksize, scale):
    torch.manual_seed(1)
    deblurred, current = 2 * torch.rand(2, 3, 9, 11) - 1, 2 * torch.rand(2, 3, 9, 11) - 1
    flow = scale * torch.randn(2, 2, 9, 11)
    found = pixel_volume(deblurred, flow, current, ksize)
    torch.testing.assert_close(found, volume_pixel_by_pixel(deblurred, flow, current, ksize), atol=1e-6, rtol=0)


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


def test_layouts_agree_and_training_takes_its_own():
    torch.manual_seed(0)
    network = PVDNet_small.Network(25)
    shapes = [(1, 25, 32, 32), *[(1, 3, 32, 32)] * 3]
    inputs = [torch.rand(shape) for shape in shapes]
    results, seen = {}, []
    network.d0.register_forward_hook(lambda _module, _inputs, output: seen.append(layout_of(output)))
    for layout in (None, torch.contiguous_format, torch.channels_last):
        network.memory_format = layout
        network.zero_grad()
        network(*inputs).square().mean().backward()
        results[layout] = network.d0.weight.grad.clone()
        torch.testing.assert_close(results[layout], results[None], atol=1e-6, rtol=1e-4)
    network.memory_format = None
    with torch.no_grad():
        network(*inputs)
        assert fastest_layout(network) == torch.channels_last
    assert fastest_layout(network) == torch.contiguous_format
    assert fastest_layout(network.requires_grad_(False)) == torch.channels_last
    assert seen == [torch.contiguous_format] * 2 + [torch.channels_last] * 2


def test_cost_counts_convolutions():
    shape = (1, 3, 64, 64)
    step = complexity.macs(lambda: DeblurNet("PVDNet"), *[shape] * 4)
    assert step == complexity.macs(LiteFlowNet, shape, shape) + complexity.macs(
        lambda: DeblurNet("PVDNet").PVDNet, (1, 25, 64, 64), shape, shape, shape
    )


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
