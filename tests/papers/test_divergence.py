"""Every paper's training that diverges ends in its line, never in a segmentation fault, in one process and in two."""

import re

import pytest

from common.papers import PAPERS, ROOT
from tests.helpers.runs import launch, start
from tests.helpers.tiny_runs import facts

PORT = 29760


@pytest.fixture(scope="module", params=PAPERS)
def clips(request, tmp_path_factory):
    """A paper's tiny run with its clips."""
    tiny = facts(request.param).at(tmp_path_factory.mktemp("clips"), tmp_path_factory.mktemp("logs"))
    tiny.make(tiny.root)
    return tiny


@pytest.mark.parametrize("processes", [1, 2])
def test_a_diverging_training(clips, tmp_path, processes):
    tiny = clips.at(clips.root, tmp_path)
    if processes == 1:
        done = start(tiny.paper, tiny.arguments(*tiny.diverges))
    else:
        port = PORT + PAPERS.index(tiny.paper)
        done = launch(tiny.paper, tiny.arguments(*tiny.diverges, "-b", "1", "-dist"), port)
    assert done.returncode == 1, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    number = r"(nan|inf|-inf|[-+.e\d]+)"
    told = rf"error: step \d+: loss or gradient is not finite \((\w+ {number}(, )?)+\); last good checkpoint: \S+"
    assert re.fullmatch(told, line), line
    assert not any(f'File "{ROOT / folder}' in done.stderr for folder in (tiny.paper, "common"))
    assert "SIGSEGV" not in done.stderr
