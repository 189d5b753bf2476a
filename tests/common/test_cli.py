"""The command line of all papers: strict flags, values of a preset's fields, errors in one line."""

import argparse
import dataclasses
import json

import pytest

from common import cli
from common.cli import UsageError


@dataclasses.dataclass(frozen=True)
class Config:
    config: str = "preset"
    mode: str = "run"
    steps: int = 100
    rate: float = 1e-4
    flip: bool = True
    periods: tuple[int, ...] = (1, 2)
    weights: tuple[float, ...] = ()


@pytest.fixture
def parser():
    made = cli.Parser()
    cli.add_common_arguments(made)
    cli.add_run_arguments(made, "LOG_ROOT/PROJECT")
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


def test_a_flag_that_is_not_given_overrides_nothing(parser):
    options = parser.parse_args([])
    assert not any(hasattr(options, name) for name in ("amp", "compile", "manual_seed", "batch_size", "thread_num"))
    assert (options.data_root, options.set, options.overwrite) == ("./datasets", [], False)
    assert parser.parse_args(["--seed", "0"]).manual_seed == 0
    assert parser.parse_args(["--local-rank=3"]).local_rank == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("--tile 0", "--tile 0: expected a side in pixels"),
        ("-r last", "-r last: expected an epoch number or auto"),
        ("-r -3", "-r -3: expected an epoch number or auto"),
        ("--is_train --ckpt_name x", "--ckpt_name goes with testing; -r resumes a training"),
        ("--is_train --ckpt_epoch 0", "--ckpt_epoch goes with testing"),
        ("--is_train --ckpt_sc", "--ckpt_sc goes with testing"),
    ],
)
def test_values_that_no_paper_takes(parser, given, message):
    with pytest.raises(UsageError, match=f"^{message}"):
        cli.check_run_options(parser.parse_args(given.replace("-r -", "-r=-").split()))


@pytest.mark.parametrize("given", ["", "--tile 64", "-r auto", "-r 12", "--ckpt_epoch 0", "--is_train -r 0"])
def test_values_that_every_paper_takes(parser, given):
    cli.check_run_options(parser.parse_args(given.split()))


@pytest.mark.parametrize("mode", ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "a\tb"])
def test_names_that_cannot_be_a_folder_in_a_list(mode):
    with pytest.raises(UsageError, match="expected a name without blanks and slashes, no dot first"):
        cli.check_run_name(mode)


@pytest.mark.parametrize("mode", ["run", "PVDNet_DVD", "run_2.5-a", "été"])
def test_names_that_runs_may_have(mode):
    cli.check_run_name(mode)


# Settings


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("steps=7", 7), ("rate=3", 3.0), ("mode=a=b", "a=b"), ("flip=False", False), ("flip=0", False),
        ("flip=1", True), ("periods=(3,4,5)", (3, 4, 5)), ("periods=[6]", (6,)), ("periods=", ()),
        ("weights=1,2", (1, 2)), ("weights=0.5,1", (0.5, 1.0)), ("weights=1e3", (1000.0,)),
    ],
)  # fmt: skip
def test_a_field_is_read_as_its_type(given, value):
    name = given.partition("=")[0]
    found = getattr(cli.override(Config(), [given]), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("steps", "--set steps: expected FIELD=VALUE"),
        ("step=7", r"--set step=7: expected FIELD=VALUE; did you mean steps\?"),
        ("steps=many", "--set steps=many: expected a value like 100"),
        ("steps=1.5", "--set steps=1.5: expected a value like 100"),
        ("flip=maybe", "--set flip=maybe: expected a value like True"),
        ("periods=1,x", r"--set periods=1,x: expected a value like \(1, 2\)"),
    ],
)
def test_fields_and_values_that_do_not_fit(given, message):
    with pytest.raises(UsageError, match=message):
        cli.override(Config(), [given])


def test_set_wins_over_a_flag_and_a_flag_over_the_preset():
    given = argparse.Namespace(steps=5, rate=0.1, set=["steps=6", "steps=7"])
    assert cli.settle(Config(), given) == Config(steps=7, rate=0.1)


def test_values_are_checked_by_name():
    cli.check_values(Config(), {"mode": ("run", "walk")}, {"steps": 100})
    with pytest.raises(UsageError, match=r"^mode run: expected one of walk, swim$"):
        cli.check_values(Config(), {"mode": ("walk", "swim")}, {})
    with pytest.raises(UsageError, match=r"^steps 100: expected 101 or more$"):
        cli.check_values(Config(), {}, {"steps": 101})


def test_a_saved_config_is_read_again(tmp_path):
    config, path = Config(steps=3, weights=(0.5,)), tmp_path / "config.txt"
    path.write_text(json.dumps(dataclasses.asdict(config)))
    assert cli.read_config(Config, path) == config
    for text in (b"", b"[]", b"null", b'{"unknown": 1}', b"\xff"):
        path.write_bytes(text)
        with pytest.raises(ValueError, match=r"config\.txt: not a saved config of this version .*; name a preset with"):
            cli.read_config(Config, path)


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


def test_a_bug_shows_itself():
    with pytest.raises(KeyError):
        cli.run(raising(KeyError("x")), [])


def test_codes_of_success_and_interruption(capsys):
    assert cli.run(lambda argv: None, []) == 0
    assert cli.run(lambda argv: len(argv), ["a", "b", "c"]) == 3
    assert cli.run(raising(KeyboardInterrupt()), []) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_of_several_processes_the_first_tells_but_all_tell_of_a_disk(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    for error, told in ((ValueError("x"), ""), (OSError("full"), "error: full\n")):
        assert cli.run(raising(error), []) == 1
        assert capsys.readouterr().err == told
