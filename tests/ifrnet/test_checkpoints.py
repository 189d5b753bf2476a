"""IFRNet's checkpoint files: published forms load, others are refused."""

import pytest
import torch

from common.checkpoints import checkpoint_file
from ifrnet.checkpoints import SIZE_OF_SHAPE, adapt, load_network
from ifrnet.model import SIZES, IFRNet


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", ["bare", "module", "mmediting"])
def test_published_forms_load_and_tell_their_size(tmp_path, size, form):
    state = IFRNet(size).state_dict()
    if form == "module":
        value = {f"module.{key}": tensor for key, tensor in state.items()}
    elif form == "mmediting":
        extra = {"step_counter": torch.tensor(5), "data_preprocessor.mean": torch.zeros(3)}
        value = {"meta": {"epoch": 3}, "state_dict": {f"generator.{k}": v for k, v in state.items()} | extra}
    else:
        value = state
    checkpoint_file.save(value, tmp_path / "x.pth")
    found = load_network(tmp_path / "x.pth")
    assert found.size == size
    assert all(torch.equal(tensor, state[key]) for key, tensor in found.state_dict().items())
    assert not found.training
    assert SIZE_OF_SHAPE[tuple(state["encoder.pyramid1.0.0.weight"].shape)] == size


def test_files_that_are_not_ours_are_refused(tmp_path):
    state = IFRNet("IFRNet_tiny").state_dict()
    with pytest.raises(ValueError, match="no tensor encoder"):
        adapt({"conv.weight": torch.zeros(1)}, "x.pth")
    with pytest.raises(ValueError, match=r"\(7, 3, 3, 3\): expected one of"):
        adapt(state | {"encoder.pyramid1.0.0.weight": torch.zeros(7, 3, 3, 3)}, "x.pth")
    with pytest.raises(ValueError, match="expected a state dict"):
        adapt([1], "x.pth")
    checkpoint_file.save({k: v for k, v in state.items() if k != "decoder1.convblock.2.bias"}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=r"1 missing: decoder1.convblock.2.bias"):
        load_network(tmp_path / "x.pth")
    checkpoint_file.save(state, tmp_path / "x.pth")
    with pytest.raises(ValueError, match="holds IFRNet_tiny, but IFRNet_L was asked for"):
        load_network(tmp_path / "x.pth", "IFRNet_L")
