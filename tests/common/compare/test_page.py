"""The command and its page."""

import csv

import pytest

from common import cli
from common.compare.__main__ import main
from common.media.video_reader import open_clip
from tests.helpers.clips import moving, write_folder


@pytest.fixture
def clips(tmp_path):
    frames = moving(4)
    write_folder(tmp_path / "a", frames)
    write_folder(tmp_path / "b", [frame // 2 for frame in frames])
    return [str(tmp_path / name) for name in ("a", "b")]


def test_the_command_tells_and_writes_numbers_page_and_split_screen(clips, tmp_path, capsys):
    main([*clips, "--truth", clips[0], "--output", str(tmp_path / "out"), "--split", str(tmp_path / "both")])
    told = capsys.readouterr().out
    assert told.startswith("4 frames; along time by dis flow\nPSNR         a: ∞  b: ")
    rows = list(csv.reader((tmp_path / "out/frames.csv").open()))
    assert len(rows) == 5
    assert rows[0][:3] == ["frame", "seconds", "a PSNR"]
    page = (tmp_path / "out/page.html").read_text()
    assert page.count("<polyline") == 2
    assert page.count("<figure>") == 8
    assert "Lai et al., ECCV 2018" in page
    left, right, both = (next(iter(open_clip(path))) for path in (*clips, tmp_path / "both"))
    middle = left.shape[1] // 2
    assert (both[:, : middle - 1] == left[:, : middle - 1]).all()
    assert (both[:, middle + 1 :] == right[:, middle + 1 :]).all()
    with pytest.raises(cli.UsageError, match=r"page.html exists: give another --output, or --overwrite"):
        main([*clips, "--output", str(tmp_path / "out")])


def test_without_a_truth_the_first_is_the_reference(clips, capsys):
    main(clips)
    assert "PSNR         b: " in capsys.readouterr().out
