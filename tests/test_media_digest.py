"""The sha256 of a file is that of its bytes, of values that of their JSON."""

import hashlib

import pytest

from media.digest import sha256, sha256_of_values
from media.errors import InputError


def test_sha256_is_that_of_the_bytes(tmp_path):
    path = tmp_path / "bytes"
    path.write_bytes(b"abc" * 1000)
    assert sha256(path) == hashlib.sha256(b"abc" * 1000).hexdigest()
    with pytest.raises(InputError, match="cannot be read"):
        sha256(tmp_path / "none")


def test_values_have_one_name_whatever_the_order_of_their_keys():
    # printf '{"a": [1, null], "b": 2.5}' | sha256sum
    name = "5ed48174eccd93da100841c5f847a166e2995399ce126d42d3d64e84d74894a1"
    assert sha256_of_values({"b": 2.5, "a": [1, None]}) == sha256_of_values({"a": [1, None], "b": 2.5}) == name
