"""How the process keeps its memory."""

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # names of mallopt(3)


def keep_freed_memory() -> None:
    """Let the C library reuse what tensors have freed, instead of returning it to the system and asking again.

    On a CPU PyTorch takes every large result fresh from the C library. By default glibc gives freed memory back at
    once, so that each page has to be cleared by the system at its next use: a tenth of the time of a convolutional
    network. The price is that a process keeps the most it ever used. Without effect on other C libraries.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt.argtypes = [ctypes.c_int, ctypes.c_int]
        mallopt(TRIM_THRESHOLD, 2**31 - 1)
        mallopt(MMAP_THRESHOLD, 2**30) or mallopt(MMAP_THRESHOLD, 2**25)  # older ones refuse the first; it returns 0
