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


EVERY = """if True:
    import argparse, filecmp, os, shutil, signal, sys
    import numpy as np
    from common import cli
    from common.media import own_video, segments, video_writer
    source, folder, before = sys.argv[1], sys.argv[2], int(sys.argv[3])
    segments.SEGMENT = video_writer.SEGMENT = 10
    options = argparse.ArgumentParser()
    cli.add_video_arguments(options)
    output = os.path.join(folder, "out.mp4")
    options = options.parse_args(["--output", output])
    options.input = [source]
    def convert(stop):
        def process(options):
            reader = own_video.open_input(options)
            job = segments.Job(options, reader)
            def results():
                for number, (image, time) in enumerate(reader.timed(), 1):
                    yield (np.minimum(image, 252) + 3 if number > job.done else None), time
                    if number == stop:
                        raise KeyboardInterrupt
            own_video.write_output(results(), reader, options, job)
        return own_video.each_input(process, options)
    def forked(stop=0, killed_at=None):
        child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        count = 0
        def count_changes(event, told):
            nonlocal count
            writes = event == "open" and told[2] & (os.O_WRONLY | os.O_RDWR)
            if writes or event in ("os.mkdir", "os.remove", "os.rename", "os.rmdir"):
                if count == killed_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                count += 1
        sys.addaudithook(count_changes)
        try:
            os._exit(convert(stop))
        except KeyboardInterrupt:
            os._exit(0)
        finally:
            os._exit(1)
    options.resume = None
    assert forked() == 0
    whole = shutil.move(output, source + ".whole.mp4")
    assert forked(before) == 0
    shutil.move(folder, begun := source + ".begun")
    options.resume = "auto"
    for point in range(1000):
        shutil.copytree(begun, folder)
        code = forked(killed_at=point)
        assert forked() == 0, f"point {point}: it does not go on"
        assert filecmp.cmp(output, whole, shallow=False), f"point {point}: another result"
        assert os.listdir(folder) == ["out.mp4"], f"point {point}: {os.listdir(folder)}"
        shutil.rmtree(folder)
        if code == 0:
            break
        assert code == -signal.SIGKILL
    print(point)
"""


def at_every_change(source, folder, before: int) -> int:
    """Kill a conversion that goes on, before each change of the disk that it makes, and go on with what is left.

    Args:
        source: --input, a video of some segments of 10 frames.
        folder: empty, where the output is made.
        before: frames after which Ctrl-C has stopped it first.

    Returns:
        How many changes there were. Each result was, byte for byte, that of an undisturbed run, alone in its folder.
    """
    done = subprocess.run(
        [sys.executable, "-c", EVERY, str(source), str(folder), str(before)],
        cwd=ROOT, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])
