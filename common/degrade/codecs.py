"""Lossy codecs, in memory: what frames look like after JPEG 2000, JPEG or H.264."""

import struct
from collections.abc import Sequence
from fractions import Fraction

import av
import cv2
import numpy as np

LIBAVUTIL = 60  # of FFmpeg 8, whose AVFrame the next number is about
MACROBLOCK = 16  # pixels a side; sizes of H.264 are multiples of it
_QUALITY = 160  # byte at which the quality of a frame is kept
_LAMBDA = 118  # FF_QP2LAMBDA: FFmpeg's -q in the encoder's own units


def jpeg2000(image: np.ndarray, quality: int) -> np.ndarray:
    """What `ffmpeg -i frame.png -q QUALITY -vcodec jpeg2000` makes of a frame, pixel for pixel, decoded again.

    It is FFmpeg 8's own encoder with a fixed threshold for what a bit of the file must mend (9/7 wavelet, tiles of
    256x256, RGB without subsampling). OpenJPEG, behind Pillow and OpenCV, knows rates and PSNR only.

    A quality names no single degradation, since that encoder has changed. Vid4's first calendar frame at 20:

    | FFmpeg | file | PSNR | of these pixels against FFmpeg 8's |
    |---|---|---|---|
    | 4.2 | 219 kB | 31.14 dB | 34.3 dB |
    | 5.1, 7.0 | 219 kB | 31.15 dB | 34.4 dB |
    | 8.1, 9.0 | 276 kB | 33.37 dB | equal |

    Every version decodes all of these files alike. What the older ones do cannot be had of FFmpeg 8: another quality
    comes no nearer than 36.6 dB (30.9), and no other option changes a pixel without changing the wavelet, tiles or
    rates. So numbers belong to the FFmpeg that made the frames. TOFlow's were made before all of these versions.

    Args:
        image: HxWx3 uint8, RGB.
        quality: 1 to 255; the larger, the worse.

    Returns:
        HxWx3 uint8, RGB.

    Raises:
        ValueError: another type, shape or quality; or PyAV comes with an FFmpeg that this was not written for.
    """
    _check(image, quality, 255)
    height, width, _ = image.shape
    frame = _frame(height, width, quality)
    plane = frame.planes[0]
    np.frombuffer(plane, np.uint8).reshape(height, plane.line_size)[:, : 3 * width] = image.reshape(height, -1)
    encoder = av.CodecContext.create("jpeg2000", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = width, height, "rgb24", Fraction(1)
    decoder = av.CodecContext.create("jpeg2000", "r")
    encoder.thread_count = decoder.thread_count = 1  # frames are shared among threads or processes by the caller
    frames = [
        decoded
        for packet in [*encoder.encode(frame), *encoder.encode(None)]
        for decoded in decoder.decode(av.Packet(bytes(packet)))
    ]
    (result,) = frames + decoder.decode(None)
    return result.to_ndarray(format="rgb24")


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """A frame after JPEG at a quality of the Independent JPEG Group's scale, chroma halved both ways (4:2:0).

    Args:
        image: HxWx3 uint8, RGB.
        quality: 1 to 100; the larger, the better, the other way round than in `jpeg2000`.

    Returns:
        HxWx3 uint8, RGB.

    Raises:
        ValueError: another type, shape or quality.
    """
    _check(image, quality, 100)
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
    flags += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), flags)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def h264(frames: Sequence[np.ndarray], crf: int) -> list[np.ndarray]:
    """Frames after H.264, as one clip: libx264, preset veryfast, constant quality, chroma halved both ways.

    Args:
        frames: consecutive ones, HxWx3 uint8 RGB of one size.
        crf: 1 to 51; the larger, the worse.

    Returns:
        As many frames, HxWx3 uint8 RGB.

    Raises:
        ValueError: another type, shape or quality, or frames of several sizes.
    """
    for frame in frames:
        _check(frame, crf, 51)
        if frame.shape != frames[0].shape:
            raise ValueError(f"H.264 needs frames of one size, got {frame.shape} beside {frames[0].shape}")
    height, width, _ = frames[0].shape
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height = (-(-length // MACROBLOCK) * MACROBLOCK for length in (width, height))
    encoder.pix_fmt, encoder.time_base, encoder.framerate = "yuv420p", Fraction(1, 25), Fraction(25)
    # Without it processors differ, and AVX-512 differed from itself, once in dozens of clips on a busy machine.
    encoder.options = {"preset": "veryfast", "crf": str(crf), "x264-params": "cpu-independent=1"}
    decoder = av.CodecContext.create("h264", "r")
    encoder.thread_count = decoder.thread_count = 1
    packets = []
    for number, frame in enumerate(frames):
        padded = np.pad(frame, ((0, encoder.height - height), (0, encoder.width - width), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(padded, format="rgb24").reformat(format="yuv420p")
        picture.pts = number
        packets += encoder.encode(picture)
    packets += encoder.encode(None)
    decoded = [picture for packet in packets for picture in decoder.decode(packet)] + decoder.decode(None)
    return [picture.to_ndarray(format="rgb24")[:height, :width] for picture in decoded]


def _check(image: np.ndarray, quality: int, most: int) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"cannot compress {image.dtype} {image.shape}: expected HxWx3 uint8, see to_uint8")
    if not 1 <= quality <= most:
        raise ValueError(f"quality {quality}: expected 1 to {most}")


def _frame(height: int, width: int, quality: int) -> av.VideoFrame:
    """An rgb24 frame of unspecified pixels, on which the encoder finds `quality`.

    The encoder looks at the frame, not at its own global_quality, and PyAV's frames do not let it be set. The packets
    of FFmpeg's filter source do: what they carry is the frame's very structure.
    """
    found = av.library_versions["libavutil"][0]
    if found != LIBAVUTIL:
        raise ValueError(
            f"JPEG 2000 needs PyAV with FFmpeg 8 (libavutil {LIBAVUTIL}), found libavutil {found}: "
            "pip install -c constraints.txt av"
        )
    source = f"color=size={width}x{height}:rate=1:duration=1,format=rgb24"
    with av.open(source, format="lavfi") as container:
        packet = next(container.demux(video=0))
        structure = bytearray(packet)
        struct.pack_into("i", structure, _QUALITY, quality * _LAMBDA)
        packet.update(bytes(structure))
        (frame,) = packet.decode()
        frame.make_writable()
    return frame
