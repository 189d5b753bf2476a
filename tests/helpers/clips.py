"""Clips of a user: frames, folders and video files, with sound, and what is read back of them."""

from fractions import Fraction

import av
import cv2
import numpy as np

from common.media.image import list_frames, read_image, to_uint8, write_image
from common.media.video_reader import open_clip
from common.media.video_writer import open_writer
from common.sets.synthetic_scene import Scene

NTSC = Fraction(24000, 1001)


def pictures(count=5, height=50, width=70, seed=7):
    """Frames of a scene that moves, HxWx3 uint8."""
    scene = Scene(seed, height, width)
    return [to_uint8(scene.render(float(t))) for t in range(count)]


def write_folder(folder, frames):
    """Files shot_0.png, shot_1.png ..."""
    for number, frame in enumerate(frames):
        write_image(folder / f"shot_{number}.png", frame)


def write_video(path, frames, times=None, **options):
    """A video of the project's own writer; `options` are those of `open_writer`. Returns the path."""
    with open_writer(path, **{"frame_rate": NTSC, **options}) as writer:
        for number, frame in enumerate(frames):
            writer.write(frame, times and times[number])
    return path


def read_folder(folder):
    """All frames of a folder."""
    return [read_image(path) for path in list_frames(folder)]


def times_of(path):
    """The times of all frames, in seconds."""
    return [time for _, time in open_clip(path).timed()]


def moving(count, height=48, width=64):
    """Smooth frames, each unlike its neighbours."""
    texture = np.random.default_rng(0).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    canvas = cv2.resize(texture, (width + 3 * count, height), interpolation=cv2.INTER_CUBIC)
    return [canvas[:, 3 * i : 3 * i + width] for i in range(count)]


def write_with_sound(path, seconds=2.0, rate=25, codec="aac", video_start=0, audio_start=0):
    """A clip of flat frames and a tone, made with PyAV alone."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate, options={"crf": "30", "preset": "ultrafast"})
        video.width, video.height = 64, 48
        audio = container.add_stream(codec, rate=48000, bit_rate=128_000)
        for index in range(round(seconds * rate)):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 5 * index % 256, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index + video_start * rate, Fraction(1, rate)
            container.mux(video.encode(frame))
        tone = (np.sin(np.arange(round(seconds * 48000)) / 20) / 4).astype(np.float32)
        fifo_size = audio.codec_context.frame_size or 1024
        for start in range(0, len(tone), fifo_size):
            data = np.tile(tone[start : start + fifo_size], (2, 1))
            if audio.codec_context.format.name == "s16":
                frame = av.AudioFrame.from_ndarray((data * 32767).astype(np.int16).T.reshape(1, -1), "s16", "stereo")
            else:
                frame = av.AudioFrame.from_ndarray(data, format="fltp", layout="stereo")
            frame.sample_rate = 48000
            frame.pts, frame.time_base = start + audio_start * 48000, Fraction(1, 48000)
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
        container.mux(video.encode(None))
    return path


def sound_of(path):
    """Time and bytes of every sound packet; None without sound."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        return [(round(float(p.pts * p.time_base), 4), bytes(p)) for p in container.demux(audio=0) if p.dts is not None]


def places_of(gaps):
    """Ticks that begin at 0 and have these gaps."""
    return [0, *(int(tick) for tick in np.cumsum(gaps))]


def flash_and_beep(path, count, flash, codec="aac", start=0, sound_start=None, rate=25, **options):
    """A clip, dark and silent but for a white frame and a beep in that frame's time, `start` seconds by its clock.

    Made with PyAV alone; `options` are those of x264; `sound_start` is that of the sound.
    """
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate, options={"crf": "25", **options})
        video.width, video.height = 64, 48
        audio = container.add_stream(codec, rate=48000) if codec else None
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 230 * (number == flash), np.uint8), format="rgb24")
            frame.pts, frame.time_base = number + start * rate, Fraction(1, rate)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio:
            sound_start = start if sound_start is None else sound_start
            length = round((count / rate + start - sound_start) * 48000)
            time = np.arange(length) / 48000 + float(sound_start - start) - flash / rate
            tone = np.where((time >= 0) & (time < 1 / rate), np.sin(time * 6283) / 2, 0).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(np.tile(tone, (2, 1)), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = 48000, round(sound_start * 48000), Fraction(1, 48000)
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return path


def flash_to_beep(path):
    """Seconds from the first bright frame to the first loud sample, by the file's own times."""
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        flash = next(f.pts * f.time_base for f in frames if f.to_ndarray(format="gray").mean() > 128)
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            samples = np.abs(frame.to_ndarray().astype(float))
            samples = samples.max(0) if frame.format.is_planar else samples.reshape(-1, 2).max(1)
            loud = samples > (0.05 if "f" in frame.format.name else 1600)
            if loud.any():
                return float(frame.pts * frame.time_base + Fraction(int(loud.argmax()), frame.sample_rate) - flash)
    return None
