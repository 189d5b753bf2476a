"""Clips of more than 8 bits a channel, made with PyAV alone, and read back plane by plane."""

import av
import numpy as np

from common.media.image import list_frames, read_image, write_image

LEVELS = np.arange(64, 64 + 2 * 318, 2)  # of the ramp: every second one of 10 bits, from black on
HDR = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}  # BT.2020, PQ, limited


def planes_of(frame):
    """The samples of every plane, HxW, as float64."""
    wide = max(component.bits for component in frame.format.components) > 8
    return [
        np.frombuffer(plane, np.uint16 if wide else np.uint8).reshape(plane.height, -1)[:, : plane.width].astype(float)
        for plane in frame.planes
    ]


def with_planes(name, *channels):
    """A frame of a format of more than 8 bits with these samples; chroma of halves is cut to its size."""
    frame = av.VideoFrame(channels[0].shape[1], channels[0].shape[0], name)
    if name == "p010le":  # chroma side by side, in the upper bits
        chroma = np.dstack([channel[::2, ::2] for channel in channels[1:]]).reshape(len(channels[0]) // 2, -1)
        channels = [channel * 64 for channel in (channels[0], chroma)]
    for plane, channel in zip(frame.planes, channels, strict=True):
        samples = np.frombuffer(plane, np.uint16).reshape(plane.height, -1)
        samples[:, : channel.shape[1]] = channel[: plane.height, : samples.shape[1]]
    return frame


def write_ramp(path, count=3, codec="ffv1", **options):
    """A video of grey columns, one a level of `LEVELS`, that move to the right, in yuv420p10, HDR. Returns the path."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = len(LEVELS), 32, "yuv420p10le"
        for tag, code in HDR.items():
            setattr(stream.codec_context, tag, code)
        for number in range(count):
            luma = np.tile(np.roll(LEVELS, number), (32, 1))
            frame = with_planes("yuv420p10le", luma, *[np.full((16, len(LEVELS) // 2), 512)] * 2)
            frame.pts, frame.color_range, frame.colorspace = number, 1, 9
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def first_frame(path):
    """Of a video: as it is decoded."""
    with av.open(str(path)) as container:
        return next(container.decode(video=0))


def write_deep_folder(folder, frames):
    """PNG files of 16 bits, 0.png, 1.png ..."""
    for number, frame in enumerate(frames):
        write_image(folder / f"{number}.png", frame)


def read_deep(folder):
    """All frames of a folder, with their bits."""
    return [read_image(path, deep=True) for path in list_frames(folder)]
