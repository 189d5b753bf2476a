"""The file of what was measured here: which trainings go on, and that it survives what happens to it."""

import pytest

from common import atomic
from common.tables.outcomes import Outcomes


def test_a_training_goes_on_while_its_code_is_the_same(tmp_path):
    first = Outcomes(tmp_path)
    assert not first.goes_on("tdan: tiny", "a")
    assert first.goes_on("tdan: tiny", "a")  # an int8 row follows the row whose training it exports
    assert not first.goes_on("tdan: other", "a")
    assert Outcomes(tmp_path).goes_on("tdan: tiny", "a")
    assert not Outcomes(tmp_path).goes_on("tdan: tiny", "b")
    assert not Outcomes(tmp_path).goes_on("tdan: tiny", "a")  # its run folder is of b since then


def test_fresh_begins_each_training_once_anew(tmp_path):
    Outcomes(tmp_path).goes_on("tdan: tiny", "a")
    fresh = Outcomes(tmp_path, fresh=True)
    assert not fresh.goes_on("tdan: tiny", "a")
    assert fresh.goes_on("tdan: tiny", "a")


def test_an_interrupted_write_leaves_the_last_file(tmp_path, monkeypatch):
    outcomes = Outcomes(tmp_path)
    outcomes.measured["x"] = {"seconds": 1.0}
    outcomes.save()
    outcomes.measured["y"] = {"seconds": 2.0}

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic.os, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        outcomes.save()
    assert Outcomes(tmp_path).measured == {"x": {"seconds": 1.0}}
    assert [path.name for path in (tmp_path / "tables").iterdir()] == ["state.json"]
