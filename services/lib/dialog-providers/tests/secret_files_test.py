from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from dialog_providers import secret_files
from dialog_providers.secret_files import SecretFiles


def test_a_key_is_what_is_in_its_file(tmp_path: Path) -> None:
    (tmp_path / "good").write_text("  sk-one\n")
    keys = SecretFiles(tmp_path)
    assert keys.read("good") == "sk-one"
    assert keys.read(None) is None
    assert SecretFiles(None).read("good") is None
    assert keys.missing(["good", "later", None, "later"]) == ["later"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\xff\xfesecret", "not one word of printable ASCII"),
        (b"sec\nret", "not one word of printable ASCII"),
        (b"sec ret", "not one word of printable ASCII"),
        ("密钥".encode(), "not one word of printable ASCII"),
        (b"sec\0ret", "not one word of printable ASCII"),
        (b" \n", "empty"),
        (b"x" * (secret_files.MAX_KEY_BYTES + 1), "longer than"),
    ],
)
def test_a_file_that_is_no_key_is_missing_and_nothing_of_it_is_said(
    tmp_path: Path, data: bytes, why: str
) -> None:
    (tmp_path / "bad").write_bytes(data)
    (tmp_path / "good").write_text("sk-one")
    keys = SecretFiles(tmp_path)
    with structlog.testing.capture_logs() as lines:
        assert keys.missing(["bad", "good"]) == ["bad"]
        assert keys.missing(["bad", "good"]) == ["bad"]
    (line,) = lines
    assert (line["event"], line["file"]) == ("session_key_unusable", "bad")
    assert line["reason"].startswith(why)
    assert "sec" not in str(line).replace("session", "")
    (tmp_path / "bad").write_text("sk-two")
    assert keys.read("bad") == "sk-two"


def test_a_folder_in_the_place_of_a_key_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    assert SecretFiles(tmp_path).missing(["dir"]) == ["dir"]


@given(st.binary(max_size=50))
def test_reading_never_raises(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("keys")
    (folder / "key").write_bytes(data)
    key = SecretFiles(folder).read("key")
    assert key is None or (key.isascii() and key.isprintable() and " " not in key)
