"""QPWCNet as TFLite: the file runs under its own runtime, computes what the network does, and is int8 where it says."""

import sys

import pytest
import torch
from torch import nn

from common.checkpoints.onnx_export import smooth_frames
from qpwcnet.deploy import tflite
from qpwcnet.model import Flower

SIZE = (64, 64)


class Graph(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.network = Flower((4, 4, 4, 4, 4), activation="leaky_relu").eval()
        for layer in self.network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight)
        for level in self.network.flower:
            nn.init.normal_(level.flow.weight, std=0.003)  # flows of pixels, so that warping counts

    def forward(self, prv, nxt):
        return self.network.flow(prv, nxt)


def pairs(count, seed=0):
    frames = smooth_frames(torch.Generator().manual_seed(seed), 2 * count, *SIZE, 8)
    return list(zip(frames[:count, None], frames[count:, None], strict=True))


@pytest.fixture(scope="module")
def graph():
    return Graph()


@pytest.fixture(scope="module")
def files(tmp_path_factory, graph):
    """The float and the int8 file, with what `write` says about each."""
    pytest.importorskip("litert_torch", reason="the extra tflite is not installed")
    folder = tmp_path_factory.mktemp("tflite") / "new"
    paths = {"float": folder / "float.tflite", "int8": folder / "int8.tflite"}
    facts = {
        "float": tflite.write(graph, paths["float"], pairs(1)[0]),
        "int8": tflite.write(graph, paths["int8"], pairs(1)[0], pairs(4), float_file=paths["float"]),
    }
    assert sorted(folder.iterdir()) == sorted(paths.values())
    return paths, facts


@torch.no_grad()
def test_float_file_equals_the_network(files, graph):
    paths, facts = files
    runner = tflite.open_tflite(paths["float"])
    assert (runner.size, runner.task) == (SIZE, "flow")
    for pair in pairs(2, seed=1):
        expected = graph(*pair)
        assert expected.abs().mean() > 0.2
        torch.testing.assert_close(runner(*pair), expected, atol=1e-4, rtol=0)
    assert facts["float"]["size"] == facts["float"]["float_size"] == paths["float"].stat().st_size
    assert not facts["float"]["int8"]


@torch.no_grad()
def test_int8_file(files, graph):
    paths, facts = files
    runner = tflite.open_tflite(paths["int8"], threads=2)
    expected = torch.cat([graph(*pair) for pair in pairs(4, seed=1)])
    error = (torch.cat([runner(*pair) for pair in pairs(4, seed=1)]) - expected).abs().mean()
    assert 0 < error < 0.15 * expected.abs().mean()
    assert paths["int8"].stat().st_size == facts["int8"]["size"] < facts["int8"]["float_size"]
    for operation in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"):
        assert facts["int8"]["int8"][operation] > 0
    # Only what gives a flow, and what reads costs beside features: one of each a level.
    assert facts["int8"]["float"]["CONV_2D"] == facts["int8"]["float"]["DEPTHWISE_CONV_2D"] == 5
    assert facts["int8"]["float"]["TRANSPOSE_CONV"] == 0
    assert facts["int8"]["float"]["EMBEDDING_LOOKUP"] > 0  # the warps


def test_weights_of_int8_file_have_a_scale_per_channel(files):
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="the extra tflite is not installed")
    model = schema.ModelT.InitFromPackedBuf(files[0]["int8"].read_bytes(), 0)
    (part,) = model.subgraphs
    weights = [part.tensors[op.inputs[1]] for op in part.operators if model.operatorCodes[op.opcodeIndex].builtinCode
               == schema.BuiltinOperator.CONV_2D]  # fmt: skip
    kinds = [x.type for x in weights]
    assert kinds.count(schema.TensorType.INT8) == len(kinds) - 5
    for x in weights:
        if x.type == schema.TensorType.INT8:
            assert len(x.quantization.scale) == x.shape[0]


def test_frames_of_another_size(files):
    runner = tflite.open_tflite(files[0]["float"])
    with pytest.raises(ValueError, match=r"takes two frames \(1, 3, 64, 64\), not \(1, 3, 64, 96\)"):
        runner(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 96))


def test_file_that_differs_does_not_get_its_name(files, tmp_path):
    other = Graph()
    other.network.flower[4].flow.weight.data *= 1.1
    with pytest.raises(ValueError, match=r"out\.tflite is not written: it would differ from the network by"):
        tflite.write(other, tmp_path / "out.tflite", pairs(1)[0], float_file=files[0]["float"])
    assert not list(tmp_path.iterdir())


def test_file_that_is_none(tmp_path):
    pytest.importorskip("ai_edge_litert", reason="the extra tflite is not installed")
    (tmp_path / "a.tflite").write_text("not a network")
    with pytest.raises(ValueError, match=r"cannot run .*a\.tflite: expected a \.tflite file"):
        tflite.open_tflite(tmp_path / "a.tflite")


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"none\.tflite does not exist"):
        tflite.open_tflite(tmp_path / "none.tflite")


@pytest.mark.parametrize("package", tflite.PACKAGES)
def test_missing_extra(tmp_path, monkeypatch, package):
    for name in tflite.PACKAGES:  # those before it count as installed
        monkeypatch.setitem(sys.modules, name, None if name == package else nn)
    with pytest.raises(ValueError, match=rf"^TFLite files need {package}: pip install -e '\.\[tflite\]'$"):
        tflite.write(nn.Identity(), tmp_path / "out.tflite", pairs(1)[0])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("calibration", [None, [], pairs(1)])
def test_nothing_is_overwritten(tmp_path, monkeypatch, calibration):
    monkeypatch.setattr(tflite, "check_packages", lambda: None)
    (tmp_path / "out.tflite").write_text("mine")
    with pytest.raises(ValueError, match=r"out\.tflite exists: give another output"):
        tflite.write(nn.Identity(), tmp_path / "out.tflite", pairs(1)[0], calibration)
    assert (tmp_path / "out.tflite").read_text() == "mine"


def test_no_pair_to_calibrate_with(tmp_path, monkeypatch):
    monkeypatch.setattr(tflite, "check_packages", lambda: None)
    with pytest.raises(ValueError, match="expected at least one pair of frames to calibrate with"):
        tflite.write(nn.Identity(), tmp_path / "out.tflite", pairs(1)[0], [])


@pytest.mark.parametrize("padding", ["border", "zeros"])
def test_gathering_reads_the_same_pixels(padding):
    """The form of `grid_sample` that the converter gets, in PyTorch itself."""
    from common.ops.warp import backward_warp

    torch.manual_seed(0)

    class Warp(nn.Module):
        def forward(self, image, flow):
            return backward_warp(image, flow, padding=padding)

    image, flow = torch.rand(2, 5, 9, 12), 8 * torch.randn(2, 2, 9, 12)
    flow[:, :, 0] = 0
    expected = Warp()(image, flow)
    found = tflite._Gathered(Warp())(image, flow)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert found.is_contiguous() != expected.is_contiguous()  # so it was not grid_sample itself
