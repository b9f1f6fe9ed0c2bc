from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import text
from pydantic import TypeAdapter, ValidationError

from dialog_contracts.session_document import (
    EVERY_SESSION,
    BaseUrl,
    FlagAck,
    FlagTable,
    KeyFile,
    ModelName,
    Persona,
    SessionDocument,
    SessionLlm,
    SessionVoice,
    VoiceName,
)

KEYS = PurePosixPath("/keys")


def accepts(kind: Any, value: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def wrong_fields(model: type[Any], message: dict[str, Any]) -> set[tuple[int | str, ...]]:
    with pytest.raises(ValidationError) as refused:
        model.model_validate(message)
    return {error["loc"] for error in refused.value.errors()}


@given(text(alphabet="aB0._-/\\\n\0 ~", max_size=8))
def test_a_key_file_is_in_the_directory_of_keys_and_never_hidden(name: str) -> None:
    if accepts(KeyFile, name):
        assert (KEYS / name).parent == KEYS
        assert (KEYS / name).name == name
        assert not name.startswith((".", "-", "~"))
        assert name.isprintable()


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("openai", True),
        ("tenant-a_key.txt", True),
        ("x" * 251, True),
        ("x" * 252, False),
        ("", False),
        ("..", False),
        ("../key", False),
        ("a/b", False),
        (".hidden", False),
        ("key\n", False),
    ],
)
def test_which_key_files_there_may_be(name: str, valid: bool) -> None:
    assert accepts(KeyFile, name) is valid


@pytest.mark.parametrize(
    ("url", "valid"),
    [
        ("https://api.openai.com/v1", True),
        ("http://10.0.0.7:8080/v1", True),
        ("https://" + "x" * 504, True),
        ("https://" + "x" * 505, False),
        ("file:///etc/passwd", False),
        ("//host/v1", False),
        ("https://", False),
        ("https://a b", False),
        ("https://a\nhost: b", False),
    ],
)
def test_the_address_of_a_provider_is_a_url_of_http(url: str, valid: bool) -> None:
    assert accepts(BaseUrl, url) is valid


@pytest.mark.parametrize(
    ("kind", "name", "valid"),
    [
        (VoiceName, "zh-CN-XiaoyiNeural", True),
        (VoiceName, "en-us+f3", True),
        (VoiceName, "-x", False),
        (VoiceName, "a/b", False),
        (VoiceName, "x" * 129, False),
        (ModelName, "org/model:7b", True),
        (ModelName, "a model", False),
        (ModelName, "", False),
        (ModelName, "x" * 129, False),
    ],
)
def test_names_of_voices_and_models(kind: Any, name: str, valid: bool) -> None:
    assert accepts(kind, name) is valid


@pytest.mark.parametrize("session_id", ["live-001", "A_b", "x" * 64, EVERY_SESSION])
def test_a_document_is_of_one_session_or_of_all_others(
    session_id: str, example: Callable[[str], Any]
) -> None:
    message = {**example("session-document"), "sessionId": session_id}
    assert SessionDocument.model_validate(message).session_id == session_id


@pytest.mark.parametrize("session_id", ["", "**", "*a", "a*", "a b", "a:b", "x" * 65, "a\n"])
def test_a_session_that_cannot_be_is_named(session_id: str, example: Callable[[str], Any]) -> None:
    message = {**example("session-document"), "sessionId": session_id}
    assert wrong_fields(SessionDocument, message) == {("sessionId",)}


def test_one_document_that_is_wrong_is_named_by_its_place(example: Callable[[str], Any]) -> None:
    good = example("session-document")
    table = {"revision": 1, "documents": [good, {**good, "llm": {"provider": "mine"}}]}
    assert wrong_fields(FlagTable, table) == {("documents", 1, "llm", "provider")}


@pytest.mark.parametrize(
    ("model", "field", "first", "last"),
    [(SessionLlm, "maxTokens", 1, 8_000), (SessionLlm, "temperature", 0, 2)],
)
def test_limits_of_a_model_are_enforced_at_both_ends(
    model: type[Any], field: str, first: int, last: int
) -> None:
    for value in (first, last):
        assert model.model_validate({field: value}).to_wire()[field] == value
    for value in (first - 1, last + 1):
        assert wrong_fields(model, {field: value}) == {(field,)}


def test_a_character_has_instructions_or_none_but_no_empty_ones() -> None:
    assert Persona().to_wire() == {}
    Persona(instructions="x" * 4_000)
    assert wrong_fields(Persona, {"instructions": ""}) == {("instructions",)}
    assert wrong_fields(Persona, {"instructions": "x" * 4_001}) == {("instructions",)}
    assert wrong_fields(Persona, {"lang": "zh_CN"}) == {("lang",)}


def test_what_is_absent_is_left_to_the_engine(example: Callable[[str], Any]) -> None:
    message = example("session-document")
    for part in ("persona", "llm", "voice"):
        message.pop(part, None)
    read = SessionDocument.model_validate(message)
    assert (read.persona, read.llm, read.voice) == (None, None, None)
    assert SessionLlm().to_wire() == {"provider": "openai"}
    assert SessionVoice().to_wire() == {"provider": "espeak"}


def test_a_pod_names_the_key_files_that_it_lacks_and_no_paths() -> None:
    ack = {"service": "dialog-engine", "revision": 7, "at": 1.5}
    assert FlagAck.model_validate(ack).missing_keys == []
    assert wrong_fields(FlagAck, {**ack, "missingKeys": ["a", "../b"]}) == {("missingKeys", 1)}
    assert wrong_fields(FlagAck, {**ack, "revision": -1}) == {("revision",)}
