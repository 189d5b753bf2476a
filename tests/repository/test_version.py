"""One version: what says it elsewhere says the same."""

import re
import tomllib

import common
from common.papers import ROOT


def test_the_version_is_told_alike():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "common.__version__"}
    citation = re.findall(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.M)
    newest = re.findall(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)[:1]
    assert citation == newest == [common.__version__]
