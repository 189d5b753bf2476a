"""What else is in a file: sound in its place whatever the container, languages, subtitles, fonts, chapters, titles."""

import logging
from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition

from common.media.containers import CONTAINERS
from common.media.tracks import takes, texts
from common.media.video_reader import open_clip
from tests.helpers.clips import flash_and_beep, flash_to_beep, sound_of, write_video, write_with_sound


def copied(source, target):
    """A video with every frame and track of another."""
    clip = open_clip(source)
    frames, times = zip(*clip.timed(), strict=True)
    return write_video(target, frames, times, frame_rate=clip.frame_rate, like=clip, audio_from=source)


def streams_of(path):
    with av.open(str(path)) as container:
        return [
            (s.codec_context and s.codec_context.codec.canonical_name, s.language, int(s.disposition))
            for s in container.streams
        ]


def end_of_sound(path):
    with av.open(str(path)) as container:
        first, *_, last = [f for f in container.decode(audio=0) if f.pts is not None]
        return float(last.pts * last.time_base - first.pts * first.time_base) + last.samples / last.sample_rate


# In its place


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".webm"])
@pytest.mark.parametrize("sound_start", [0, Fraction(6, 5), 3])
def test_sound_before_or_after_the_first_frame_is_whole(tmp_path, suffix, sound_start):
    source = flash_and_beep(tmp_path / "in.mkv", 75, flash=60, start=Fraction(9, 5), sound_start=sound_start)
    out = copied(source, tmp_path / f"out{suffix}")
    assert flash_to_beep(out) == pytest.approx(flash_to_beep(source), abs=2e-3 + 0.008 * (suffix == ".webm"))
    assert end_of_sound(out) == pytest.approx(end_of_sound(source), abs=0.03)
    assert len(list(open_clip(out))) == 75


def test_an_avi_begins_with_its_first_frame(tmp_path):
    source = flash_and_beep(tmp_path / "in.mkv", 75, flash=60, start=Fraction(9, 5), sound_start=0)
    out = copied(source, tmp_path / "out.avi")
    with av.open(str(out)) as container:
        beep = next(p for p in container.demux(audio=0) if p.size > 100 and p.pts * p.time_base > 1)
    assert float(beep.pts * beep.time_base) == pytest.approx(60 / 25, abs=0.05)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("part", [0.2, 0.5])
def test_a_recording_that_begins_between_key_frames(tmp_path, suffix, part):
    whole = flash_and_beep(tmp_path / "whole.ts", 200, flash=180, g="40", start=5).read_bytes()
    (tmp_path / "in.ts").write_bytes(whole[round(len(whole) * part) // 188 * 188 :])
    clip = open_clip(tmp_path / "in.ts")
    assert 40 < len(list(clip)) < 200
    out = copied(tmp_path / "in.ts", tmp_path / f"out{suffix}")
    assert flash_to_beep(out) == pytest.approx(flash_to_beep(tmp_path / "in.ts"), abs=2e-3)


@pytest.mark.parametrize("starts", [(0, 5000), (5000, 0), (0, 0)])
def test_sound_jumps_with_the_picture(tmp_path, starts):
    pieces = [
        flash_and_beep(tmp_path / f"{n}.ts", 50, flash=40 + 999 * (n == 0), start=s) for n, s in enumerate(starts)
    ]
    (tmp_path / "in.ts").write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    out = copied(tmp_path / "in.ts", tmp_path / "out.mp4")
    assert flash_to_beep(out) == pytest.approx(flash_to_beep(pieces[1]), abs=2e-3)
    assert len(list(open_clip(out))) == 100
    assert end_of_sound(out) == pytest.approx(4, abs=0.08)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_part_of_a_video_has_its_part_of_all_tracks(tmp_path, suffix):
    source = flash_and_beep(tmp_path / f"in{suffix}", 125, flash=70, g="20")
    clip = open_clip(source, Fraction(2), Fraction(4))
    out = write_video(tmp_path / "out.mp4", clip, frame_rate=25, like=clip, audio_from=source)
    assert len(list(open_clip(out))) == 50
    assert flash_to_beep(out) == pytest.approx(flash_to_beep(source), abs=2e-3)
    assert end_of_sound(out) == pytest.approx(2, abs=0.05)


def test_a_part_of_a_video_has_its_chapters_and_subtitles(tmp_path):
    clip = open_clip(several(tmp_path / "in.mkv"), Fraction(1, 2), Fraction(4, 5))
    out = write_video(tmp_path / "out.mkv", clip, frame_rate=25, like=clip, audio_from=clip.path)
    with av.open(str(out)) as container:
        start = container.streams.video[0].start_time * Fraction(1, 1000)
        (chapter,) = [
            [float(c[end] * c["time_base"] - start) for end in ("start", "end")] for c in container.chapters()
        ]
        assert chapter == pytest.approx([0, 0.3], abs=0.03)
        assert [packet for packet in container.demux(subtitles=0) if packet.size] == []  # it was earlier


# Kept, encoded, left out and told


@pytest.mark.parametrize(
    ("codec", "source", "suffix", "result"),
    [
        ("wmav2", "in.wmv", ".mkv", "flac"),
        ("wmav2", "in.wmv", ".mp4", "aac"),
        ("pcm_mulaw", "in.mov", ".mkv", "flac"),
        ("adpcm_ms", "in.avi", ".mp4", "aac"),
        ("aac", "in.mp4", ".webm", "opus"),
        ("aac", "in.ts", ".avi", "pcm_s16le"),
        ("aac", "in.ts", ".mp4", None),
        ("libmp3lame", "in.avi", ".mp4", None),
        ("ac3", "in.mkv", ".avi", None),
    ],
)
def test_sound_that_a_container_refuses_is_encoded(tmp_path, caplog, codec, source, suffix, result):
    source = write_with_sound(tmp_path / source, codec=codec)
    out = copied(source, tmp_path / f"out{suffix}")
    told = [line for line in caplog.messages if "encoded anew" in line]
    assert len(told) == (result is not None)
    if result:
        assert streams_of(out)[1][0] == result
        with av.open(str(out)) as container:
            heard = np.concatenate([f.to_ndarray().astype(float).ravel() for f in container.decode(audio=0)])
        assert heard.std() > 0.1 * np.abs(heard).max() > 0  # the tone, no silence
        assert end_of_sound(out) == pytest.approx(2, abs=0.1)
    else:
        before, after = ([data for _, data in sound_of(path)] for path in (source, out))
        header = 7 * (source.suffix == ".ts")  # of each packet in a transport stream
        assert [data[header:] for data in before] == after
    assert len(list(open_clip(out))) == 50


def test_damaged_sound_ends_no_conversion_and_moves_nothing(tmp_path, caplog):
    source = flash_and_beep(tmp_path / "in.mp4", 75, flash=60)
    with av.open(str(source)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size][20:60]
    data = bytearray(source.read_bytes())
    for place, size in places:
        data[place : place + size] = b"\xff" * size
    source.write_bytes(data)
    out = copied(source, tmp_path / "out.webm")
    assert caplog.messages.count(f"{source}: pieces of its sound, damaged or of another form, are left out") == 1
    with av.open(str(out)) as container:
        loud = [f.pts * f.time_base for f in container.decode(audio=0) if np.abs(f.to_ndarray()).max() > 0.05]
    assert float(loud[0]) == pytest.approx(60 / 25, abs=0.05)


def several(path, options=()):
    """A clip with two languages, subtitles, a font, chapters and texts."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height = 64, 48
        sounds = [container.add_stream("aac", rate=48000) for _ in range(2)]
        subtitles = container.add_mux_stream("subrip")
        subtitles.time_base = Fraction(1, 1000)
        for stream, language, title in zip(
            (*sounds, subtitles), ("eng", "jpn", "fre"), ("", "Talk", "Mots"), strict=True
        ):
            stream.metadata.update({"language": language, "title": title} if title else {"language": language})
        sounds[0].disposition, sounds[1].disposition, video.disposition = 0, Disposition.default, Disposition.default
        container.add_attachment("letters.ttf", "font/ttf", b"glyphs")
        container.metadata.update({"title": "Holiday", "artist": "Ann", "comment": "by the sea"})
        second = {"time_base": Fraction(1, 1000), "metadata": {"title": "Beach"}}
        container.set_chapters(
            [{"id": 1, "start": 0, "end": 400, **second}, {"id": 2, "start": 400, "end": 1000, **second}]
        )
        for number in range(25):
            container.mux(
                video.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), number, np.uint8), format="rgb24"))
            )
        container.mux(video.encode(None))
        for sound in sounds:
            frame = av.AudioFrame.from_ndarray(np.zeros((2, 48000), np.float32), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = 48000, 0
            container.mux([*sound.encode(frame), *sound.encode(None)])
        text = av.Packet(b"Bonjour")
        text.stream, text.pts, text.dts, text.duration, text.time_base = subtitles, 200, 200, 300, Fraction(1, 1000)
        container.mux(text)
    return path


def test_everything_is_kept_in_matroska(tmp_path, caplog):
    out = copied(several(tmp_path / "in.mkv"), tmp_path / "out.mkv")
    assert caplog.messages == []
    default = int(Disposition.default)
    assert streams_of(out)[:4] == [
        ("h264", None, default), ("aac", "eng", 0), ("aac", "jpn", default), ("subrip", "fre", 0),
    ]  # fmt: skip
    with av.open(str(out)) as container:
        assert [s.metadata.get("title") for s in container.streams][1:4] == [None, "Talk", "Mots"]
        (font,) = container.streams.attachments
        assert (font.name, font.mimetype, font.data) == ("letters.ttf", "font/ttf", b"glyphs")
        assert container.metadata.items() >= {"title": "Holiday", "ARTIST": "Ann", "COMMENT": "by the sea"}.items()
        chapters = [(c["start"] * c["time_base"], c["metadata"]["title"]) for c in container.chapters()]
        assert [title for _, title in chapters] == ["Beach", "Beach"]
        start = container.streams.video[0].start_time * Fraction(1, 1000)
        assert chapters[1][0] - start == pytest.approx(Fraction(2, 5), abs=0.03)
        (text,) = [packet for packet in container.demux(subtitles=0) if packet.size]
        assert bytes(text) == b"Bonjour"
        assert float(text.pts * text.time_base - start) == pytest.approx(0.2, abs=0.03)
        assert float(text.duration * text.time_base) == pytest.approx(0.3)


def test_an_mp4_keeps_what_it_can_and_the_rest_is_told(tmp_path, caplog):
    out = copied(several(tmp_path / "in.mkv"), tmp_path / "out.mp4")
    assert caplog.messages == [
        f"{tmp_path / 'in.mkv'}: not taken over: subtitles in subrip (.mkv would hold them), "
        "letters.ttf (an .mkv takes it)"
    ]
    assert [language for _, language, _ in streams_of(out)][1:3] == ["eng", "jpn"]
    with av.open(str(out)) as container:
        assert container.metadata["title"] == "Holiday"
        assert [c["metadata"]["title"] for c in container.chapters()] == ["Beach", "Beach"]
    caplog.clear()
    again = copied(out, tmp_path / "again.mkv")
    assert caplog.messages == []
    with av.open(str(again)) as container:
        assert [s.metadata.get("title") for s in container.streams.audio] == [None, "Talk"]
        assert len(container.chapters()) == 2


def test_a_track_that_ffmpeg_does_not_know_takes_no_other_with_it(tmp_path, caplog):
    data = bytearray(copied(several(tmp_path / "in.mkv"), tmp_path / "two.mp4").read_bytes())
    for old, new in ((b"mp4a", b"apac"), (b"esds", b"dapa")):
        at = data.rindex(old)
        data[at : at + 4] = new
    (tmp_path / "phone.mp4").write_bytes(data)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        out = copied(tmp_path / "phone.mp4", tmp_path / "out.mp4")
    assert caplog.messages == [
        f"{tmp_path / 'phone.mp4'}: not taken over: track 2 (audio, of a kind that FFmpeg does not know)"
    ]
    assert [codec for codec, _, _ in streams_of(out)][:2] == ["h264", "aac"]


def test_what_a_container_takes(tmp_path):
    with av.open(str(write_with_sound(tmp_path / "in.wmv", codec="wmav2", seconds=0.2))) as container:
        assert [s for s, kind in CONTAINERS.items() if takes(kind, container.streams.audio[0])] == [".avi"]


def test_texts_that_are_not_true_of_a_copy():
    told = {
        "title": "A",
        "ENCODER": "Lavf",
        "BPS-eng": "9",
        "_STATISTICS_TAGS": "BPS",
        "DURATION": "1",
        "language": "eng",
    }
    assert texts(told) == {"title": "A", "language": "eng"}
