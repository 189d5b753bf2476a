"""What an HDR video tells of the display it was made on and of how bright it gets, and how encoders are told."""

from dataclasses import dataclass

import av
import numpy as np

CURVES = (16, 18)  # PQ and HLG, codes of ITU-T H.273
NAMES = {"libx264": "x264-params", "libx265": "x265-params", "libsvtav1": "svtav1-params"}  # of the options that tell


@dataclass(frozen=True)
class Hdr:
    """Static metadata (SMPTE ST 2086, CTA-861.3); None: not told.

    `chromaticities`: x and y of red, green, blue and white; `luminance`: least and most, in cd/m2; `light`: the
    brightest pixel (MaxCLL) and the brightest mean of a frame (MaxFALL), in cd/m2.
    """

    chromaticities: tuple[float, ...] | None = None
    luminance: tuple[float, float] | None = None
    light: tuple[int, int] | None = None

    def options(self, encoder: str) -> str:
        """Parameters of an encoder of `NAMES`."""
        parts = []
        if self.chromaticities and self.luminance:
            least, most = self.luminance
            if encoder == "libsvtav1":
                places, ends = [f"{value:.5f}" for value in self.chromaticities], f"({most:.4f},{least:.4f})"
            else:  # multiples of 0.00002 and 0.0001
                places = [f"{50_000 * value:.0f}" for value in self.chromaticities]
                ends = f"({10_000 * most:.0f},{10_000 * least:.0f})"
            red, green, blue, white = (f"({x},{y})" for x, y in zip(places[::2], places[1::2], strict=True))
            name = "master-display" if encoder == "libx265" else "mastering-display"
            parts.append(f"{name}=G{green}B{blue}R{red}WP{white}L{ends}")
        if self.light:
            name = {"libx264": "cll", "libx265": "max-cll"}.get(encoder, "content-light")
            parts.append("{}={},{}".format(name, *self.light))
        return ":".join(parts)


def told(frame: av.VideoFrame) -> Hdr | None:
    """What a frame carries; None: nothing."""
    display = frame.side_data.get("MASTERING_DISPLAY_METADATA")
    light = frame.side_data.get("CONTENT_LIGHT_LEVEL")
    if display is None and light is None:
        return None
    chromaticities = luminance = None
    if display is not None:  # FFmpeg's AVMasteringDisplayMetadata: ten fractions, and which of them are there
        values = np.frombuffer(bytes(display), np.int32)[:22]
        fractions = (values[:20:2] / np.maximum(values[1:20:2], 1)).tolist()
        chromaticities = tuple(fractions[:8]) if values[20] else None
        luminance = tuple(fractions[8:]) if values[21] else None
    levels = None if light is None else tuple(np.frombuffer(bytes(light), np.uint32)[:2].tolist())
    return Hdr(chromaticities, luminance, levels)
