"""A conversion that is killed again and again and gone on with, until it is whole, by real processes."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = """if True:
    import argparse, os, random, signal, sys, time
    import torch
    from common import cli
    from common.media.segments import folder_of
    {prelude}
    source, output, kills, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(1)
    options = argparse.ArgumentParser()
    cli.add_video_arguments(options)
    options = options.parse_args(["--input", source, "--output", output])
    options.input, options.resume, chance = source, None, random.Random(seed)
    if os.path.splitext(output)[1]:
        options.crf = 0  # without loss: else x264 does not always make the same of the same frames
    {extra}
    def made_one():
        os.write(tell, b".")
    for attempt in range(60):
        told, tell = os.pipe()
        child = os.fork()
        if child == 0:
            make(options)
            os._exit(0)
        os.close(tell)
        if attempt < kills:
            count = chance.randrange(5, 120)
            while count and (made := os.read(told, count)):
                count -= len(made)
            time.sleep(chance.uniform(0, 0.1))
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        os.close(told)
        if status == 0 or (os.path.exists(output) and not folder_of(output).exists()):
            break  # or killed after the last thing that it had to do
        if status != signal.SIGKILL:
            sys.exit("it failed")
        options.resume = "auto"
    print(attempt + (status != 0))
"""


def convert(prelude: str, source, output, *, kills: int = 0, seed: int = 0, extra: str = "") -> int:
    """Make `output` of `source`; returns how often it was killed.

    Args:
        prelude: Python, one line or with four spaces before each: defines `make(options)`, which calls `made_one()` for
            every frame that it computes.
        source: --input.
        output: --output.
        kills: how many processes are killed at most, each a moment after it has computed 5 to 119 frames.
        seed: of these.
        extra: Python, after `options` are made.
    """
    code = CODE.format(prelude=prelude, extra=extra)
    done = subprocess.run(
        [sys.executable, "-c", code, str(source), str(output), str(kills), str(seed)],
        cwd=ROOT, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])
