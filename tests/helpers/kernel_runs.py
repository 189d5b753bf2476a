"""The tests with the kernels of older processors, with this one's own, and with more threads: `make test-kernels`.

python tests/helpers/kernel_runs.py -q        flags are pytest's

Each run is that of `make test`; at the end stands which of them failed, and the exit code is 1 if any did.
"""

import os
import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, str(Path(__file__).with_name("shared_run.py"))]
RUNS = {  # what each sets: PyTorch's kernels, oneDNN's, and the threads of tests/conftest.py
    "SSE4.1": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "this processor's": {},
    "this processor's, 2 threads": {"TEST_THREADS": "2"},
    "this processor's, 4 threads": {"TEST_THREADS": "4"},
}
CHOICES = {name for settings in RUNS.values() for name in settings}


def main(argv: list[str]) -> int:
    """Run all of them, one after the other."""
    given = {name: value for name, value in os.environ.items() if name not in CHOICES}
    codes = {}
    for name, settings in RUNS.items():
        print(f"\n==== kernels: {name}", *(f"{key}={value}" for key, value in settings.items()), flush=True)
        process = subprocess.Popen([*COMMAND, *argv], env=given | settings)
        try:
            codes[name] = process.wait()
        except KeyboardInterrupt:
            process.wait()  # the terminal told it, too, and it ends its own processes
            raise
    print()
    for name, code in codes.items():
        print(f"==== kernels: {name}: {f'failed, exit code {code}' if code else 'all passed'}", flush=True)
    return int(any(codes.values()))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("interrupted")
