"""Published checkpoints by name: which there are, and to fetch, verify and convert them.

python -m common.checkpoints list [--paper toflow]
python -m common.checkpoints fetch NAME ... | --all [--paper toflow] [--from DIR]
python -m common.checkpoints verify NAME ... | --all [--paper toflow]
python -m common.checkpoints convert NAME_OR_PATH --to OUTPUT [--layout mmagic] [--half]

A name is a file of a paper's checkpoints.json, or paper/file. A paper's `checkpoints.py` reads its files (`read`) and
names their tensors as published files do (`write`).
"""

import difflib
import importlib
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common import cli
from common.checkpoints import checkpoint_file, download, fetching
from common.checkpoints.box import boxed
from common.papers import PAPERS, ROOT

log = logging.getLogger(__name__)
FREE = ("MIT", "Apache-2.0", "BSD")  # licences begin so that allow all that a user of weights does


@dataclass(frozen=True)
class Entry:
    """One published file.

    Attributes:
        paper: folder whose checkpoints.json has it.
        place: folder that the paper looks into.
        name: what it is, in words.
        file: its name in that folder; no two entries share one.
        config: the preset that it belongs to, or "".
        urls: where it is, in the order to try.
        sha256: 64 hexadecimal digits, or the first of them, which its name carries; None: not published.
        bytes: its size; None: not published.
        licence: of the weights.
        source: whose they are: a page.
        archive: the addresses give a zip that holds it.
        page: where to get it by hand; "": at `source`.
        mode: name of the runs that take it unasked, where others are of the same preset; "": any.
        no_address: why there is no address, where there is none.
    """

    paper: str
    place: str
    name: str
    file: str
    config: str
    urls: list[str]
    sha256: str | None
    bytes: int | None
    licence: str
    source: str
    archive: bool = False
    page: str = ""
    mode: str = ""
    no_address: str = ""

    @property
    def restricted(self) -> bool:
        """Whether the licence forbids something, such as commercial use."""
        return not self.licence.startswith(FREE)

    @property
    def key(self) -> str:
        """Its full name."""
        return f"{self.paper}/{self.file}"

    def path(self, root: str | None) -> Path:
        """Where it lies; `root` stands for `place` if given."""
        return Path(root or self.place, self.file)

    def state(self, root: str | None) -> str:
        """Whether it is "here", "absent" or "damaged", the last with what is wrong."""
        path = self.path(root)
        if not path.is_file():
            return "absent"
        fault = download.fault_of(path, self.sha256, self.bytes)
        return f"damaged: {fault}" if fault else "here"


def entries(paper: str) -> list[Entry]:
    """What a paper's checkpoints.json lists."""
    listed = json.loads((ROOT / paper / "checkpoints.json").read_text())
    return [Entry(paper, listed["place"], **entry) for entry in listed["checkpoints"]]


def chosen(options) -> list[Entry]:
    """The entries that the command line names; without names, all of `--paper` or of every paper.

    Raises:
        UsageError: a name that no entry has, or that several have.
    """
    known = [entry for paper in PAPERS if options.paper in (None, paper) for entry in entries(paper)]
    return [_named(name, known) for name in options.names] or known


def _named(name: str, known: Sequence[Entry]) -> Entry:
    found = [entry for entry in known if name in (entry.file, entry.key)]
    if len(found) > 1:
        raise cli.UsageError(f"{name}: several have that name; give one of {', '.join(entry.key for entry in found)}")
    if not found:
        names = [entry.file for entry in known] + [entry.key for entry in known]
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "`list` tells the names"
        raise cli.UsageError(f"{name}: no published checkpoint has that name; {hint}")
    return found[0]


def show(options) -> int:
    """A line for every entry, and for what is in the box: name, whether it is here, size, licence, what it is."""
    for entry in chosen(options):
        path = entry.path(options.root)
        size = entry.bytes or (path.stat().st_size if path.is_file() else None)
        told = f"{size} bytes" if size else "size not published"
        state = entry.state(options.root).partition(":")[0]
        print(f"{entry.key}  {state}  {told}  {entry.licence}  {entry.name}")
    for paper in PAPERS if not options.names else ():
        for own in boxed(paper) if options.paper in (None, paper) else ():
            print(f"{paper}/weights/{own.file}  in the box  {own.path.stat().st_size} bytes  MIT  {own.score}")
    return 0


def fetch(options) -> int:
    """Download what is absent; 1 if something could not be got."""
    failed = False
    for entry in chosen(options):
        path, state = entry.path(options.root), entry.state(options.root)
        print(f"{entry.key}: {entry.name}; licence: {entry.licence}; from {entry.source}", flush=True)
        if state == "here":
            print(f"{path}: already here, {_checked(entry)}")
            continue
        try:
            if state != "absent":
                raise ValueError(f"{path} is another file ({state}); move it away, it is not replaced")
            folder = Path(options.folder) if options.folder else None
            how = {"folder": folder, "timeout": options.timeout, "retries": options.retries}
            try:
                fetching.get(entry, entries(entry.paper), options.root, **how)
            except ValueError as error:
                told = "not downloaded: " if entry.urls else ""
                raise ValueError(f"{told}{error}{_why(entry)}; {_by_hand(entry, options.root)}") from error
        except ValueError as error:
            failed = True
            print(f"error: {entry.key}: {error}", file=sys.stderr, flush=True)
            continue
        print(f"{path}: {path.stat().st_size} bytes, sha256 {download.sha256_of(path)}, {_checked(entry)}", flush=True)
    return 1 if failed else 0


def ensure(entry: Entry, *, offline: bool = False) -> Path:
    """The file of an entry in its place, where it is fetched to if it is absent, and only if its network takes it.

    Raises:
        ValueError: it is not here, and downloads are off, or it could not be got.
    """
    path = entry.path(None)
    if path.is_file():
        return path
    if offline or fetching.is_offline():
        raise ValueError(
            f"{path}: not here, and nothing is fetched (--offline, VIDEOREF_OFFLINE); {_by_hand(entry, None)}"
        )
    if entry.restricted:
        log.warning("%s: its licence restricts what you may do with it: %s; see %s", *_facts(entry))
    try:
        fetching.get(entry, entries(entry.paper), check=lambda part: _module(entry.paper).read(part, entry.config))
    except ValueError as error:
        raise ValueError(f"{entry.key}: not fetched: {error}{_why(entry)}; {_by_hand(entry, None)}") from error
    log.warning("%s: licence %s, from %s; %d bytes fetched", *_facts(entry), path.stat().st_size)
    return path


def _facts(entry: Entry) -> tuple[Path, str, str]:
    return entry.path(None), entry.licence, entry.source


def _why(entry: Entry) -> str:
    return f" ({entry.no_address})" if entry.no_address else ""


def _checked(entry: Entry) -> str:
    if entry.sha256 is None:
        return "none is published to compare it with"
    return "as published" if len(entry.sha256) == 64 else f"begins as published: {entry.sha256}"


def _by_hand(entry: Entry, root: str | None) -> str:
    page, where = entry.page or entry.source, f" --root {root}" if root else ""
    return (
        f"open {page}, put the file at {entry.path(root)}, then python -m common.checkpoints verify {entry.key}{where}"
    )


def verify(options) -> int:
    """Check the bytes, and that the weights fill their network; 1 if a file is absent or does not."""
    known = chosen(options)
    if not options.names:
        known = [entry for entry in known if entry.path(options.root).is_file()]
        if not known:
            print("none of the published checkpoints is here; `fetch` gets them")
    failed = False
    for entry in known:
        path, state = entry.path(options.root), entry.state(options.root)
        try:
            if state == "absent":
                raise ValueError(f"not here: fetch it, or {_by_hand(entry, options.root)}")
            if state != "here":
                raise ValueError(f"{path} is {state}; move it away and fetch it again")
            network = _module(entry.paper).read(path, entry.config)
        except ValueError as error:
            failed = True
            print(f"error: {entry.key}: {error}", file=sys.stderr, flush=True)
            continue
        count = sum(parameter.numel() for parameter in network.parameters())
        kind = type(network).__name__
        print(f"{path}: sha256 {download.sha256_of(path)}, {_checked(entry)}; {kind}, {count} parameters", flush=True)
    return 1 if failed else 0


def convert(options) -> int:
    """Write a checkpoint's weights as a plain state dict, under our names or those of a published layout."""
    if len(options.names) != 1:
        raise cli.UsageError("convert: expected one name or path")
    known = [entry for paper in PAPERS if options.paper in (None, paper) for entry in entries(paper)]
    source = Path(options.names[0])
    of_path = [entry for entry in known if entry.path(options.root) == source]
    if source.is_file() and (options.paper or of_path):
        path = source
        paper, config = (of_path[0].paper, of_path[0].config) if of_path else (options.paper, "")
    elif source.is_file():
        raise cli.UsageError(f"{source}: not in the place of a published file: add --paper, one of {', '.join(PAPERS)}")
    else:
        entry = _named(options.names[0], known)
        path, paper, config = entry.path(options.root), entry.paper, entry.config
        if not path.is_file():
            raise ValueError(f"{path}: not here: python -m common.checkpoints fetch {entry.key}")
    output = Path(options.to)
    if output.exists() and (not options.overwrite or output.samefile(path)):
        hint = "it is the input" if output.samefile(path) else "add --overwrite to replace it"
        raise ValueError(f"{output}: is there already; {hint}")
    module = _module(paper)
    network = module.read(path, options.config or config)
    state = network.state_dict() if options.layout == "ours" else module.write(network, options.layout)
    if options.half:
        state = {key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in state.items()}
    checkpoint_file.save(state, output)
    print(f"{output}: {type(network).__name__}, layout {options.layout}, {len(state)} tensors")
    return 0


def _module(paper: str):
    return importlib.import_module(f"{paper}.checkpoints")


ACTIONS = {"list": show, "fetch": fetch, "verify": verify, "convert": convert}


def build_parser(action: str) -> cli.Parser:
    """The flags of one of `ACTIONS`."""
    parser = cli.Parser(prog=f"python -m common.checkpoints {action}", description=ACTIONS[action].__doc__)
    add = parser.add_argument
    add("names", nargs="*", help="file, or paper/file" + ("; or the path of one" if action == "convert" else ""))
    add("--paper", choices=PAPERS, help="whose network it is" if action == "convert" else "only this paper's")
    add("--root", help="folder of the files; where not given, the place in which the papers look: ckpt/")
    if action in ("fetch", "verify"):
        what = "everything that is listed" if action == "fetch" else "everything that is here, as without names"
        add("--all", action="store_true", help=what)
    if action == "fetch":
        add("--timeout", type=float, default=30.0, help="seconds without a byte after which a connection is given up")
        add("--retries", type=int, default=3, help="how often an address is tried again, from where it stopped")
        add(
            "--from",
            dest="folder",
            metavar="DIR",
            help="take the files, or zips of them, from there; nothing is downloaded",
        )
    if action == "convert":
        add("--to", required=True, help="file to write")
        add("--layout", default="ours", help="whose names the tensors get; a wrong one is answered with the right ones")
        add("--config", help="preset of the network, where the file does not tell it")
        add("--overwrite", action="store_true", help="replace a file that is there")
        add("--half", action="store_true", help="store in half precision")
    add("--debug", action="store_true", help="show the traceback of an error")
    return parser


def main(argv: list[str]) -> int:
    """Do what the first word says."""
    if argv[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if not argv or argv[0] not in ACTIONS:
        found = f", found {argv[0]}" if argv else ""
        raise cli.UsageError(f"expected one of {', '.join(ACTIONS)} first{found}")
    options = build_parser(argv[0]).parse_args(argv[1:])
    if argv[0] in ("fetch", "verify") and bool(options.names) == options.all:
        if options.names or argv[0] == "fetch":
            raise cli.UsageError(f"{argv[0]}: expected names (`list` tells them) or --all, not both")
    if argv[0] == "fetch":
        if options.timeout <= 0 or options.retries < 0:
            raise cli.UsageError("--timeout, --retries: expected more than 0 seconds, and 0 or more times")
    return ACTIONS[argv[0]](options)
