from pathlib import Path

import pytest

from dialog_contracts.http import FlagSet
from dialog_contracts.session_document import FlagTable, SessionDocument
from dialog_flags import parser

GOOD = SessionDocument(
    session_id="live-001",
    flags=FlagSet(SYNC_TTS_STREAMING=True, generation=5),
    resource="studio/live-001",
)
ILLEGAL = SessionDocument(
    session_id="live-002", flags=FlagSet(SYNC_TTS_BARGE_IN=True), resource="studio/live-002"
)


def test_a_wrong_document_leaves_the_others_alone_and_its_session_as_it_was() -> None:
    before = {"broken": GOOD.model_copy(update={"session_id": "broken"})}
    fields = {
        b"live-001": GOOD.to_json().encode(),
        b"live-002": ILLEGAL.to_json().encode(),
        b"broken": b"{",
        b"other": GOOD.to_json().encode(),
        b"binary": b"\xff\xfe",
        b"\xff": b"{}",
        b"deep": b"[" * 10_000,
    }
    table, wrong = parser.from_hash(9, fields, before)
    assert table.revision == 9
    assert {document.session_id for document in table.documents} == {"live-001", "broken"}
    assert len(wrong) == 6
    assert any(
        sentence.startswith("live-002: SYNC_TTS_BARGE_IN is on but needs") for sentence in wrong
    )
    assert any("it speaks of live-001" in sentence for sentence in wrong)


def test_a_file_that_is_not_there_is_none_and_a_broken_one_is_named_and_not_repeated(
    tmp_path: Path,
) -> None:
    path = tmp_path / "flags.json"
    assert parser.from_file(path, {}) is None
    path.write_text(FlagTable(revision=3, documents=[GOOD]).to_json())
    assert parser.from_file(path, {}) == (FlagTable(revision=3, documents=[GOOD]), [])
    for broken in (
        b'{"revision": "sk-secret"}',
        b"sk-secret",
        b"\xff\xfesk-secret",
        b"[1]",
        b'{"revision": 1, "documents": [1]}',
        b"[" * 99_999,
    ):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match="flags.json: it is no table of documents") as error:
            parser.from_file(path, {})
        assert "secret" not in str(error.value)
        assert error.value.__cause__ is None
    path.unlink()
    path.mkdir()
    with pytest.raises(ValueError, match="IsADirectoryError"):
        parser.from_file(path, {})


def test_a_wrong_document_in_a_file_leaves_the_others_alone(tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    path.write_text(
        '{"revision": 4, "documents": ['
        + GOOD.to_json()
        + ', {"sessionId": "x", "flags": "no"}, '
        + ILLEGAL.to_json()
        + "]}"
    )
    read = parser.from_file(path, {})
    assert read is not None
    assert read[0] == FlagTable(revision=4, documents=[GOOD])
    assert [sentence.partition(":")[0] for sentence in read[1]] == ["x", "live-002"]
