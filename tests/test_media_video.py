"""Reading videos: which picture is shown when, whichever way up, out of whatever file."""

import warnings
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from media.errors import InputError
from media.video import probe, read_frames, stream_frames
from tests.recordings import number_of, numbered, record, tone


def shown_numbers(times, end):
    """Naive: for each 40 ms, the number of the picture shown just before their middle."""
    numbers = []
    while len(numbers) / 25 + 0.019 < end - times[0]:
        now = times[0] + len(numbers) / 25 + 0.019
        numbers.append(max(i for i, time in enumerate(times) if time <= now + 1e-9))
    return numbers


def at_rate(rate, seconds):
    return [Fraction(i) / Fraction(rate) for i in range(int(seconds * Fraction(rate)))]


def seen(path, start=0, stop=None):
    return [number_of(frame) for frame in stream_frames(path, start, stop)]


KINDS = [
    ("a.mp4", "libx264", "25", {}),
    ("b.mp4", "libx264", "30000/1001", {"pixels": "yuv444p"}),
    ("c.mp4", "libx265", "60", {"options": {"x265-params": "log-level=none"}}),
    ("d.mkv", "ffv1", "50", {"pixels": "yuv420p10le"}),
    ("e.webm", "libvpx-vp9", "24", {"options": {"deadline": "realtime", "cpu-used": "8"}}),
    ("f.webm", "libvpx", "12", {"options": {"deadline": "realtime"}}),
    ("g.avi", "mpeg4", "15", {}),
    ("h.ts", "libx264", "30", {}),
    ("i.mpg", "mpeg2video", "25", {}),
    ("j.mov", "mjpeg", "10", {"pixels": "yuvj420p"}),
    ("k.flv", "libx264", "25", {"time_base": Fraction(1, 1000)}),
    ("l.mp4", "libsvtav1", "25", {"options": {"preset": "12"}}),
    ("m.mov", "prores", "25", {"pixels": "yuv422p10le"}),
]


@pytest.mark.parametrize(("name", "codec", "rate", "how"), KINDS)
def test_any_container_codec_and_rate(tmp_path, name, codec, rate, how):
    times = at_rate(rate, 1.6)
    how = {"time_base": 1 / Fraction(rate), "frame_rate": Fraction(rate)} | how
    path = record(
        tmp_path / name,
        times,
        codec,
        sound=tone(1.6, 48_000, channels=2),
        rate=48_000,
        sound_codec={"webm": "libopus", "mpg": "mp2", "avi": "pcm_s16le", "flv": "aac"}.get(name[2:], "aac"),
        **how,
    )
    numbers = seen(path)
    assert numbers == shown_numbers(times, 1.6 if rate != "30000/1001" else float(len(times) / Fraction(rate)))
    info = probe(path)
    assert (info.width, info.height, info.has_audio, info.rotation) == (128, 96, True, 0)
    assert abs(info.frames - len(numbers)) <= (5 if name.endswith("mpg") else 1)  # of which the length is a guess
    # A part is the same pictures as the whole, wherever it begins.
    for start, stop in ((1, 4), (17, 23), (len(numbers) - 2, None), (9, 10)):
        assert seen(path, start, stop) == numbers[start:stop]


def test_variable_rate_follows_the_time_stamps(tmp_path):
    gaps = np.random.default_rng(0).choice([11, 16, 33, 34, 90, 250], 120)
    times = [Fraction(int(t), 1000) for t in np.cumsum(gaps)]
    for name in ("v.mkv", "v.mp4"):
        path = record(tmp_path / name, times, time_base=Fraction(1, 1000))
        numbers = seen(path)
        assert (
            numbers[: int(25 * (times[-1] - times[0]))]
            == shown_numbers(times, times[-1] + 1)[: int(25 * (times[-1] - times[0]))]
        )
        assert max(numbers) == 119
        assert seen(path, 40, 60) == numbers[40:60]


def test_jittering_time_stamps_of_25_fps_lose_no_picture(tmp_path):
    jitter = np.random.default_rng(1).integers(-15, 16, 100)
    times = [Fraction(40 * i + int(j) * (i > 0) + 100, 1000) for i, j in enumerate(jitter)]
    path = record(tmp_path / "jitter.mkv", times, time_base=Fraction(1, 1000))
    assert seen(path)[:100] == list(range(100))


def test_ntsc_rate_does_not_drift(tmp_path):
    # 30 s of 30000/1001: after them a drift of 1 in 1000 would be 30 ms, most of a frame.
    times = at_rate("30000/1001", 30)
    path = record(tmp_path / "ntsc.mkv", times, time_base=Fraction(1001, 30000), frame_rate=Fraction(30000, 1001))
    numbers = seen(path, 740)
    assert len(numbers) == 10
    for k, number in enumerate(numbers, 740):
        assert abs(times[number] + Fraction(1001, 60000) - Fraction(2 * k + 1, 50)) < 0.021


def turned(picture, degrees, hflip=False, vflip=False):
    picture = np.rot90(picture, round(degrees / 90))
    picture = picture[:, ::-1] if hflip else picture
    return picture[::-1] if vflip else picture


@pytest.mark.parametrize("rotate", [(0,), (90,), (180,), (-90,), (0, True), (90, True), (0, False, True), (-90, True)])
def test_rotation_flags_are_obeyed(tmp_path, rotate):
    path = record(tmp_path / "r.mp4", at_rate(25, 0.2), rotate=rotate)
    frame = read_frames(path)[1]
    expected = turned(numbered(1), *rotate)
    assert frame.shape == expected.shape
    assert np.abs(frame.astype(int) - expected).mean() < 6
    info = probe(path)
    assert (info.height, info.width) == expected.shape[:2]
    if len(rotate) == 1:
        assert info.rotation == -rotate[0] % 360


def test_pixels_that_are_not_square_become_square(tmp_path):
    path = record(tmp_path / "dv.mkv", at_rate(25, 0.2), aspect=Fraction(3, 2))
    assert (probe(path).width, probe(path).height) == (192, 96)
    frames = read_frames(path)
    assert frames.shape[1:] == (96, 192, 3)
    assert [number_of(frame) for frame in frames] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("matrix", "pixels"), [(1, "yuv420p"), (5, "yuv420p"), (1, "yuv444p10le"), (6, "yuvj420p")])
def test_colours_come_out_as_they_went_in(tmp_path, matrix, pixels):
    import av

    colours = np.random.default_rng(0).integers(10, 246, (60, 3))
    red, green, blue = (0.2126, 0.7152, 0.0722) if matrix == 1 else (0.299, 0.587, 0.114)  # of the two standards
    found = []
    path = tmp_path / "colours.mkv"
    deep, full = "10" in pixels, "j" in pixels
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1" if not full else "mjpeg", rate=25, options={"q": "1"} if full else {})
        stream.width = stream.height = 32
        stream.pix_fmt = pixels
        stream.codec_context.colorspace = matrix
        stream.codec_context.color_range = 2 if full else 1
        if full:
            stream.codec_context.qmin = stream.codec_context.qmax = 1
        for colour in colours / 255:
            luma = colour @ (red, green, blue)
            chroma = np.array([(colour[2] - luma) / (2 - 2 * blue), (colour[0] - luma) / (2 - 2 * red)])
            levels = [255 * luma, *(128 + 255 * chroma)] if full else [16 + 219 * luma, *(128 + 224 * chroma)]
            picture = av.VideoFrame(32, 32, pixels)
            picture.colorspace, picture.color_range = matrix, 2 if full else 1
            for plane, level in zip(picture.planes, levels, strict=True):
                value = np.array(round(level * (4 if deep else 1)), "<u2" if deep else "u1")
                plane.update(np.full(plane.buffer_size // value.itemsize, value).tobytes())
            for packet in stream.encode(picture):
                container.mux(packet)
        container.mux(stream.encode(None))
    found = read_frames(path)[:, 8:24, 8:24].mean(axis=(1, 2))
    assert np.abs(found - colours).max() < 3
    assert np.abs((found - colours).mean(axis=0)).max() < 0.5  # no darkening


def test_frames_are_arrays_of_their_own(tmp_path):
    path = record(tmp_path / "slow.mp4", at_rate(5, 1), frame_rate=5, time_base=Fraction(1, 5))
    frames = []
    for frame in stream_frames(path):
        frames.append(frame.copy())
        frame[:] = 0  # whoever draws on a frame must not change the next
    assert [number_of(frame) for frame in frames] == [i // 5 for i in range(25)]
    assert frames[0].dtype == np.uint8
    assert frames[0].flags.c_contiguous


def test_parts_beyond_the_end(tmp_path):
    path = record(tmp_path / "short.mp4", at_rate(25, 0.4))
    assert seen(path, 8, 100) == [8, 9]
    assert seen(path, 3, 3) == []
    assert seen(path, 50) == []
    with pytest.raises(InputError, match=r"has no frame 50 \(2.00 s\)"):
        read_frames(path, 50, 60)


def test_late_pictures_begin_with_frame_0(tmp_path):
    path = record(tmp_path / "late.mkv", [t + 3 for t in at_rate(25, 0.4)], sound=tone(4, 16_000))
    assert seen(path) == list(range(10))
    assert seen(path, 4) == list(range(4, 10))


def test_file_names_that_look_like_something_else(tmp_path):
    for name in ("12:30.mp4", "frame%03d.mp4", "ein Gespräch [1].mp4", "-y.mp4"):
        path = record(tmp_path / "plain.mp4", at_rate(25, 0.2)).rename(tmp_path / name)
        assert len(seen(path)) == 5
        assert probe(str(path)).codec == "h264"


def refusals(path):
    messages = []
    for use in (probe, read_frames, lambda p: next(stream_frames(p))):
        with pytest.raises(InputError) as caught:
            use(path)
        messages.append(str(caught.value))
        assert "\n" not in messages[-1]
        assert str(path) in messages[-1]
    return messages[0]


def test_unreadable_files_are_refused_in_one_line(tmp_path):
    def made(name, content):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    assert "no such file" in refusals(tmp_path / "none.mp4")
    assert "is a folder" in refusals(tmp_path)
    assert "empty" in refusals(made("empty.mp4", b""))
    assert "broken or no video" in refusals(made("text.mp4", b"not a video at all\n" * 99))
    assert "broken or no video" in refusals(made("noise.mp4", np.random.default_rng(0).bytes(50_000)))
    whole = record(tmp_path / "whole.mp4", at_rate(25, 2)).read_bytes()
    assert "broken" in refusals(made("no_index.mp4", whole[: len(whole) // 2]))
    assert "no picture track" in refusals(
        record(tmp_path / "sound.wav", sound=tone(1, 16_000), sound_codec="pcm_s16le")
    )


def test_pictures_in_a_sound_file_are_no_video(tmp_path):
    import av

    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        audio = container.add_stream("libmp3lame", rate=16_000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        container.start_encoding()
        picture = av.VideoFrame.from_ndarray(numbered(0, 64, 64), format="rgb24")
        for packet in [*cover.encode(picture), *cover.encode(None)]:
            container.mux(packet)
        frame = av.AudioFrame.from_ndarray((tone(1, 16_000) * 9000).astype(np.int16), format="s16p", layout="mono")
        frame.sample_rate = 16_000
        for packet in [*audio.encode(frame), *audio.encode(None)]:
            container.mux(packet)
    assert "no picture track" in refusals(path)


@pytest.mark.parametrize("name", ["cut.mkv", "cut.ts", "cut.mp4"])
def test_a_file_that_breaks_off_is_read_up_to_the_break_and_says_so(tmp_path, name):
    fragments = {"movflags": "faststart"} if name.endswith("mp4") else {}
    whole = record(tmp_path / name, at_rate(25, 6), options={"g": "10"}, file_options=fragments)
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) * 6 // 10])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        numbers = seen(whole)
    assert 60 < len(numbers) < 140
    assert numbers == list(range(len(numbers)))
    if name != "cut.ts":  # a transport stream declares no length
        assert any("cut off or is damaged" in str(warning.message) for warning in caught)


def test_damage_in_the_middle_leaves_the_rest_in_its_place(tmp_path):
    path = record(tmp_path / "scratched.ts", at_rate(25, 8), options={"g": "10"})
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = np.random.default_rng(0).bytes(4000)
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        numbers = seen(path)
    right = [number == k for k, number in enumerate(numbers)]
    assert len(numbers) == 200
    assert sum(right) > 150
    assert all(right[:60])
    assert all(right[-60:])


def test_time_stamps_that_jump_are_refused(tmp_path):
    times = [Fraction(i, 25) + (5000 if i > 20 else 0) for i in range(40)]
    path = record(tmp_path / "jump.mkv", times, time_base=Fraction(1, 1000))
    with pytest.raises(InputError, match=r"jump from 0\.8 s to 5000\.8 s"):
        seen(path)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "frames", "shape"),
    [("yi31", 607, (720, 1280, 3)), ("garden_10s", 250, (1920, 1080, 3)), ("window_19s", 466, (740, 740, 3))],
)
def test_real_recordings_are_read_whole(name, frames, shape):
    path = Path(__file__).parents[2] / f"shared/data/personal/{name}.mp4"
    if not path.exists():
        pytest.skip("the recording is not there")
    info = probe(path)
    assert (info.height, info.width, 3) == shape
    assert info.frames == frames
    start = frames - 12
    assert len(read_frames(path, start)) == 12
    part = read_frames(path, 20, 24)
    for whole, piece in pairwise([None, *zip(stream_frames(path, 0, 24), [None] * 20 + list(part), strict=True)]):
        if whole is None or piece[1] is None:
            continue
        np.testing.assert_array_equal(*piece)
