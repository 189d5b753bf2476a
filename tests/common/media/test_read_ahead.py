"""Things made ahead: in their order, few at once, and no longer than somebody asks for them."""

import threading
from functools import partial

import pytest

from common.media.containers import QUEUE
from common.media.read_ahead import ahead, in_order


def test_the_items_of_a_generator_come_in_order():
    assert list(ahead(number for number in range(20))) == list(range(20))


def test_no_more_than_a_few_are_made_before_they_are_asked_for():
    made, ended = [], threading.Event()

    def numbers():
        try:
            for number in range(99):
                made.append(number)
                yield number
        finally:
            ended.set()

    items = ahead(numbers())
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    items.close()
    assert ended.is_set()
    assert len(made) <= 3 + QUEUE


def test_calls_run_side_by_side_and_an_error_comes_in_its_place():
    together = threading.Barrier(3)

    def call(number):
        if number < 3:
            together.wait(timeout=20)  # fails unless three are here at once
        if number == 4:
            raise ValueError("the fourth")
        return number

    items = in_order((partial(call, number) for number in range(9)), 3)
    assert [next(items) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="the fourth"):
        next(items)
