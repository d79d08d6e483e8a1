"""Recordings whose every picture says its own number, made with FFmpeg alone: nothing of `media` is in them."""

from fractions import Fraction

import av
import numpy as np

WIDTH, HEIGHT = 128, 96
BITS = 10


def numbered(number, width=WIDTH, height=HEIGHT):
    """A picture with its number in black and white stripes, and a red corner at its upper left."""
    picture = np.full((height, width, 3), 128, np.uint8)
    for bit in range(BITS):
        start, stop = (width * bit // BITS, width * (bit + 1) // BITS)
        picture[height // 3 :, start:stop] = 235 if number >> bit & 1 else 20
    picture[: height // 3, : width // 3] = (220, 30, 30)
    return picture


def number_of(picture):
    """The number a picture says it has, in any size."""
    height, width = picture.shape[:2]
    row = picture[height // 2 : -height // 8].mean(axis=(0, 2))
    return sum(int(row[int(width * (bit + 0.5) / BITS)] > 128) << bit for bit in range(BITS))


def tone(seconds, rate, frequency=440.0, channels=1):
    """A sine, (channels, n) float."""
    wave = 0.4 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)
    return np.tile(wave, (channels, 1)).astype(np.float32)


def record(
    path,
    times=None,
    codec="libx264",
    sound=None,
    rate=16_000,
    sound_codec="aac",
    sound_start=0.0,
    time_base=Fraction(1, 90_000),
    pixels="yuv420p",
    options=None,
    frame_rate=None,
    rotate=None,
    aspect=None,
    pictures=numbered,
    file_options=None,
):
    """Write pictures shown at `times` (s) and `sound` (channels, n) from `sound_start` (s) on; both may be None."""
    with av.open(str(path), "w", options=file_options or {}) as container:
        packets = []
        if times is not None:
            video = container.add_stream(codec, rate=frame_rate or 25, options=options or {})
            first = pictures(0)
            video.width, video.height, video.pix_fmt = first.shape[1], first.shape[0], pixels
            video.codec_context.time_base = time_base
            if aspect:
                video.codec_context.sample_aspect_ratio = aspect
            if rotate is not None:
                video.set_display_rotation(*rotate)
        if sound is not None:
            layout = {1: "mono", 2: "stereo", 3: "2.1", 6: "5.1"}[len(sound)]
            audio = container.add_stream(sound_codec, rate=rate, layout=layout)
        if times is not None:
            packets += _encoded(video, _pictures(times, time_base, pixels, pictures))
        if sound is not None:
            packets += _encoded(audio, _sounds(sound, rate, layout, sound_start, audio))
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            container.mux(packet)
    return path


def _encoded(stream, frames):
    return [packet for frame in [*frames, None] for packet in stream.encode(frame)]


def _pictures(times, time_base, pixels, pictures):
    for number, time in enumerate(times):
        picture = av.VideoFrame.from_ndarray(pictures(number), format="rgb24").reformat(format=pixels)
        picture.pts, picture.time_base = round(time / time_base), time_base
        yield picture


def _sounds(sound, rate, layout, start, stream):
    form = stream.codec_context.format.name
    size = stream.codec_context.frame_size or 1024
    resampler = av.AudioResampler(format=form, layout=layout, rate=rate, frame_size=size)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), format="fltp", layout=layout)
    frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
    for piece in [*resampler.resample(frame), *resampler.resample(None)]:
        piece.pts += round(start * rate)
        yield piece
