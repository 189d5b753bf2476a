"""Procedural clips as files in the layouts of the real sets, for datasets/make_synthetic.py."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from common.atomic import write_bytes
from common.degrade.operators import downsample_bd, downsample_bi
from common.media.flow_file import write_flow
from common.media.image import to_uint8, write_image
from common.sets.clip_files import MANIFEST, write_array, write_csv
from common.sets.clips import SPLITS
from common.sets.photo_textures import Photographs
from common.sets.synthetic_scene import Scene


@dataclass(frozen=True)
class Clip:
    """One job. `number` counts from 0 within its split, `position` over the clips of its folder."""

    layout: str
    split: str
    number: int
    position: int
    frames: int
    height: int
    width: int
    seed: int
    pace: float
    photographs: Photographs | None = None
    blur: bool = False  # of layout `drawn`: blurry twins too

    def scene(self) -> tuple[Scene, np.random.Generator]:
        """Drawn from seed, layout, split and number: test clips never repeat training clips."""
        key = (self.seed, list(LAYOUTS).index(self.layout), SPLITS.index(self.split), self.number)
        rng = np.random.default_rng(key)
        return Scene(rng, self.height, self.width, LAYOUTS[self.layout].pace * self.pace, self.photographs), rng


def write_dvd(folder: Path, clip: Clip) -> None:
    scene, rng = clip.scene()
    exposure = rng.uniform(0.6, 1)  # of the time between two frames, the same over a video
    for t in range(clip.frames):
        video, name = folder / f"video_{clip.number:04d}", f"{t:05d}.jpg"
        write_image(video / "input" / name, blurred(scene, t, exposure), quality=95)
        write_image(video / "GT" / name, sharp(scene, t), quality=95)


def write_nah(folder: Path, clip: Clip) -> None:
    scene, _ = clip.scene()
    for t in range(clip.frames):  # GoPro blurs are means of windows that follow each other without a gap
        video, name = folder / f"video_{clip.number:04d}", f"{t:06d}.png"
        write_image(video / "blur_gamma" / name, blurred(scene, t, 1.0))
        write_image(video / "sharp" / name, sharp(scene, t))


def write_vimeo(folder: Path, clip: Clip) -> None:
    scene, _ = clip.scene()
    for t in range(clip.frames):
        write_image(folder / "sequences" / vimeo_name(clip.position) / f"im{t + 1}.png", sharp(scene, t))


def write_vimeo_triplet(folder: Path, clip: Clip) -> None:
    write_vimeo(folder, clip)
    scene, _ = clip.scene()
    for name, there in (("flow_t0.flo", 0), ("flow_t1.flo", 2)):  # from im2, which is at time 1
        write_flow(folder / "flow" / vimeo_name(clip.position) / name, scene.flow(1, there)[0])


def vimeo_name(position: int) -> str:
    return f"{position // 1000 + 1:05d}/{position % 1000 + 1:04d}"


def write_degraded(folder: Path, clip: Clip) -> None:
    scene, _ = clip.scene()
    for t in range(clip.frames):
        frame, name = sharp(scene, t), Path(f"video_{clip.number:04d}", f"{t:08d}.png")
        write_image(folder / "GT" / name, frame)
        write_image(folder / "BIx4" / name, downsample_bi(frame, scale=4))
        write_image(folder / "BDx4" / name, downsample_bd(frame, kind="bd", scale=4))


def write_sharp(folder: Path, clip: Clip) -> None:
    scene, _ = clip.scene()
    for t in range(clip.frames):
        write_image(folder / clip.split / f"video_{clip.number:04d}" / f"{t:08d}.png", sharp(scene, t))


def write_gopro240(folder: Path, clip: Clip) -> None:
    scene, _ = clip.scene()
    for t in range(clip.frames):
        write_image(folder / clip.split / f"GOPR{clip.number:04d}_11_00" / f"{t + 1:06d}.png", sharp(scene, t))


def write_sintel(folder: Path, clip: Clip) -> None:
    scene, _ = clip.scene()
    for t in range(clip.frames):
        clean, final, flow, occlusions = (
            folder / "training" / kind / f"scene_{clip.number:04d}" / f"frame_{t + 1:04d}"
            for kind in ("clean", "final", "flow", "occlusions")
        )
        write_image(clean.with_suffix(".png"), sharp(scene, t))
        write_image(final.with_suffix(".png"), blurred(scene, t, 0.5))
        if t + 1 < clip.frames:
            motion, hidden = scene.flow(t, t + 1)
            write_flow(flow.with_suffix(".flo"), motion)
            _, gray_png = cv2.imencode(".png", hidden.astype(np.uint8) * 255)
            write_bytes(occlusions.with_suffix(".png"), gray_png.tobytes(), sync=False)


def write_chairs(folder: Path, clip: Clip) -> None:
    scene, _ = clip.scene()
    stem = f"{clip.position + 1:05d}"
    for t in range(2):
        write_image(folder / "data" / f"{stem}_img{t + 1}.ppm", sharp(scene, t))
    write_flow(folder / "data" / f"{stem}_flow.flo", scene.flow(0, 1)[0])


def write_kitti15(folder: Path, clip: Clip) -> None:
    scene, rng = clip.scene()
    frames, stem = folder / "training/image_2", f"{clip.position:06d}"
    for t in range(2):
        write_image(frames / f"{stem}_{t + 10}.png", sharp(scene, t))
    flow, _ = scene.flow(0, 1)
    known = (rng.random(flow.shape[:2]) < 0.3) & (np.abs(flow) < 512).all(-1)  # the format holds no more
    known[: clip.height // 3] = False  # a laser scanner measures some points, and none in the sky
    write_flow(folder / "training/flow_occ" / f"{stem}_10.png", flow, known)


def write_drawn(folder: Path, clip: Clip) -> None:
    scene, rng = clip.scene()
    scene.pace *= np.exp(rng.uniform(np.log(0.25), np.log(4)))  # from almost still to fast
    exposure = rng.uniform(0.5, 1.5)  # of the time between two frames
    times = range(clip.frames)
    arrays = {
        "": np.stack([sharp(scene, t) for t in times]),
        "_flow": np.stack([[scene.motion(t, end) for end in (0, clip.frames - 1)] for t in times]).astype(np.float16),
    }
    if clip.blur:
        arrays["_blur"] = np.stack([blurred(scene, t, exposure) for t in times])
    for suffix, array in arrays.items():
        write_array(folder / clip.split / f"video_{clip.number:04d}{suffix}.npy", array)


def sharp(scene: Scene, time: float) -> np.ndarray:
    return to_uint8(scene.render(time))


def blurred(scene: Scene, time: float, exposure: float) -> np.ndarray:
    return to_uint8(scene.blurred(time, exposure, scene.samples(time, exposure)))


def vimeo_lists(prefix: str) -> Callable[[Path, list[Clip]], None]:
    def write(folder: Path, clips: list[Clip]) -> None:
        for split in SPLITS:
            lines = [vimeo_name(clip.position) + "\n" for clip in clips if clip.split == split]
            write_bytes(folder / f"{prefix}_{split}list.txt", "".join(lines).encode())

    return write


def truth_list(name: str) -> Callable[[Path, list[Clip]], None]:
    def write(folder: Path, clips: list[Clip]) -> None:
        lines = [f"video_{clip.number:04d} {clip.frames} ({clip.height},{clip.width},3)\n" for clip in clips]
        write_bytes(folder / f"meta_info_{name}_GT.txt", "".join(lines).encode())

    return write


def chairs_list(folder: Path, clips: list[Clip]) -> None:
    lines = [f"{SPLITS.index(clip.split) + 1}\n" for clip in clips]
    write_bytes(folder / "chairs_split.txt", "".join(lines).encode())


def manifest(folder: Path, clips: list[Clip]) -> None:
    told = ("split", "frames", "width", "height")
    rows = [{"clip": f"video_{clip.number:04d}"} | {key: getattr(clip, key) for key in told} for clip in clips]
    write_csv(folder / MANIFEST, ("clip", *told), rows)


@dataclass(frozen=True)
class Layout:
    """`folders` maps the folder under the root to the splits in it; `pace` is how fast time runs, see `Scene`."""

    folders: dict[str, tuple[str, ...]]
    pace: float
    write: Callable[[Path, Clip], None]
    write_lists: Callable[[Path, list[Clip]], None] | None = None
    frames: int | None = None  # where the format fixes their number
    usual: int = 40  # frames, where it does not
    flow: str | None = None  # what kind is written where training wants labels; goes into the marker


# Blurred sets move fast enough for "blurry input" to score what it does on the real ones, 27 to 30 dB.
LAYOUTS = {
    "DVD": Layout({"train_DVD": ("train",), "test_DVD": ("test",)}, 2.0, write_dvd),
    "nah": Layout({"train_nah": ("train",), "test_nah": ("test",)}, 2.0, write_nah),
    "vimeo_triplet": Layout({"vimeo_triplet": SPLITS}, 1.2, write_vimeo_triplet, vimeo_lists("tri"), 3, flow="exact"),
    "vimeo_septuplet": Layout({"vimeo_septuplet": SPLITS}, 1.0, write_vimeo, vimeo_lists("sep"), frames=7),
    "vid4": Layout({"Vid4": ("test",)}, 0.6, write_degraded, truth_list("Vid4")),
    "gopro240": Layout({"GOPRO_Large_all": SPLITS}, 2.0 / 8, write_gopro240),
    "sintel": Layout({"MPI-Sintel": ("train",)}, 2.0, write_sintel),
    "chairs": Layout({"FlyingChairs": SPLITS}, 2.5, write_chairs, chairs_list, frames=2),
    # New ones go to the end: the position of a layout is part of its clips' seed.
    "spmcs": Layout({"SPMCS": ("test",)}, 0.6, write_degraded, truth_list("SPMCS"), usual=31),
    "clips": Layout({"clips": SPLITS}, 1.0, write_sharp, usual=9),
    "kitti15": Layout({"KITTI": ("train",)}, 3.0, write_kitti15, frames=2),
    "drawn": Layout({"drawn": SPLITS}, 1.0, write_drawn, manifest, usual=7, flow="exact"),
}
