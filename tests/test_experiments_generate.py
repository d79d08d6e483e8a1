"""What `experiments.generate` refuses before it loads a talker."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from experiments import person
from experiments.generate import main, speak
from experiments.settings import compose, save_settings
from media.audio import write_wav
from media.errors import InputError


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """A run folder whose talker may not be loaded."""
    monkeypatch.setattr(person, "load_talker", lambda *_: pytest.fail("the talker was loaded"))
    monkeypatch.chdir(tmp_path)
    save_settings(compose([]), tmp_path)
    write_wav("speech.wav", np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32))
    write_wav("silence.wav", np.zeros(16000, np.float32))
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("audio", "output", "parts"),
    [
        ("speech.wav", "out.avi", ("output", "out.avi", "change the ending")),
        ("speech.wav", "folder.mp4", ("output", "is a folder")),
        ("speech.wav", "file/out.mp4", ("output", "cannot write into file")),
        ("silence.wav", "out.mp4", ("silence.wav", "silent")),
    ],
)
def test_refused_before_the_talker_is_loaded(run, capsys, audio, output, parts):
    assert main([f"run={run}", f"audio={audio}", f"output={output}"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    for part in parts:
        assert part in said


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    talker = SimpleNamespace(
        listen=lambda samples: None,
        perform=lambda motion: [0],
        full_frames=lambda performance: iter([np.zeros((32, 32, 3), np.uint8)]),
        frame_size=(32, 32),
    )
    samples = np.random.default_rng(0).normal(0, 0.1, 640).astype(np.float32)
    with pytest.raises(InputError, match=r"out\.mp4: cannot be written"):
        speak(talker, samples, tmp_path / "file" / "out.mp4")
    speak(talker, samples, tmp_path / "new" / "out.mp4")
    assert (tmp_path / "new" / "out.mp4").is_file()
