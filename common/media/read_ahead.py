"""What is done before it is asked for, in threads, in its order."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice, repeat

from common.media.containers import QUEUE


def ahead(iterator):
    """The items of a generator, a few of them prepared in a thread."""
    try:
        yield from in_order(repeat(partial(next, iterator, None)), 1)
    finally:
        iterator.close()


def in_order(jobs: Iterator[Callable], threads: int):
    """What calls give, a few of them done before they are asked for; it ends where they end, or one gives None."""
    workers = ThreadPoolExecutor(threads)
    try:
        begun = deque(workers.submit(job) for job in islice(jobs, QUEUE + threads - 1))
        while begun and (item := begun.popleft().result()) is not None:
            begun.extend(workers.submit(job) for job in islice(jobs, 1))
            yield item
    finally:
        workers.shutdown(cancel_futures=True)
