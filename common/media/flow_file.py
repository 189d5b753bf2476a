"""Optical-flow files: Middlebury .flo, KITTI .png, FlyingThings3D .pfm."""

import os
import re
from pathlib import Path

import cv2
import numpy as np

from common.atomic import write_bytes
from common.media import clip_file
from common.media.image import file_defect

FLO_MAGIC = b"PIEH"  # the float32 202021.25, little endian
UNKNOWN = 1e9  # a .flo component above this magnitude marks unknown flow
_UNKNOWN_MARK = 1e10


def read_flow(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Read a .flo, .png (KITTI) or .pfm file, or a flow of a clip's array (`common.sets.clips`).

    Args:
        path: the format is told by the suffix; `<clip>_flow.npy/00000012/1` is the flow from frame 12 to the last one,
            with /0 to the first one.

    Returns:
        flow: HxWx2 float32 in pixels, x to the right then y down. Values at invalid pixels are what the file stores
            (about 1e9 and more in .flo, -512 in KITTI): mask before averaging.
        valid: HxW bool, False where the flow is unknown.

    Raises:
        ValueError: missing, truncated or damaged file, or another suffix.
    """
    path = Path(path)
    if clip_file.is_frame(path.parent):
        return _read_array(path)
    readers = {".flo": _read_flo, ".png": _read_kitti, ".pfm": _read_pfm}
    if path.suffix.lower() not in readers:
        raise ValueError(f"cannot read flow from {path}: expected one of the suffixes {', '.join(readers)}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}; check the path and its permissions") from None
    return readers[path.suffix.lower()](path, data)


def write_flow(path: str | os.PathLike, flow: np.ndarray, valid: np.ndarray | None = None) -> None:
    """Write a .flo, .png (KITTI) or .pfm file; an interrupted run leaves no half-written file.

    Args:
        path: the format is told by the suffix. KITTI stores 1/64 pixel (cut, not rounded) from -512 to below 512.
        flow: HxWx2 in pixels, x to the right then y down.
        valid: HxW, nonzero where the flow is known; None means everywhere. A .pfm has no room for it.

    Raises:
        ValueError: wrong shape, values that the format cannot hold, or another suffix.
    """
    path = Path(path)
    encoders = {".flo": _encode_flo, ".png": _encode_kitti, ".pfm": _encode_pfm}
    if path.suffix.lower() not in encoders:
        raise ValueError(f"cannot write flow to {path}: expected one of the suffixes {', '.join(encoders)}")
    if flow.ndim != 3 or flow.shape[2] != 2 or 0 in flow.shape:
        raise ValueError(f"cannot write {path}: a flow must be HxWx2, got shape {flow.shape}")
    if valid is not None and valid.shape != flow.shape[:2]:
        raise ValueError(f"cannot write {path}: valid is {valid.shape}, the flow {flow.shape[:2]}")
    mask = np.ones(flow.shape[:2], bool) if valid is None else valid.astype(bool)
    flow = flow.astype(np.float32)
    if not np.isfinite(flow[mask]).all():
        raise ValueError(f"cannot write {path}: the flow holds NaN or infinite values; mark them in `valid`")
    write_bytes(path, encoders[path.suffix.lower()](path, flow, mask), sync=False)


def _read_array(path: Path) -> tuple[np.ndarray, np.ndarray]:
    file, number, end = path.parent.parent, int(path.parent.name), int(path.name)
    flows = clip_file.values(file)
    if flows.ndim != 5 or flows.shape[1::3] != (2, 2) or max(number - len(flows), end - 2) >= 0:
        raise ValueError(
            f"{file}: an array of {flows.shape}; expected flows (T, 2, H, W, 2) of more than {number} frames"
        )
    flow = flows[number, end].astype(np.float32)
    return flow, np.isfinite(flow).all(-1)


def _read_flo(path: Path, data: bytes) -> tuple[np.ndarray, np.ndarray]:
    if data[:4] != FLO_MAGIC:
        raise ValueError(f"{path} is not a .flo file: it must start with 'PIEH'; it is damaged or of another format")
    width, height = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (4, 8))
    if width < 1 or height < 1 or len(data) != 12 + 8 * width * height:
        raise ValueError(
            f"{path} is truncated or damaged: {len(data)} bytes for a flow of {width} x {height}; copy it again"
        )
    flow = np.frombuffer(data, "<f4", offset=12).reshape(height, width, 2).astype(np.float32)
    return flow, (np.abs(flow) <= UNKNOWN).all(-1)  # NaN compares false, so it is invalid too


def _encode_flo(path: Path, flow: np.ndarray, mask: np.ndarray) -> bytes:
    height, width = mask.shape
    flow = np.where(mask[..., None], flow, np.float32(_UNKNOWN_MARK))
    return FLO_MAGIC + np.array([width, height], "<i4").tobytes() + flow.astype("<f4").tobytes()


def _read_kitti(path: Path, data: bytes) -> tuple[np.ndarray, np.ndarray]:
    defect = file_defect(data)
    image = None if defect else cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint16 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"{path} {defect or 'is no KITTI flow'}: expected a complete 16-bit RGB png")
    valid, v, u = cv2.split(image)  # OpenCV reads BGR
    return (np.stack((u, v), -1).astype(np.float32) - 32768) / 64, valid > 0


def _encode_kitti(path: Path, flow: np.ndarray, mask: np.ndarray) -> bytes:
    levels = np.where(mask[..., None], flow, -512) * np.float32(64) + 32768  # unknown is stored as zeros
    if levels.min() < 0 or levels.max() >= 65536:
        raise ValueError(f"cannot write {path}: KITTI png holds -512 to 512 pixels; write .flo or mark them invalid")
    u, v = cv2.split(levels.astype(np.uint16))
    return cv2.imencode(".png", cv2.merge((mask.astype(np.uint16), v, u)))[1].tobytes()


def _read_pfm(path: Path, data: bytes) -> tuple[np.ndarray, np.ndarray]:
    header = re.match(rb"PF\s+(\d+)\s+(\d+)\s+([-+]?\d[\d.eE+-]*|[-+]?\.\d+)[ \t\r]*\n", data)
    if not header:
        raise ValueError(f"{path} is not a colour .pfm file: expected the lines 'PF', 'width height', scale")
    width, height = int(header[1]), int(header[2])
    if width < 1 or height < 1 or len(data) - header.end() != 12 * width * height:
        raise ValueError(
            f"{path} is truncated or damaged: {len(data)} bytes for a flow of {width} x {height}; copy it again"
        )
    order = "<f4" if header[3].startswith(b"-") else ">f4"
    rows = np.frombuffer(data, order, offset=header.end()).reshape(height, width, 3)
    flow = rows[::-1, :, :2].astype(np.float32)  # the bottom row comes first
    return flow, np.isfinite(flow).all(-1)


def _encode_pfm(path: Path, flow: np.ndarray, mask: np.ndarray) -> bytes:
    if not mask.all():
        raise ValueError(f"cannot write {path}: .pfm has no place for invalid pixels; write .flo or .png")
    height, width = mask.shape
    rows = np.dstack((flow, np.zeros_like(flow[..., :1])))[::-1]
    return f"PF\n{width} {height}\n-1.0\n".encode() + rows.astype("<f4").tobytes()
