"""The report's style: it is whole, loads nothing, and styles what the page has."""

import re
from pathlib import Path

from common.tables import report_figures, report_page
from common.tables.report_style import CSS, SCRIPT


def test_blocks_are_closed_and_nothing_is_loaded():
    for text, pairs in ((CSS, ("{}", "()")), (SCRIPT, ("{}", "()", "[]"))):
        for opened, closed in pairs:
            assert text.count(opened) == text.count(closed)
        assert not re.search(r"url\(|@import|https?:|fetch\(|</", text)


def test_every_class_that_is_styled_is_one_of_the_page():
    code = "".join(Path(module.__file__).read_text() for module in (report_page, report_figures))
    styled = set(re.findall(r"\.([a-z][\w-]*)", re.sub(r"\{[^}]*\}|/\*.*?\*/", "", CSS)))
    assert len(styled) > 10
    assert [name for name in sorted(styled) if not re.search(rf"\b{name}\b", code)] == []
