"""The command line of all papers: strict flags, values that no paper takes, errors in one line."""

import io
import sys
from fractions import Fraction

import pytest
import torch

from common import cli
from common.cli import OneProcessError, UsageError


@pytest.fixture
def parser():
    made = cli.Parser()
    cli.add_common_arguments(made)
    cli.add_run_arguments(made, "LOG_ROOT/PROJECT")
    made.add_argument("--baseline", action="store_true")
    made.add_argument("--export", choices=["onnx"])
    made.add_argument("--export_size")
    return made


# Flags


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("--overwrit", "unknown argument --overwrit; did you mean --overwrite?"),  # no abbreviations
        ("--data-root=x", "unknown argument --data-root=x; did you mean --data_root?"),
        ("--zzz", "unknown argument --zzz; see --help"),
        ("stray.mp4", "unknown argument stray.mp4; see --help"),
        ("--amp int8", "argument --amp: invalid choice: 'int8'"),
        ("-b two", "argument -b/--batch_size: invalid int value: 'two'"),
    ],
)
def test_flags_are_strict(parser, given, message):
    with pytest.raises(UsageError) as caught:
        parser.parse_args(given.split())
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("fps", ["1/0", "fast", "nan", "1/2/3", ""])
def test_a_frame_rate_that_is_none(parser, fps):
    with pytest.raises(UsageError, match=f"--fps: '{fps}': expected a number, such as 60 or 60000/1001"):
        parser.parse_args(["--input", "x", "--fps", fps])


def test_rates_that_are_rounded_by_habit(parser):
    for text, rate in (
        ("29.97", Fraction(30000, 1001)),
        ("23.976", Fraction(24000, 1001)),
        ("29.9", Fraction(299, 10)),
    ):
        assert parser.parse_args(["--input", "x", "--fps", text]).fps == rate


def test_a_part_of_several_inputs(parser):
    assert parser.parse_args(["--input", "x", "--shard", "3/8"]).shard == (3, 8)
    for text in ("0/8", "9/8", "3", "a/b", "1/0"):
        with pytest.raises(UsageError, match=f"--shard: '{text}': expected the number of a part, as 3/8"):
            parser.parse_args(["--input", "x", "--shard", text])


def test_times_of_a_part(parser):
    for text, seconds in (("90", 90), ("1:30.25", Fraction(361, 4)), ("1:00:01", 3601), ("0.04", Fraction(1, 25))):
        assert parser.parse_args(["--input", "x", "--start", text]).start == seconds
    for text in ("soon", "1:", "1:2:3:4", "-1", "1e3"):
        with pytest.raises(UsageError, match=f"--end: '{text}': expected seconds, such as 90 or 1:30.5 or 0:01:30"):
            parser.parse_args(["--input", "x", f"--end={text}"])


def test_a_flag_that_is_not_given_overrides_nothing(parser):
    options = parser.parse_args([])
    assert not any(hasattr(options, name) for name in ("amp", "compile", "manual_seed", "batch_size", "thread_num"))
    assert (options.data_root, options.set, options.overwrite) == ("./datasets", [], False)
    assert parser.parse_args(["--seed", "0"]).manual_seed == 0
    assert parser.parse_args(["--local-rank=3"]).local_rank == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("--is_train --input x", "--is_train and --input do not go together"),
        ("--input x --export onnx", "--input and --export do not go together"),
        ("--baseline --is_train", "--baseline has no network: it goes with testing and with --input"),
        ("--export_size 64x64", "--export_size goes with --export"),
        ("--export onnx --export_size 64", "--export_size 64: expected WxH, such as 448x256"),
        ("--fps 60", "--fps goes with --input"),
        ("--input x --fps 0", "--fps 0: expected a positive number"),
        ("--tile 0", "--tile 0: expected a side in pixels"),
        ("-r last", "-r last: expected an epoch number or auto"),
        ("--input x --resume", "--resume with --input goes on with an --output: expected one"),
        ("-r -3", "-r -3: expected an epoch number or auto"),
        ("--is_train --ckpt_name x", "--ckpt_name goes with testing; -r resumes a training"),
        ("--is_train --ckpt_epoch 0", "--ckpt_epoch goes with testing"),
        ("--is_train --ckpt_sc", "--ckpt_sc goes with testing"),
    ],
)
def test_values_that_no_paper_takes(parser, given, message):
    with pytest.raises(UsageError, match=f"^{message}"):
        cli.check_run_options(parser.parse_args(given.replace("-r -", "-r=-").split()))


@pytest.mark.parametrize(
    "given",
    [
        "", "--tile 64", "-r auto", "-r 12", "--ckpt_epoch 0", "--is_train -r 0", "--baseline --input x",
        "--input x --fps 24000/1001", "--export onnx --export_size 96x64",
    ],
)  # fmt: skip
def test_values_that_every_paper_takes(parser, given):
    cli.check_run_options(parser.parse_args(given.split()))


# Errors


def raising(error):
    def main(argv):
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("two\n lines"), 2), (ValueError("two\n lines"), 1), (OSError("two lines"), 1),
        (ZeroDivisionError("two lines"), 1),
    ],
)  # fmt: skip
def test_an_expected_error_is_one_line_and_a_code(capsys, error, code):
    assert cli.run(raising(error), []) == code
    assert capsys.readouterr() == ("", "error: two lines\n")
    assert cli.run(raising(error), ["--debug"]) == code
    told = capsys.readouterr().err
    assert told.startswith("Traceback")
    assert told.endswith("error: two lines\n")


def test_a_name_that_the_terminal_cannot_show_ends_no_run(monkeypatch):
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="cp1252"))
    assert cli.run(lambda argv: print("-> 出力.mp4"), []) == 0
    sys.stdout.flush()
    assert shown.getvalue().startswith(rb"-> \u51fa\u529b.mp4")


def test_a_bug_shows_itself():
    with pytest.raises(KeyError):
        cli.run(raising(KeyError("x")), [])


def test_codes_of_success_and_interruption(capsys):
    assert cli.run(lambda argv: None, []) == 0
    assert cli.run(lambda argv: len(argv), ["a", "b", "c"]) == 3
    assert cli.run(raising(KeyboardInterrupt()), []) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_of_a_machines_processes_the_first_tells_but_all_tell_of_what_is_theirs(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "4")
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert cli.run(raising(ValueError("x")), []) == 1
    assert capsys.readouterr().err == "error: x\n"
    monkeypatch.setenv("LOCAL_RANK", "1")
    alone = OneProcessError("process 1: x")
    for error, told in ((ValueError("x"), ""), (OSError("full"), "error: full\n"), (alone, "error: process 1: x\n")):
        assert cli.run(raising(error), []) == 1
        assert capsys.readouterr().err == told


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory.\nTried"),
        RuntimeError("[enforce fail] can't allocate memory: 9 bytes"),
    ],
)
def test_too_little_memory_says_what_to_try(capsys, error):
    assert cli.run(raising(error), []) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: out of memory (")
    assert told.endswith(f"): {cli.REMEDY}\n")
    with pytest.raises(type(error)):
        cli.run(raising(error), ["--debug"])


def test_other_errors_of_pytorch_are_bugs():
    with pytest.raises(RuntimeError, match="shapes"):
        cli.run(raising(RuntimeError("shapes differ")), [])


# From Python


def test_flags_of_a_call(parser):
    options = cli.flags(lambda: parser, input="a.mp4", overwrite=True)
    assert (options.quiet, options.input, options.overwrite) == (True, "a.mp4", True)
    rest = {key: value for key, value in vars(options).items() if key not in ("quiet", "input", "overwrite")}
    assert rest.items() <= vars(parser.parse_args([])).items()
    with pytest.raises(ValueError, match="--tile -1: expected a side in pixels"):
        cli.flags(lambda: parser, input="a.mp4", tile=-1)
