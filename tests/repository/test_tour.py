"""The notebook: its cells run in order on small parts of the real clips, and every network makes things better."""

import json
import re

import pytest

from common.papers import PAPERS, ROOT
from common.tables import readme_pictures

NOTEBOOK = json.loads((ROOT / "examples/tour.ipynb").read_text(encoding="utf-8"))
CODE = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
SMALLER = {"COUNT": 5, "HEIGHT": 96, "WIDTH": 128}


def test_nothing_that_a_run_leaves_is_stored():
    cells = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert all((cell["outputs"], cell["execution_count"], cell["metadata"]) == ([], None, {}) for cell in cells)
    assert len({cell["id"] for cell in NOTEBOOK["cells"]}) == len(NOTEBOOK["cells"])


def test_it_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown, labels = [], []
    sheet = readme_pictures.sheet
    monkeypatch.setattr(readme_pictures, "sheet", lambda pictures: labels.append(list(pictures)) or sheet(pictures))
    names = {"display": shown.append}
    for number, code in enumerate(CODE):
        exec(compile(code, f"cell {number}", "exec"), names)
        if number == 0:
            assert names.keys() >= {*SMALLER, *PAPERS}
            names |= SMALLER
    assert len(shown) == len(labels) == len(CODE) - 2
    assert all(picture.size[1] == 96 + 24 for picture in shown)
    scores = {}
    for told in labels:
        values = [float(match[1]) for label in told if (match := re.search(r" ([\d.]+) dB$", label))]
        if values:
            before, after = values
            scores[" ".join(told)] = after - before
    assert len(scores) == 5
    assert min(scores.values()) > -0.5, scores
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("paper", PAPERS)
def test_every_paper_is_in_it(paper):
    assert any(f"{paper}.load(" in code for code in CODE)
