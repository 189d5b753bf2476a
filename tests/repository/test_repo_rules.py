"""Rules of the repository that no other tool checks."""

import ast
import dataclasses
import importlib
import re
from pathlib import Path

import pytest

from common.papers import PAPERS, ROOT

FOLDERS = ("common", "datasets", "tests", *PAPERS)
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
CODE = [path for path in FILES if path.relative_to(ROOT).parts[0] != "tests"]
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
GUARD = "if not __package__:"


def place(path, node):
    return f"{path.relative_to(ROOT)}:{node.lineno}"


def imported(tree):
    """Names of the modules that a file imports, with the nodes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or ""), node


def calls(tree, *names):
    """Calls of functions or methods by their last name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in names:
                yield name, node, {keyword.arg: keyword.value for keyword in node.keywords}


def imports_of_papers(path, tree):
    top = path.relative_to(ROOT).parts[0]
    for name, node in imported(tree):
        module = name.split(".")[0]
        if module in PAPERS and module != top and (top in PAPERS or top == "common"):
            yield place(path, node)
        if name.startswith("."):
            yield place(path, node)


def changes_of_sys_path(path, tree):
    """`sys.path` anywhere but in the one guarded line of a script."""
    allowed = path.name == "run.py" or path.parent.name == "datasets"
    guarded = [
        inner
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node).startswith(GUARD) and len(node.body) == 1 and allowed
        for inner in ast.walk(node)
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.path" and node not in guarded:
            yield place(path, node)


def unsafe_loads(path, tree):
    for _, node, options in calls(tree, "load"):
        if ast.unparse(node.func) == "torch.load" and ast.unparse(options.get("weights_only", node)) != "True":
            yield place(path, node)


def silent_corners(path, tree):
    """Interpolation whose corners are left to a default that has changed once already."""
    for name, node, options in calls(tree, "grid_sample", "interpolate"):
        mode = ast.unparse(options["mode"]) if "mode" in options else ""
        needs = name == "grid_sample" or "linear" in mode or "cubic" in mode
        if needs and "align_corners" not in options:
            yield place(path, node)


def loose_code(path, tree):
    """Bare except, wildcard imports, parsing that lets unknown flags pass, loading that lets missing tensors pass."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield place(path, node)
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            yield place(path, node)
    for name, node, options in calls(tree, "parse_known_args", "load_state_dict"):
        known = name == "parse_known_args" and path != ROOT / "common/cli.py"
        strict = options.get("strict") or (node.args[1] if len(node.args) > 1 else None)
        if known or (name == "load_state_dict" and strict is not None and ast.unparse(strict) != "True"):
            yield place(path, node)


def absolute_paths(path, tree):
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.search(r"(^|[\s'\"=(])(/(home|root|tmp|work|Users|mnt)/|[A-Z]:\\)", node.value)
        ):
            yield place(path, node)


@pytest.mark.parametrize(
    ("rule", "files"),
    [
        (imports_of_papers, CODE),
        (changes_of_sys_path, CODE),
        (unsafe_loads, CODE),
        (silent_corners, FILES),
        (loose_code, CODE),
        (absolute_paths, CODE),
    ],
)
def test_rule(rule, files):
    assert len(files) > 20
    assert [fault for path in files for fault in rule(path, TREES[path])] == []


BROKEN = [
    (imports_of_papers, "common/x.py", "from pvdnet.sets import Video"),
    (imports_of_papers, "tdan/x.py", "import pvdnet.sets"),
    (imports_of_papers, "tdan/x.py", "from .model import Network"),
    (changes_of_sys_path, "pvdnet/x.py", "import sys\nif not __package__:\n    sys.path[0] = 'x'"),
    (changes_of_sys_path, "pvdnet/run.py", "import sys\nsys.path.insert(0, 'x')"),
    (unsafe_loads, "common/x.py", "torch.load(path)"),
    (unsafe_loads, "common/x.py", "torch.load(path, weights_only=False)"),
    (silent_corners, "common/x.py", "F.grid_sample(x, grid)"),
    (silent_corners, "common/x.py", "F.interpolate(x, size, mode='bilinear')"),
    (silent_corners, "common/x.py", "interpolate(x, scale_factor=2, mode='bicubic')"),
    (loose_code, "common/x.py", "try:\n    pass\nexcept:\n    pass"),
    (loose_code, "common/x.py", "from common.image import *"),
    (loose_code, "common/x.py", "parser.parse_known_args()"),
    (loose_code, "common/x.py", "model.load_state_dict(state, strict=False)"),
    (loose_code, "common/x.py", "model.load_state_dict(state, False)"),
    (absolute_paths, "common/x.py", "path = '/home/me/data'"),
    (absolute_paths, "common/x.py", "path = f'--out /tmp/{name}'"),
]


@pytest.mark.parametrize(("rule", "path", "code"), BROKEN)
def test_rule_finds_what_it_is_for(rule, path, code):
    assert list(rule(ROOT / path, ast.parse(code)))


def test_files_are_short():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in CODE}
    limit = {path: 60 if path.name == "run.py" else 350 for path in CODE}
    assert [f"{path.relative_to(ROOT)}: {n} lines" for path, n in lengths.items() if n > limit[path]] == []


def test_scripts_have_the_guarded_line():
    scripts = [path for path in CODE if path.name == "run.py" or path.parent.name == "datasets"]
    assert len(scripts) > 3
    for path in scripts:
        assert path.read_text(encoding="utf-8").count(f"\n{GUARD}\n    sys.path[0] = ") == 1, path


@pytest.mark.parametrize("paper", PAPERS)
def test_every_setting_is_read(paper):
    config = importlib.import_module(f"{paper}.config")
    read = set()
    for path in CODE:
        own = path.is_relative_to(ROOT / paper) and path.name != "config.py" and path.parent.name != "configs"
        if own or any(path.is_relative_to(ROOT / "common" / room) for room in ("checkpoints", "scoring", "training")):
            read |= {node.attr for node in ast.walk(TREES[path]) if isinstance(node, ast.Attribute)}
    told = {"config"}  # kept in the run folder to tell where the settings came from
    assert [field.name for field in dataclasses.fields(config.Config) if field.name not in read | told] == []


TOLD_ELSEWHERE = {  # a paper's modules of these names: which file of its tests is about them
    "config.py": "test_cli.py", "run.py": "test_cli.py",
    "tables.py": "facts.py", "bench.py": "facts.py",  # tests/common/{tables,bench} run them for every paper
}  # fmt: skip


def lacks_tests(path, tree):
    """A module or script that does something, and whose tests are not at its path under tests/."""
    does_something = any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in tree.body)
    folder = Path("tests", *path.relative_to(ROOT).parts[:-1])
    places = [folder / f"test_{path.name}"]
    if path.parent.name in PAPERS and path.name in TOLD_ELSEWHERE:
        places.append(folder / TOLD_ELSEWHERE[path.name])
    if path.parent.name == "archs":  # files of a class each, tested together
        places.append(folder.parent / "test_archs.py")
    if does_something and not path.stem.startswith("__") and not any((ROOT / place).is_file() for place in places):
        yield f"{path.relative_to(ROOT)} has no tests of its own: {places[0]} is missing"


def names_no_module(path, tree):
    """A file of tests whose name begins with that of no module; a long one goes on in test_<module>_<what>.py."""
    place, words = ROOT.joinpath(*path.relative_to(ROOT).parts[1:-1]), path.stem.split("_")
    names = ["_".join(words[1:end]) for end in range(2, len(words) + 1)]
    if words[0] == "test" and not any((place / f"{name}.py").is_file() for name in names):
        yield f"{path.relative_to(ROOT)}: no module of {place.relative_to(ROOT)}/ has this name"


def badly_written(path, tree):
    """A file of tests, or of helpers for them, that is too long or does not say what it is about."""
    count = len(path.read_text(encoding="utf-8").splitlines())
    if count > 400:
        yield f"{path.relative_to(ROOT)}: {count} lines, expected 400 or less"
    if path.name != "conftest.py" and not ast.get_docstring(tree):
        yield f"{path.relative_to(ROOT)}: expected a first line that says what is tested"


def of(*folders):
    return [path for path in FILES if any(path.is_relative_to(ROOT / folder) for folder in folders)]


@pytest.mark.parametrize(
    ("rule", "files"),
    [
        (lacks_tests, of("common", "datasets", *PAPERS)),
        (names_no_module, of("tests/common", "tests/datasets")),
        (badly_written, of("tests")),
    ],
)
def test_tests_mirror_the_modules(rule, files):
    assert len(files) > 15
    faults = [fault for path in files for fault in rule(path, TREES[path])]
    assert not faults, "\n".join(faults)


def test_rules_about_tests_find_what_they_are_for():
    work, constants = ast.parse("def work():\n    pass"), ast.parse("CSS = 'body {}'")
    (fault,) = lacks_tests(ROOT / "common/media/new.py", work)
    assert fault == "common/media/new.py has no tests of its own: tests/common/media/test_new.py is missing"
    for path, tree in (("common/media/new.py", constants), ("common/media/__init__.py", work), ("common/cli.py", work)):
        assert list(lacks_tests(ROOT / path, tree)) == []
    assert list(names_no_module(ROOT / "tests/common/media/test_new.py", work))
    for name in ("media/test_image.py", "media/test_image_of_a_kind.py", "media/conftest.py"):
        assert list(names_no_module(ROOT / "tests/common" / name, work)) == []
    assert len(list(badly_written(Path(__file__), work))) == 1  # of no docstring


def test_modules_that_may_run_at_once_use_different_ports():
    owner = {}
    for path in (path for path in FILES if path.is_relative_to(ROOT / "tests")):
        for port in set(re.findall(r"\b29\d{3}\b", path.read_text(encoding="utf-8"))):
            assert owner.setdefault(port, path) == path, f"{port}: in {owner[port].name} and {path.name}"
    assert len(owner) > 5
