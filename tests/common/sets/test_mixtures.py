"""Several sets at once: what their names and weights are, and whose turn it is."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from torch.utils.data import Dataset

from common.cli import UsageError
from common.sets import mixtures
from common.sets.mixtures import PERIOD, Mixture, parts, samples_of


class Named(Dataset):
    """At a position the set's name with it."""

    def __init__(self, name, count=5):
        self.name, self.count = name, count

    def __len__(self):
        return self.count

    def __getitem__(self, position):
        return self.name, position


def test_names_and_weights():
    assert parts("free") == [("free", 1.0)]
    assert parts("free,drawn:0.5,clips_mine:2") == [("free", 1.0), ("drawn", 0.5), ("clips_mine", 2.0)]
    for wrong in ("free:0", "free:x", "free:", ",free", "free:-1", "free:inf", "", "free:nan"):
        with pytest.raises(UsageError, match="expected a set, or sets with weights"):
            parts(wrong)
    with pytest.raises(UsageError, match="free stands there twice"):
        parts("free,free:2")


def test_every_set_has_its_share_and_sees_its_own_positions_in_order():
    mixture = Mixture([Named("a"), Named("b", 700), Named("c")], [1, 2, 0.2], seed=3)
    found = [mixture[position] for position in range(3 * PERIOD)]
    for name, share in (("a", 1 / 3.2), ("b", 2 / 3.2), ("c", 0.2 / 3.2)):
        own = [position for set_name, position in found if set_name == name]
        assert own == list(range(len(own)))
        assert len(own) == pytest.approx(3 * PERIOD * share, abs=3)
    assert len(mixture) == 710


def test_turns_depend_on_the_seed_and_are_mixed():
    turns = [[Mixture([Named("a"), Named("b")], [1, 1], seed)[k][0] for k in range(40)] for seed in (0, 0, 1)]
    assert turns[0] == turns[1] != turns[2]
    assert 10 < turns[0].count("a") < 30
    assert turns[0] != sorted(turns[0])


def test_one_set_is_itself():
    assert samples_of("a:3", Named, 0)[7] == ("a", 7)
    assert {samples_of("a,b", Named, 0)[k][0] for k in range(20)} == {"a", "b"}


def test_names_that_are_no_sets_are_refused():
    mixtures.check("vimeo,clips_mine_bi:2", ["vimeo"], suffixes=("_bi", "_bd"))
    with pytest.raises(UsageError, match=r"data vimo: expected one of vimeo, .*; did you mean vimeo\?"):
        mixtures.check("clips_bi,vimo", ["vimeo"], suffixes=("_bi",))
    with pytest.raises(UsageError, match="valid_data clips_mine: expected one of"):
        mixtures.check("clips_mine", ["vimeo"], field="valid_data", suffixes=("_bi",))


def test_uses():
    mixtures.check_use("vimeo,free", True, ["vimeo", "vid4"], ["vimeo"])
    mixtures.check_use("vid4", False, ["vimeo", "vid4"], ["vimeo"])
    with pytest.raises(UsageError, match="several sets are for training"):
        mixtures.check_use("vimeo,free", False, ["vimeo"], ["vimeo"])
    with pytest.raises(UsageError, match="--data vid4 is for testing: train on one of vimeo, or on clips"):
        mixtures.check_use("free,vid4", True, ["vimeo", "vid4"], ["vimeo"])
    text = mixtures.help_text(["vimeo", "vid4"], ["vimeo"])
    assert "to train on: vimeo;" in text
    assert text.endswith("vid4, real")


def test_what_several_sets_are_tested_with():
    config = Settings("free,drawn:0.5", "real")
    assert mixtures.for_testing(config, SimpleNamespace(is_train=False)).data == "real"
    for options in (SimpleNamespace(is_train=True), SimpleNamespace(is_train=False, data="free,drawn:0.5")):
        assert mixtures.for_testing(config, options) == config
    for other in (Settings("free", "real"), Settings("free,drawn", "")):
        assert mixtures.for_testing(other, SimpleNamespace(is_train=False)) == other


@dataclass(frozen=True)
class Settings:
    data: str
    valid_data: str


def test_the_set_that_validates():
    assert mixtures.validation_set("free_bi,drawn_bi:0.3", "real_bi") == "real_bi"
    assert mixtures.validation_set("free_bi,drawn_bi:0.3", "") == "free_bi"
