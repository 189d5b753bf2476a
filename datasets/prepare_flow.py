"""Sets with known optical flow: what to download, where it goes, a check of every file. Nothing needs converting.

python datasets/prepare_flow.py --set sintel             what to download
python datasets/prepare_flow.py --set sintel --check     read every frame and every flow
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import cli
from common.sets import file_lists
from common.sets.file_lists import FileSet, Item, Listing

SINTEL = """MPI Sintel (Butler et al., ECCV 2012): rendered frames in two passes and their flow, 1024x436.

1. Download MPI-Sintel-complete.zip, 5.3 GB, from http://sintel.is.tue.mpg.de and unpack it in {root}/MPI-Sintel.
   See the page for the terms of use. The flow of its folder test/ was never published.
2. Read every file, once:
     {script} --root {root} --check

{root}/MPI-Sintel/training              23 scenes, 1,064 frames, 1,041 pairs
├── clean/<scene>/frame_0001.png        without motion blur, defocus and fog
├── final/<scene>/frame_0001.png        with them
└── flow/<scene>/frame_0001.flo         to the next frame; none for the last"""

CHAIRS = """FlyingChairs (Dosovitskiy et al., ICCV 2015): chairs rendered on photographs, 512x384.

1. Download the data and FlyingChairs_train_val.txt from
     https://lmb.informatik.uni-freiburg.de/resources/datasets/FlyingChairs.en.html
   (63 GB unpacked) and put the list into the folder FlyingChairs, as chairs_split.txt. See the page for the terms of
   use.
2. Read every file, once:
     {script} --root {root} --check

{root}/FlyingChairs
├── data/00001_{{img1.ppm,img2.ppm,flow.flo}}    22,872 pairs
└── chairs_split.txt                           a line a pair, 1: training (22,232), 2: validation (640);
                                               QPWCNet takes it as FlyingChairs_train_val.txt, too"""

KITTI15 = """KITTI 2015 (Menze and Geiger, CVPR 2015): frames of a driving car, flow measured at some of their pixels.

1. Download the stereo and flow data of 2015 from the KITTI Vision Benchmark Suite
     https://www.cvlibs.net/datasets/kitti
   and unpack them in {root}/KITTI. See the page for the licence. The flow of its folder testing/ was never published.
2. Read every file, once:
     {script} --root {root} --check

{root}/KITTI/training                    200 pairs, about 1242x375
├── image_2/000000_10.png, 000000_11.png the two frames
└── flow_occ/000000_10.png               16-bit RGB: 64 u + 32768, 64 v + 32768, known or not"""

THINGS = """FlyingThings3D (Mayer et al., CVPR 2016): rendered objects on random paths, 960x540.

1. Download the images of the final pass (PNG or WebP) and the optical flow from the page of the Scene Flow Datasets
     https://lmb.informatik.uni-freiburg.de/resources/datasets/SceneFlowDatasets.en.html
   and unpack them in {root}/FlyingThings3D. See the page for the terms of use. Only the left camera and the flow into
   the future are read.
2. Read every file, once:
     {script} --root {root} --check

{root}/FlyingThings3D
├── frames_finalpass/{{TRAIN,TEST}}/A/0000/left/0006.webp            or .png
└── optical_flow/{{TRAIN,TEST}}/A/0000/into_future/left/OpticalFlowIntoFuture_0006_L.pfm"""


def main(argv: list[str]) -> int:
    """Do what the flags say; returns the exit code, 1 if a fault was found."""
    parser = file_lists.parser("Check a set with known flow; without --check, tell what to download.", SETS)
    return file_lists.run(parser.parse_args(argv), SETS, __file__)


# What the folders hold


def list_sintel(folder: Path) -> Listing:
    """Frames 1 to n of a scene in both passes, and flow of all but the last; n is the last that any of them has."""
    places = {kind: folder / "training" / kind for kind in ("clean", "final", "flow")}
    faults = [f"{place}: no such folder" for place in places.values() if not place.is_dir()]
    if faults:
        return [], {}, faults
    items, scenes = [], sorted({scene.name for place in places.values() for scene in place.iterdir() if scene.is_dir()})
    for scene in scenes:
        files = {kind: numbered(place / scene, "frame_*", "frame_") for kind, place in places.items()}
        last = max([*files["clean"], *files["final"], *(number + 1 for number in files["flow"])], default=0)
        for number in range(1, last + 1):
            name = f"{scene}/frame_{number:04d}"
            frames = tuple(places[kind] / f"{name}.png" for kind in ("clean", "final"))
            items.append(Item(frames, places["flow"] / f"{name}.flo" if number < last else None))
    return items, {"scenes": len(scenes), "frames": len(items)}, faults


def list_chairs(folder: Path) -> Listing:
    """A pair for each line of the list; there may be files beyond."""
    names = ("chairs_split.txt", "FlyingChairs_train_val.txt")
    listing = next((folder / name for name in names if (folder / name).is_file()), None)
    if listing is None:
        return [], {}, [f"{folder}: holds neither {' nor '.join(names)}"]
    parts = listing.read_text(encoding="utf-8-sig", errors="replace").split()
    faults = [f"{listing}: expected lines of 1 or 2, found {part!r}" for part in sorted({*parts} - {"1", "2"})]
    flows = len(list((folder / "data").glob("*_flow.flo")))
    if flows != len(parts):
        faults.append(f"{folder / 'data'}: {flows} flows, but {listing.name} has {len(parts)} lines")
    items = []
    for number in range(1, len(parts) + 1):
        first, second, flow = (folder / f"data/{number:05d}_{kind}" for kind in ("img1.ppm", "img2.ppm", "flow.flo"))
        items.append(Item((first, second), flow))
    return items, {"training pairs": parts.count("1"), "validation pairs": parts.count("2")}, faults


def list_kitti15(folder: Path) -> Listing:
    """Pairs of which any file is there."""
    frames, flows = folder / "training/image_2", folder / "training/flow_occ"
    faults = [f"{place}: no such folder" for place in (frames, flows) if not place.is_dir()]
    names = sorted({path.stem[:-3] for place in (frames, flows) for path in place.glob("*_1[01].png")})
    items = [Item((frames / f"{name}_10.png", frames / f"{name}_11.png"), flows / f"{name}_10.png") for name in names]
    return ([], {}, faults) if faults else (items, {"pairs": len(items)}, faults)


def list_things(folder: Path) -> Listing:
    """Frames of the left camera from the first to the last of each clip, and the flow of each into the future."""
    items, faults = [], []
    for split in ("TRAIN", "TEST"):
        pictures, flows = folder / "frames_finalpass" / split, folder / "optical_flow" / split
        missing = [f"{place}: no such folder" for place in (pictures, flows) if not place.is_dir()]
        faults += missing
        if missing:
            continue
        clips = {path.relative_to(pictures).parent for path in pictures.glob("*/*/left")}
        clips |= {path.relative_to(flows).parent.parent for path in flows.glob("*/*/into_future/left")}
        for clip in sorted(clips):  # such as A/0000
            shown, moved = pictures / clip / "left", flows / clip / "into_future/left"
            suffix = ".webp" if any(shown.glob("*.webp")) else ".png"
            numbers = numbered(shown, f"*{suffix}") | numbered(moved, "*_L.pfm", "OpticalFlowIntoFuture_", "_L")
            for number in range(min(numbers, default=0), max(numbers, default=-1) + 1):
                flow = moved / f"OpticalFlowIntoFuture_{number:04d}_L.pfm"
                items.append(Item((shown / f"{number:04d}{suffix}",), flow))
    return items, {}, faults


def numbered(folder: Path, pattern: str, prefix: str = "", suffix: str = "") -> set[int]:
    """The numbers in the names of the files that fit the pattern."""
    texts = (path.stem.removeprefix(prefix).removesuffix(suffix) for path in folder.glob(pattern))
    return {int(text) for text in texts if text.isdecimal()}


SETS = {
    "sintel": FileSet(
        "MPI-Sintel", SINTEL, list_sintel, {"scenes": 23, "frames": 1064}, (1024, 436),
        told=lambda clips, frames: {"scenes": clips["train"], "frames": clips["train"] * frames},
    ),
    "chairs": FileSet(
        "FlyingChairs", CHAIRS, list_chairs, {"training pairs": 22232, "validation pairs": 640}, (512, 384),
        told=lambda clips, frames: {"training pairs": clips["train"], "validation pairs": clips["test"]},
    ),
    "kitti15": FileSet(
        "KITTI", KITTI15, list_kitti15, {"pairs": 200}, told=lambda clips, frames: {"pairs": clips["train"]}
    ),
    "things": FileSet("FlyingThings3D", THINGS, list_things, {}, (960, 540)),
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(cli.run(main))
