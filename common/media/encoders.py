"""How a video's picture is encoded: --codec, --crf, --preset and --pix_fmt, and what FFmpeg's encoders make of them."""

import io
import os
from dataclasses import dataclass, field

import av

from common.media import deep_color
from common.media.containers import CONTAINERS, Kind
from common.media.hdr import NAMES, Hdr

os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 tells its settings at every start; from here on, errors only


@dataclass(frozen=True)
class Encoder:
    """One of FFmpeg's: its name, options, rate factor (None: it has none), what it calls a preset, pixel formats.

    `odd` is the pixel format for sizes that `even` cannot hold; both have 10 bits for frames of more than 8, unless
    `deep` is the format for those.
    """

    name: str
    even: str
    odd: str
    crf: int | None = None
    preset: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    deep: str | None = None
    quality: str = "crf"  # what it calls its rate factor


NVENC = {"preset": "p5", "rc": "vbr", "b": "0", "bf": "0"}
# x264's preset: 1.5 times as fast as its default at the same size, for 0.35 dB at crf 16. With its code for AVX-512 it
# made other bytes of the same frames every time, at widths that are no multiple of 128; so without it.
X264 = {"preset": "faster", "x264-params": "cpu-independent=1"}
ENCODERS = {
    "h264": Encoder("libx264", "yuv420p", "yuv444p", 16, "preset", X264),
    "h265": Encoder(
        "libx265", "yuv420p", "yuv444p", 18, "preset", {"preset": "fast", "x265-params": "log-level=error"}
    ),
    "av1": Encoder("libsvtav1", "yuv420p", "yuv420p", 20, "preset", {"preset": "8"}),
    "vp9": Encoder("libvpx-vp9", "yuv420p", "yuv420p", 16, "cpu-used", {"b": "0", "cpu-used": "4", "row-mt": "1"}),
    "ffv1": Encoder("ffv1", "bgr0", "bgr0", deep="gbrp16le"),  # the frames as they are, bit for bit
    "prores": Encoder("prores_ks", "yuv422p10le", "yuv444p10le"),
    # On NVIDIA's chips that have an encoder. Without reordered frames, so that segments join whatever the chip.
    "h264_nvenc": Encoder("h264_nvenc", "yuv420p", "yuv444p", 19, "preset", NVENC, quality="cq"),
    "h265_nvenc": Encoder("hevc_nvenc", "yuv420p", "yuv444p", 21, "preset", NVENC, "p010le", "cq"),
    "av1_nvenc": Encoder("av1_nvenc", "yuv420p", "yuv420p", 24, "preset", NVENC, "p010le", "cq"),
}
TRIAL = 256  # pixels of the sides of a frame that every encoder takes


@dataclass(frozen=True)
class Encoding:
    """What the flags ask for; None: the default of the container or of the codec."""

    codec: str | None = None
    crf: int | None = None
    preset: str | None = None
    pix_fmt: str | None = None

    def check(self, kind: Kind) -> None:
        """Try it on an empty frame.

        Raises:
            ValueError: there is no such codec, the container or the encoder does not take it.
        """
        name = self.codec or kind.codec
        if name not in ENCODERS:
            raise ValueError(f"--codec {name}: expected one of {', '.join(ENCODERS)}")
        encoder = ENCODERS[name]
        if self.crf is not None and encoder.crf is None:
            raise ValueError(f"--crf {self.crf}: {name} has no rate factor; leave it out")
        if self.preset is not None and encoder.preset is None:
            raise ValueError(f"--preset {self.preset}: {name} has no presets; leave it out")
        if not self._works(kind):
            others = [suffix for suffix, other in CONTAINERS.items() if Encoding(name)._works(other)]
            if not others:
                what = "an NVIDIA GPU with an encoder, and its driver" if "nvenc" in name else "an FFmpeg that has it"
                raise ValueError(f"--codec {name} cannot be opened on this machine: expected {what}, or another codec")
            given = {"--crf": self.crf, "--preset": self.preset, "--pix_fmt": self.pix_fmt}
            flags = "".join(f" {flag} {value}" for flag, value in given.items() if value is not None)
            formats = ", ".join(known.name for known in av.Codec(encoder.name, "w").video_formats)
            raise ValueError(
                f"--codec {name}{flags} does not go into {kind.format}: it goes into {' '.join(others)}, with its own "
                f"presets and pixel formats ({formats})"
            )

    def is_deep(self, kind: Kind) -> bool:
        """Whether more than 8 bits a channel go into a container."""
        name = self.codec or kind.codec
        if name not in ENCODERS or not self._works(kind, deep=True):
            return False
        return deep_color.bits(av.VideoFormat(self.pix_fmt or self._usual(kind, TRIAL, TRIAL, True))) > 8

    def tells(self, kind: Kind) -> bool:
        """Whether the encoder takes what HDR tells of display and light."""
        return ENCODERS[self.codec or kind.codec].name in NAMES

    def _works(self, kind: Kind, deep: bool = False) -> bool:
        try:
            with av.open(io.BytesIO(), "w", format=kind.format) as trial:
                self.add_stream(trial, kind, 25, TRIAL, TRIAL, deep=deep)
                trial.start_encoding()
        except (ValueError, OverflowError, av.error.FFmpegError):
            return False
        return True

    def _usual(self, kind: Kind, height: int, width: int, deep: bool) -> str:
        """The pixel format that is taken unasked."""
        encoder = ENCODERS[self.codec or kind.codec]
        if deep and encoder.deep:
            return encoder.deep
        name = encoder.odd if width % 2 or height % 2 else encoder.even
        return f"{name}10le" if deep and not name.endswith("10le") else name

    def add_stream(
        self, container, kind: Kind, rate, height: int, width: int, *, deep: bool = False, hdr: Hdr | None = None
    ):  # fmt: skip
        """The video stream of an output, ready but for times and colours; `deep`: of more than 8 bits."""
        encoder = ENCODERS[self.codec or kind.codec]
        options = dict(encoder.options)
        if encoder.crf is not None:
            options[encoder.quality] = str(encoder.crf if self.crf is None else self.crf)
        if self.preset is not None:
            options[encoder.preset] = self.preset
        if kind.format == "avi" and encoder.name == "libx264":
            options["bf"] = "0"  # AVI has no field for the time of a frame: no reordered frames there
        if hdr and encoder.name in NAMES:
            name = NAMES[encoder.name]
            options[name] = ":".join(filter(None, (options.get(name), hdr.options(encoder.name))))
        stream = container.add_stream(encoder.name, rate=rate, options=options)
        stream.width, stream.height = width, height
        stream.pix_fmt = self.pix_fmt or self._usual(kind, height, width, deep)
        return stream
