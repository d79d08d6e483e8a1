"""The sha256 of a file is that of its bytes."""

import hashlib

import pytest

from media.digest import sha256
from media.errors import InputError


def test_sha256_is_that_of_the_bytes(tmp_path):
    path = tmp_path / "bytes"
    path.write_bytes(b"abc" * 1000)
    assert sha256(path) == hashlib.sha256(b"abc" * 1000).hexdigest()
    with pytest.raises(InputError, match="cannot be read"):
        sha256(tmp_path / "none")
