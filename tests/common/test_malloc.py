"""Memory that was freed stays with a process that imports anything of common."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SIZE = 200 * 2**20  # bytes
RESIDENT = f"""
import ctypes, sys
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
if sys.argv[1] == "keep":
    import common  # calls keep_freed_memory
place = libc.malloc({SIZE})
ctypes.memset(place, 1, {SIZE})
libc.free(place)
print(int(open("/proc/self/statm").read().split()[1]) * 4096)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone can be told so")
def test_freed_memory_is_kept_and_else_given_back():
    resident = {
        how: int(subprocess.check_output([sys.executable, "-c", RESIDENT, how], cwd=ROOT)) for how in ("keep", "give")
    }
    assert resident["give"] < SIZE / 2 < SIZE < resident["keep"]
