from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import from_regex, text
from pydantic import ValidationError

from dialog_contracts import limits
from dialog_contracts.legacy_chain import (
    AUDIO_KINDS,
    AsrResult,
    AsrTask,
    AudioBlob,
    ChainMeta,
    LtmRequest,
    MouthCue,
    TaskResponse,
    TtsRequest,
    UserInput,
    session_of,
)

BLOB = "0123456789abcdef" * 2
Message = UserInput | AsrTask | AsrResult | TtsRequest | TaskResponse
MESSAGES: list[tuple[type[Message], str]] = [
    (UserInput, "user-input"),
    (AsrTask, "asr-task"),
    (AsrResult, "asr-result"),
    (TtsRequest, "tts-request"),
    (TaskResponse, "task-response"),
]


def wrong_fields(model: type[Any], message: dict[str, Any]) -> set[tuple[int | str, ...]]:
    with pytest.raises(ValidationError) as refused:
        model.model_validate(message)
    return {error["loc"] for error in refused.value.errors()}


@pytest.mark.parametrize(("model", "name"), MESSAGES)
def test_an_older_producers_task_is_its_session(
    model: type[Message], name: str, example: Callable[[str], Any]
) -> None:
    message = {**example(name), "task_id": "t-1"}
    meta = message.pop("meta", {}) or {}
    assert session_of(model.model_validate(message)) == "t-1"
    assert session_of(model.model_validate({**message, "meta": {}})) == "t-1"
    message["meta"] = {**meta, "session_id": "live-001"}
    assert session_of(model.model_validate(message)) == "live-001"


def test_an_older_producers_message_is_read_with_all_that_it_lacks() -> None:
    read = UserInput.from_json('{"task_id": "t-1", "content": "hi", "type": "text"}')
    assert (read.user_id, read.source, read.meta) == ("anonymous", "user", ChainMeta())
    older = '{"task_id":"t-1","content":"hi","meta":{"trace_id":"x","from_channel":"y","provider":"z","lang":"zh-CN"}}'
    assert UserInput.from_json(older).meta.lang == "zh-CN"


@pytest.mark.parametrize(("model", "field"), [(UserInput, "content"), (TtsRequest, "text")])
def test_a_reply_may_be_as_long_as_the_limit_and_the_error_names_the_field(
    model: type[Any], field: str
) -> None:
    message = {"task_id": "t-1", "message_id": "m-1", "response_channel": "c"}
    model.model_validate({**message, field: "字" * limits.MAX_REPLY_CHARS})
    assert wrong_fields(model, {**message, field: "字" * (limits.MAX_REPLY_CHARS + 1)}) == {
        (field,)
    }


@pytest.mark.parametrize("given_file", ["/etc/passwd", "uploads/x.webm", "", 0, {}])
def test_a_file_does_not_cross_services_by_its_path(given_file: object) -> None:
    message = {"task_id": "t-1", "content": "hi"}
    assert wrong_fields(UserInput, {**message, "input_file": given_file}) == {("input_file",)}
    UserInput.model_validate({**message, "input_file": None})


def test_the_older_form_of_audio_is_rejected() -> None:
    older = {"type": "file", "path": "/tmp/a.webm", "format": "webm"}
    assert wrong_fields(AsrTask, {"task_id": "t-1", "audio": older}) == {
        ("audio", "type"),
        ("audio", "id"),
    }
    # A path beside a blob is not looked at.
    read = AudioBlob.model_validate({"id": BLOB, "format": "webm", "path": "/tmp/a.webm"})
    assert "path" not in read.to_wire()


@given(text(alphabet="0123456789abcdefABCDEF/.\n\0:", max_size=40) | from_regex(r"[0-9a-f]{32}"))
def test_the_id_of_a_blob_is_32_hex_digits_and_nothing_else(blob_id: str) -> None:
    valid = len(blob_id) == 32 and set(blob_id) <= set("0123456789abcdef")
    message = {"id": blob_id, "format": "wav"}
    if valid:
        assert AudioBlob.model_validate(message).id == blob_id
    else:
        assert wrong_fields(AudioBlob, message) == {("id",)}


@pytest.mark.parametrize(
    ("field", "value", "valid"),
    [
        ("sample_rate", 8_000, True),
        ("sample_rate", 7_999, False),
        ("sample_rate", 48_000, True),
        ("sample_rate", 48_001, False),
        ("channels", 2, True),
        ("channels", 3, False),
        ("format", "exe", False),
        *[("format", kind, True) for kind in AUDIO_KINDS],
    ],
)
def test_audio_is_of_a_kind_that_can_be_decoded(field: str, value: object, valid: bool) -> None:
    message = {"id": BLOB, "format": "wav", field: value}
    if valid:
        assert AudioBlob.model_validate(message).to_wire()[field] == value
    else:
        assert wrong_fields(AudioBlob, message) == {(field,)}


@pytest.mark.parametrize(
    ("meta", "field"),
    [
        ({"session_id": "a b"}, "session_id"),
        ({"session_id": "x" * 65}, "session_id"),
        ({"turn": 0}, "turn"),
        ({"turn": "7"}, "turn"),
        ({"turn": True}, "turn"),
        ({"lang": "english!"}, "lang"),
        ({"lang": "zh_CN"}, "lang"),
        ({"traceparent": "00-xyz"}, "traceparent"),
    ],
)
def test_metadata_that_cannot_be_is_named(meta: dict[str, Any], field: str) -> None:
    assert wrong_fields(UserInput, {"task_id": "t-1", "content": "", "meta": meta}) == {
        ("meta", field)
    }


def test_no_flags_of_a_turn_are_not_the_flags_that_are_off() -> None:
    assert ChainMeta().flags is None
    assert "flags" not in UserInput(task_id="t-1", content="hi").to_wire()["meta"]


def test_a_mouth_shape_lies_in_the_audio() -> None:
    MouthCue(offset_ms=0, weights={"aa": 1.0})
    assert wrong_fields(MouthCue, {"offset_ms": -1, "weights": {}}) == {("offset_ms",)}


@pytest.mark.parametrize("field", ["request_id", "user_id"])
def test_a_query_of_memory_has_ids_that_may_be_part_of_a_key(field: str) -> None:
    message = {"request_id": "r", "type": "search", "user_id": "u"}
    for value in ("x", "x" * 128):
        LtmRequest.model_validate({**message, field: value})
    for value in ("", "x" * 129):
        assert wrong_fields(LtmRequest, {**message, field: value}) == {(field,)}
