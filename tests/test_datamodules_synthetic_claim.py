"""Folders of embedded clips hold one corpus each."""

from pathlib import Path

import pytest

from datamodules.synthetic import corpus
from datamodules.synthetic.claim import claim
from datamodules.synthetic.corpus import make_corpus
from datamodules.synthetic.spoken_corpus import make_spoken_corpus
from media.errors import InputError


def test_a_folder_without_clips_is_free(tmp_path: Path) -> None:
    claim(tmp_path / "new", {"seconds": 1.0}, occupied=False)
    claim(tmp_path / "new", {"seconds": 2.0}, occupied=False)  # the first could not be made
    claim(tmp_path / "new", {"seconds": 2.0}, occupied=True)
    with pytest.raises(InputError, match=r'holds the corpus \{"seconds": 2\.0\}, not \{"seconds": 1\.0\}'):
        claim(tmp_path / "new", {"seconds": 1.0}, occupied=True)


def test_clips_of_an_unknown_corpus_are_not_claimed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds another corpus"):
        claim(tmp_path, {"seconds": 1.0}, occupied=True)
    assert not list(tmp_path.iterdir())


def test_films_of_another_length_are_not_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def film(path: Path, seconds: float, seed: int, progress: bool) -> None:
        path.touch()
        path.with_suffix(".npz").touch()

    monkeypatch.setattr(corpus, "make_person_film", film)
    made = make_corpus(tmp_path, people=1, seconds=4)
    assert make_corpus(tmp_path, people=2, seconds=4.0)[:1] == made  # more people are welcome
    with pytest.raises(InputError, match=r"holds the corpus .*4\.0.*5\.0"):
        make_corpus(tmp_path, people=1, seconds=5.0)


def test_speech_of_another_length_is_not_returned(tmp_path: Path) -> None:
    claim(tmp_path, {"kind": "spoken", "seconds": 24.0}, occupied=False)
    (tmp_path / "speaker_0000").mkdir()
    with pytest.raises(InputError, match=r"holds the corpus .*24\.0.*12\.0"):
        make_spoken_corpus(tmp_path, speakers=2, seconds=12.0)
