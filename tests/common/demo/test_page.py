"""The page: built with every task, and one line where gradio is missing."""

import socket
import sys

import pytest

from common import cli, demo
from common.demo import __main__ as command
from common.demo.tasks import TASKS
from tests.helpers.clips import pictures


def test_without_gradio_a_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "common.demo.page", raising=False)
    monkeypatch.delattr(demo, "page", raising=False)
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert cli.run(command.main, []) == 2
    assert capsys.readouterr().err == "error: the page needs gradio: pip install -e '.[demo]'\n"


@pytest.fixture
def page():
    """The module and the page."""
    pytest.importorskip("gradio", reason="the extra demo is not installed")
    from common.demo import page

    return page, page.build()


def test_every_task_can_be_chosen(page):
    _, blocks = page
    (radio,) = (block for block in blocks.blocks.values() if type(block).__name__ == "Radio")
    assert [value for _, value in radio.choices] == list(TASKS)


def called(blocks, name, *values):
    """What an event's function yields or gives, by the kinds of the components."""
    (event,) = (event for event in blocks.fns.values() if event.name == name)
    made = event.fn(*values)
    made = made if isinstance(made, dict) else next(made)
    return {f"{type(block).__name__} {getattr(block, 'label', None)}": value for block, value in made.items()}


def test_two_pictures_become_input_and_result(page):
    _, blocks = page
    first, second = pictures(2, 32, 48)
    shown = called(blocks, "work", "between", None, first, second)
    (slider,) = (value for key, value in shown.items() if key.startswith("ImageSlider"))
    assert [image.shape for image in slider] == [(32, 48, 3)] * 2
    assert "Code The same in a shell" not in shown


def test_choosing_shows_what_the_task_takes(page):
    _, blocks = page
    shown = called(blocks, "choose", "between")
    assert shown["Code The same in a shell"].startswith("python ifrnet/run.py --multi 2")
    assert (shown["Video Clip"].visible, shown["Row None"].visible) == (False, True)


def test_an_error_is_a_line_on_the_page_without_the_folder(page, tmp_path):
    module, blocks = page
    with pytest.raises(module.gr.Error, match="nothing to work on: expected a clip"):
        called(blocks, "work", "deblur", None, None, None)
    (tmp_path / "bad.mp4").write_bytes(b"no video" * 99)
    with pytest.raises(module.gr.Error, match=r"^'bad\.mp4 cannot be opened"):
        called(blocks, "work", "deblur", str(tmp_path / "bad.mp4"), None, None)


def test_a_port_that_is_taken_is_one_line(page):
    module, _ = page
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(cli.UsageError, match=f"^cannot serve at 127.0.0.1, port {port}: give another --port"):
            module.serve("127.0.0.1", port)
