"""IFRNet's networks."""

import pytest
import torch

from common.ops import complexity
from common.ops.memory_format import layout_of
from ifrnet.model import IFRNet, check_size, initialise, multiple_of

PUBLISHED = {"IFRNet": (4_959_692, 22.18), "IFRNet_L": (19_699_460, 87.85), "IFRNet_S": (2_803_610, 12.60)}


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return IFRNet("IFRNet_tiny").eval()


@pytest.mark.parametrize("size", PUBLISHED)
def test_sizes_have_the_published_parameters_and_cost(size):
    parameters, gmac = PUBLISHED[size]
    network = IFRNet(size)
    assert complexity.parameters(network) == parameters
    assert len(network.state_dict()) == 104
    macs = complexity.macs(lambda: IFRNet(size), *[(1, 3, 256, 448)] * 2, (1,))
    assert macs / 1e9 == pytest.approx(gmac, abs=0.006)


@torch.no_grad()
def test_every_pair_and_time_is_on_its_own(tiny):
    img0, img1 = torch.rand(2, 3, 3, 32, 48)
    t = torch.tensor([0.1, 0.9, 0.5, 0.3, 0.7, 0.2])  # two times a pair
    together = tiny(img0, img1, t)
    assert together["pred"].shape == (6, 3, 32, 48)
    for n, time in enumerate(t):
        pair = n // 2
        alone = tiny(img0[pair : pair + 1], img1[pair : pair + 1], time[None])
        for key in ("pred", "flow0_1", "flow1_4", "mask"):
            torch.testing.assert_close(together[key][n], alone[key][0], atol=1e-5, rtol=0)


@torch.no_grad()
def test_equal_frames_differ_by_the_residual_alone(tiny):
    frame = torch.full((1, 3, 32, 32), 0.4)
    outputs = tiny(frame, frame, torch.tensor([0.5]))
    expected = (0.4 + outputs["residual"]).clamp(0, 1)
    torch.testing.assert_close(outputs["pred"], expected, atol=1e-6, rtol=0)


def test_in_place_inference_equals_training_and_keeps_its_inputs(tiny):
    img0, img1, t = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32), torch.tensor([0.5])
    before = img0.clone(), img1.clone()
    trained = tiny(img0, img1, t)["pred"]
    with torch.no_grad():
        inferred = tiny(img0, img1, t)["pred"]
    torch.testing.assert_close(inferred, trained.detach(), atol=1e-6, rtol=0)
    assert torch.equal(img0, before[0])
    assert torch.equal(img1, before[1])


def test_layouts_agree(tiny):
    img0, img1, t = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32), torch.tensor([0.5])
    seen, results = [], []
    tiny.encoder.pyramid1.register_forward_hook(lambda _module, _inputs, output: seen.append(layout_of(output)))
    for layout in (torch.contiguous_format, torch.channels_last):
        tiny.memory_format = layout
        results.append(tiny(img0, img1, t)["pred"])
    torch.testing.assert_close(*results, atol=1e-5, rtol=0)
    assert seen == [torch.contiguous_format, torch.channels_last]
    tiny.memory_format = None
    with torch.no_grad():
        tiny(img0, img1, t)
    assert seen[2] == torch.channels_last


@torch.no_grad()
def test_bf16_keeps_flows_in_float32(tiny):
    img0, img1, t = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32), torch.tensor([0.5])
    plain = tiny(img0, img1, t)
    with torch.autocast("cpu", torch.bfloat16):
        low = tiny(img0, img1, t)
    assert {low[key].dtype for key in ("flow0_1", "flow1_3", "mask", "residual", "pred")} == {torch.float32}
    torch.testing.assert_close(low["pred"], plain["pred"], atol=0.02, rtol=0)


@pytest.mark.parametrize(("scale", "multiple"), [(1.0, 16), (0.8, 20), (0.5, 32), (2.0, 8), (0.25, 64)])
def test_sizes_that_fit_a_scale(scale, multiple):
    assert multiple_of(scale) == multiple
    for count in range(1, 40):
        frame = torch.empty(1, 3, multiple * count, multiple)
        check_size(frame, frame, scale)
    for odd in (frame[:, :, 1:], frame[:, :, :0], frame[:, :, : multiple // 2]):
        with pytest.raises(ValueError, match=rf"multiples of {multiple}; pad them"):
            check_size(odd, odd, scale)


def test_frames_of_two_shapes_are_refused(tiny):
    with pytest.raises(ValueError, match="expected one shape"):
        tiny(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 48), torch.tensor([0.5]))


def test_weights_without_time_are_recognised(tiny):
    assert not tiny.ignores_time
    tiny.decoder4.convblock[0][0].weight.data[:, -1] = 0
    assert tiny.ignores_time
    img0, img1 = torch.rand(2, 1, 3, 32, 32)
    with torch.no_grad():
        first, second = (tiny(img0, img1, torch.tensor([t]))["pred"] for t in (0.1, 0.9))
    assert torch.equal(first, second)


@pytest.mark.gpu
@torch.no_grad()
def test_cuda_equals_cpu(tiny):
    torch.backends.cudnn.allow_tf32, before = False, torch.backends.cudnn.allow_tf32
    try:
        img0, img1, t = torch.rand(1, 3, 64, 96), torch.rand(1, 3, 64, 96), torch.tensor([0.25, 0.5])
        here = tiny(img0, img1, t)
        there = tiny.cuda()(img0.cuda(), img1.cuda(), t.cuda())
        for key in ("pred", "flow0_1", "flow1_4"):
            torch.testing.assert_close(there[key].cpu(), here[key], atol=1e-4, rtol=0)
    finally:
        torch.backends.cudnn.allow_tf32 = before


@pytest.mark.gpu
@torch.no_grad()
def test_compiled_equals_eager(tiny):
    img0, img1, t = torch.rand(1, 3, 64, 96).cuda(), torch.rand(1, 3, 64, 96).cuda(), torch.tensor([0.5]).cuda()
    tiny.cuda()
    torch.testing.assert_close(
        torch.compile(tiny)(img0, img1, t)["pred"], tiny(img0, img1, t)["pred"], atol=2e-3, rtol=0
    )


def test_at_kaimings_start_features_keep_what_frames_show_and_flows_are_small():
    torch.manual_seed(0)
    frames = torch.rand(2, 1, 3, 64, 64)
    spreads = []
    for start in (lambda network: None, initialise):
        network = IFRNet("IFRNet_free")
        start(network)
        with torch.no_grad():
            pair = network.encode(frames[0], frames[1])
            outputs = network.decode(pair, torch.tensor([0.5]))
        spreads.append((pair.features0[3] - pair.features1[3]).std().item())
        flow = outputs["flow0_1"].abs().max().item()
    assert spreads[0] < 0.01 * spreads[1]
    assert 0.05 < spreads[1] < 5
    assert 0 < flow < 2
