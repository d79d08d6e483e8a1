"""Writing videos: every frame, the sound in step, and nothing half done."""

import subprocess
import sys
import textwrap
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from media.audio import read_audio
from media.errors import InputError
from media.video import VideoWriter, probe, read_frames, stream_frames
from tests.recordings import number_of, numbered


def natural(frames=10, height=96, width=128, seed=0):
    """Smooth coloured shapes that move, (T, H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    light, colour = rng.normal(size=(height + 40, width + 40, 1)), rng.normal(size=(height + 40, width + 40, 3))
    light, colour = gaussian_filter(light, (2, 2, 0)), gaussian_filter(colour, (12, 12, 0))
    picture = np.clip(128 + 40 * light / light.std() + 25 * colour / colour.std(), 0, 255).astype(np.uint8)
    return np.stack([picture[k % 40 :, k % 40 :][:height, :width] for k in range(frames)])


def write(path, frames, **options):
    with VideoWriter(path, frames[0].shape[1], frames[0].shape[0], **options) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def decibels(a, b):
    return 10 * np.log10(255**2 / np.square(a.astype(float) - b).mean())


def test_an_archive_is_small_and_depends_on_no_cores(tmp_path):
    frames = natural(height=256, width=256)
    plain, archive = (write(tmp_path / f"{a}.mp4", frames, crf=8, gop=1, archive=a) for a in (False, True))
    assert archive.stat().st_size < 0.9 * plain.stat().st_size
    assert decibels(read_frames(archive), frames) > decibels(read_frames(plain), frames) - 2
    with av.open(str(archive)) as container:
        assert all(packet.is_keyframe for packet in container.demux(video=0) if packet.size)
    options = archive.read_bytes().partition(b"options: ")[2][:600].split()  # as x264 writes them into the file
    assert {b"cabac=0", b"threads=1"} <= set(options)


def sounding(frames, seed=0):
    return np.random.default_rng(seed).uniform(-0.3, 0.3, frames * 640).astype(np.float32)


@pytest.mark.parametrize("frames", [1, 2, 3, 26, 100])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_every_frame_comes_back_in_order(tmp_path, frames, ending):
    path = write(tmp_path / f"v.{ending}", [numbered(k) for k in range(frames)], audio=sounding(frames))
    assert [number_of(frame) for frame in stream_frames(path)] == list(range(frames))
    info = probe(path)
    assert (info.width, info.height, info.fps) == (128, 96, 25)
    assert abs(info.frames - frames) <= (0 if ending == "mp4" else 2)  # a matroska file's length is not exact
    assert info.codec == "h264"


@pytest.mark.parametrize("threads", [1, 2])
def test_the_encoder_takes_the_threads_it_is_given(tmp_path, threads):
    path = write(tmp_path / "v.mp4", natural(3, 256, 256), threads=threads)
    assert b" threads=%d " % threads in path.read_bytes()  # x264 writes its settings into the first frame


def test_pictures_stay_what_they_are(tmp_path):
    frames = natural()
    read = read_frames(write(tmp_path / "v.mp4", frames))
    assert decibels(read, frames) > 37
    assert np.abs((read.astype(float) - frames).mean(axis=(0, 1, 2))).max() < 0.7  # no generation gets darker
    assert decibels(read_frames(write(tmp_path / "fine.mp4", frames, crf=8)), frames) > 40


def test_lossless_is_without_loss(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (5, 37, 51, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read_frames(write(tmp_path / "v.mp4", frames, lossless=True)), frames)
    path = write(tmp_path / "keys.mp4", frames, lossless=True, gop=1)
    np.testing.assert_array_equal(read_frames(path, 3, 5), frames[3:5])


def test_colours_are_tagged_and_right_for_other_programs(tmp_path):
    colours = np.array([[200, 40, 40], [40, 180, 60], [50, 60, 210], [128, 128, 128]], np.uint8)
    path = write(tmp_path / "v.mp4", np.tile(colours[:, None, None], (1, 32, 32, 1)), crf=1, gop=1)
    with av.open(str(path)) as container:
        for colour, frame in zip(colours, container.decode(video=0), strict=True):
            assert (frame.colorspace, frame.color_range) == (6, 1)
            luma = np.frombuffer(frame.planes[0], np.uint8)[0]
            assert abs(luma - (16 + 219 / 255 * colour @ (0.299, 0.587, 0.114))) < 2


@pytest.mark.parametrize(("height", "width"), [(95, 128), (96, 127), (33, 51)])
def test_odd_sizes_grow_by_a_copy_of_their_edge(tmp_path, height, width):
    frames = natural(3, height, width)
    read = read_frames(write(tmp_path / "v.mp4", frames))
    assert read.shape == (3, height + height % 2, width + width % 2, 3)
    assert decibels(read[:, :height, :width], frames) > 34
    assert decibels(read[:, -1, :width], frames[:, -1]) > 30
    assert decibels(read[:, :height, -1], frames[:, :, -1]) > 30


def test_key_frames_as_asked(tmp_path):
    def keys(path):
        with av.open(str(path)) as container:
            return [frame.key_frame for frame in container.decode(video=0)]

    frames = natural(30)
    assert all(keys(write(tmp_path / "all.mp4", frames, gop=1)))
    assert sum(keys(write(tmp_path / "few.mp4", frames))) == 1


def test_flash_and_click_stay_together(tmp_path):
    frames = np.full((75, 64, 64, 3), 20, np.uint8)
    sound = np.zeros(75 * 640, np.float32)
    for frame in (0, 30, 61):
        frames[frame] = 230
        sound[frame * 640 : frame * 640 + 320] = np.random.default_rng(frame).uniform(-0.8, 0.8, 320)
    for ending in ("mp4", "mov", "mkv"):
        path = write(tmp_path / f"v.{ending}", frames, audio=sound)
        flashes = [k for k, frame in enumerate(stream_frames(path)) if frame.mean() > 120]
        heard = read_audio(path)
        loud = np.flatnonzero(np.abs(heard) > 0.25)
        clicks = [loud[i] for i in range(len(loud)) if i == 0 or loud[i] - loud[i - 1] > 6400]
        assert flashes == [0, 30, 61]
        np.testing.assert_allclose(np.array(clicks) / 640, flashes, atol=0.08)  # 3 ms


@pytest.mark.parametrize("frames", [7, 50, 123])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_sound_comes_back_in_its_place_and_length(tmp_path, frames, ending):
    rng = np.random.default_rng(frames)
    sound = gaussian_filter(rng.normal(size=frames * 640), 2)
    sound = (0.3 * sound / np.abs(sound).max()).astype(np.float32)
    heard = read_audio(write(tmp_path / f"v.{ending}", np.zeros((frames, 32, 32, 3), np.uint8), audio=sound))
    assert abs(len(heard) - len(sound)) <= 1024  # at most one AAC frame
    heard = np.pad(heard, (0, 1024))[: len(sound)]
    shifts = range(-40, 41)
    match = [np.dot(np.roll(heard, -shift), sound) for shift in shifts]
    assert shifts[int(np.argmax(match))] == 0
    assert np.corrcoef(heard, sound)[0, 1] > 0.98


def test_sound_is_cut_with_the_picture_and_may_be_shorter(tmp_path):
    frames = np.zeros((10, 32, 32, 3), np.uint8)
    longer = read_audio(write(tmp_path / "long.mp4", frames, audio=sounding(100)))
    assert abs(len(longer) - 6400) <= 1024
    shorter = read_audio(write(tmp_path / "short.mp4", frames, audio=sounding(4)))
    assert abs(len(shorter) - 2560) <= 1024
    assert probe(tmp_path / "short.mp4").frames == 10


def test_writing_holds_no_frames_back(tmp_path):
    # A stream of any length needs the same memory: after a second, x264 has begun to write.
    with VideoWriter(tmp_path / "v.mkv", 128, 96, gop=5) as writer:
        for frame in natural(200, seed=1):
            writer.write(frame)
        (partial,) = tmp_path.iterdir()
        assert partial.stat().st_size > 100_000
        assert not (tmp_path / "v.mkv").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["v.mkv"]


def test_an_error_leaves_nothing_and_the_old_file_as_it_was(tmp_path):
    path = write(tmp_path / "v.mp4", natural(3))
    before = path.read_bytes()

    def broken():
        with VideoWriter(path, 128, 96, audio=sounding(9)) as writer:
            writer.write(natural(1)[0])
            raise KeyError("something else")

    with pytest.raises(KeyError, match="something else"):
        broken()
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["v.mp4"]


def test_missing_folders_are_made(tmp_path):
    assert probe(write(tmp_path / "a" / "b" / "v.mp4", natural(2))).frames == 2


def test_refusals_are_one_line(tmp_path):
    frames = natural(1)
    (tmp_path / "plain").write_text("a file")
    (tmp_path / "folder.mp4").mkdir()
    cases = [
        ("v.gif", {}, "change the ending"),
        ("folder.mp4", {}, "is a folder"),
        ("plain/v.mp4", {}, "cannot be written"),
        ("v.mp4", {"audio": np.array([0, np.nan])}, r"sample 1 \(0.00 s\) is nan"),
        ("v.mp4", {"audio": np.zeros((2, 100))}, "mono"),
    ]
    for name, options, what in cases:
        with pytest.raises(InputError, match=what) as caught:
            write(tmp_path / name, frames, **options)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no frame to write"), VideoWriter(tmp_path / "none.mp4", 64, 64):
        pass
    with pytest.raises(ValueError, match=r"expected a uint8 frame \(96, 128, 3\), found float64"):
        write(tmp_path / "v.mp4", [frames[0], frames[0] / 255.0])
    with pytest.raises(ValueError, match=r"found uint8 \(64, 64, 3\)"):
        write(tmp_path / "v.mp4", [frames[0], frames[0][:64, :64]])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.mp4", "plain"]


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of file sizes")
@pytest.mark.parametrize("room", [50, 5_000, 60_000])
@pytest.mark.parametrize("ending", ["mp4", "mkv", "wav"])
def test_a_full_disk_is_one_line(tmp_path, room, ending):
    program = f"""
        import resource, signal
        import numpy as np
        from media.audio import write_wav
        from media.errors import InputError
        from media.video import VideoWriter
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails then, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))
        noise = np.random.default_rng(0).integers(0, 256, (60, 64, 64, 3), dtype=np.uint8)
        try:
            if "{ending}" == "wav":
                write_wav("{tmp_path}/v.wav", np.zeros(50_000))
            else:
                with VideoWriter("{tmp_path}/v.{ending}", 64, 64, audio=np.zeros(38_400)) as writer:
                    for frame in noise:
                        writer.write(frame)
        except InputError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.count("\n") == 1
    assert f"v.{ending}: cannot be written" in done.stdout
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_time_stamps_are_exact(tmp_path):
    path = write(tmp_path / "v.mp4", natural(60), audio=sounding(60))
    with av.open(str(path)) as container:
        times = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    assert times == [Fraction(k, 25) for k in range(60)]
