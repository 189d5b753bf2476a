"""What a measurement lacks and the commands that it takes, for every row of every paper."""

import importlib
from types import SimpleNamespace

import pytest
import torch

from common import papers
from common.tables import measurement, reproduce, results_csv

ALL = {measurement.of_row(paper, row): row for paper in papers.PAPERS for row in results_csv.read(paper)}


def test_every_row_without_data_says_how_to_get_it(tmp_path):
    for what in ALL:
        text, clips = measurement.lacking(what, str(tmp_path))
        real = measurement.is_real(what.data)
        assert (text == "") is (what.data == "synthetic" or real)
        assert len(clips) == 8 * (real and what.data != "real_moving")  # all of them, in the repository
        assert not text or "`python " in text or "no weights of it that this project loads" in text
        for command in text.split("`python datasets/")[1:]:
            assert (papers.ROOT / "datasets" / command.split("`")[0].split(" ")[0]).is_file()


def test_every_embedded_row_has_commands_that_parse(tmp_path):
    options = SimpleNamespace(data_root=str(tmp_path), log_root=str(tmp_path / "logs"), device="cpu")
    embedded = [what for what in ALL if what.data == "synthetic"]
    assert {what.paper for what in embedded if what.tier == reproduce.QUICK and what.checkpoint == "trained"} == set(
        papers.PAPERS
    )
    for what in embedded:
        todo = measurement.commands(what, options)
        assert todo[0][0] == measurement.MAKE
        for script, *words in todo:
            if script != measurement.MAKE:
                importlib.import_module(f"{what.paper}.config").parse([word for word in words if word != "-dl"])
        text = " && ".join(measurement.typed(words, options) for words in todo)
        assert str(tmp_path) not in text
        assert "--log_root" not in text
        assert "--data_root datasets/" in text


def test_a_fingerprint_changes_with_code_and_weights_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(papers, "ROOT", tmp_path)
    for folder in ("common", "ifrnet", "tdan", "datasets", "ckpt"):
        (tmp_path / folder).mkdir()
    what = measurement.Measurement("ifrnet", "", "IFRNet", "IFRNet_tiny", "middlebury", "tiny.pth")
    seen = [measurement.fingerprint(what)]
    for name, matters in (
        ("common/new.py", True), ("ifrnet/model.py", True), ("datasets/prepare.py", True), ("ckpt/tiny.pth", True),
        ("tdan/model.py", False), ("ifrnet/results.csv", False), ("ckpt/other.pth", False),
    ):  # fmt: skip
        (tmp_path / name).write_text("changed")
        seen.append(measurement.fingerprint(what))
        assert (seen[-1] != seen[-2]) is matters, name


def test_a_failed_command_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="vimeo_triplet: no such folder"):
        measurement.execute("ifrnet/run.py", ["--data", "vimeo90k", "--blend", "--data_root", str(tmp_path)])
    with pytest.raises(ValueError, match=r"make_synthetic.py --layout nothing: .*nothing"):
        measurement.execute(measurement.MAKE, ["--layout", "nothing"])


def test_a_device_tells_its_instructions_and_threads():
    """Numbers of trained rows depend on them, so that what was measured with others is measured again."""
    capability = torch.backends.cpu.get_cpu_capability()
    assert measurement.device_name("cpu").endswith(f", {capability}, {torch.get_num_threads()} threads")
