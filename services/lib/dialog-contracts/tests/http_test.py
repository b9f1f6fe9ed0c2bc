import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dialog_contracts.http import (
    NOT_BLANK,
    ChatRequest,
    ErrorBody,
    FlagSet,
    RequestMeta,
    StopReply,
    StopRequest,
    TurnType,
)


def refused(**fields: object) -> str:
    """Wire path of the field that a request with these fields is refused for."""
    with pytest.raises(ValidationError) as error:
        ChatRequest.model_validate({"sessionId": "live-001", "content": "今晚玩什么？", **fields})
    return ".".join(str(part) for part in error.value.errors()[0]["loc"])


def accepted(**fields: object) -> ChatRequest:
    return ChatRequest.model_validate(
        {"sessionId": "live-001", "content": "今晚玩什么？", **fields}
    )


def test_a_request_needs_only_session_and_content() -> None:
    request = ChatRequest.from_json('{"sessionId":"live-001","content":"今晚玩什么？"}')
    assert (request.type, request.turn, request.meta) == (TurnType.TEXT, None, RequestMeta())


@pytest.mark.parametrize("character", ["a", "玩", "😀"])
def test_content_is_at_most_4000_characters_whatever_their_bytes(character: str) -> None:
    assert accepted(content=character * 4000).content == character * 4000
    assert refused(content=character * 4001) == "content"


@pytest.mark.parametrize("blank", ["", " ", "\n\t", "\u3000\u00a0"])
def test_blank_content_is_refused(blank: str) -> None:
    assert refused(content=blank) == "content"


@pytest.mark.parametrize("fields", [{"content": "a\ud83d"}, {"content": "\udc00"}])
def test_a_lone_surrogate_is_refused_before_it_can_break_a_hop(fields: dict[str, str]) -> None:
    assert refused(**fields) == "content"
    with pytest.raises(ValidationError):
        ChatRequest.from_json(json.dumps({"sessionId": "live-001", **fields}))


def test_a_lone_surrogate_inside_meta_is_refused_too() -> None:
    assert refused(meta={"viewerId": "\ud83d"}) == "meta.viewerId"
    assert refused(type="COMMAND", content="SAY", meta={"text": "\udfff"}) == "meta.text"


@pytest.mark.parametrize("name", ["a", "live-001", "A_b-9", "x" * 64])
def test_a_session_id_is_1_to_64_plain_characters(name: str) -> None:
    assert accepted(sessionId=name).session_id == name


@pytest.mark.parametrize(
    "name", ["", "x" * 65, "a b", "a/b", "a.b", "a#1", "live-001\n", "直播", "a\0"]
)
def test_other_session_ids_are_refused(name: str) -> None:
    assert refused(sessionId=name) == "sessionId"


@pytest.mark.parametrize(
    ("turn", "legal"),
    [(1, True), (2**31 - 1, True), (0, False), (-1, False), (2**31, False), ("x", False)],
)
def test_turns_count_from_1(turn: object, legal: bool) -> None:
    if legal:
        assert accepted(turn=turn).turn == turn
    else:
        assert refused(turn=turn) == "turn"


@pytest.mark.parametrize("lang", ["zh", "zh-CN", "en-US", "yue", "zh-Hant-TW"])
def test_a_language_is_a_tag(lang: str) -> None:
    assert accepted(meta={"lang": lang}).meta.lang == lang


@pytest.mark.parametrize("lang", ["", "?", "chinese", "zh_CN", "zh-", "z"])
def test_other_languages_are_refused_by_their_path(lang: str) -> None:
    assert refused(meta={"lang": lang}) == "meta.lang"


def test_texts_in_meta_have_their_limits() -> None:
    assert (
        accepted(
            meta={"viewerId": "v" * 256, "emotionHint": "e" * 256, "requestId": "r" * 128}
        ).meta.request_id
        == "r" * 128
    )
    assert refused(meta={"viewerId": "v" * 257}) == "meta.viewerId"
    assert refused(meta={"emotionHint": "e" * 257}) == "meta.emotionHint"
    assert refused(meta={"requestId": "r" * 129}) == "meta.requestId"
    assert refused(meta={"requestId": "a b"}) == "meta.requestId"
    assert refused(meta={"text": "x" * 4001}) == "meta.text"


@pytest.mark.parametrize("verb", ["STOP", "RESET"])
def test_a_command_is_its_verb(verb: str) -> None:
    assert accepted(type="COMMAND", content=verb).content == verb


@pytest.mark.parametrize(
    "fields",
    [
        {"content": "DANCE"},
        {"content": "stop"},
        {"content": "SAY"},
        {"content": "SAY", "meta": {"text": " \n"}},
    ],
)
def test_an_unknown_verb_and_a_say_without_text_are_refused(fields: dict[str, Any]) -> None:
    refused(type="COMMAND", **fields)
    # The same words are plain content outside a COMMAND.
    assert accepted(type="TEXT", **fields).content == fields["content"]


def test_an_unknown_type_is_refused() -> None:
    assert refused(type="SONG") == "type"


@given(st.text(max_size=4100))
def test_any_accepted_content_survives_the_wire(text: str) -> None:
    try:
        request = accepted(content=text)
    except ValidationError:
        assert re.search(NOT_BLANK, text) is None or len(text) > 4000
        return
    assert ChatRequest.from_json(request.to_json().encode()).content == text


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=4,
    )
)
def test_any_json_is_read_or_refused_and_nothing_else(value: object) -> None:
    for body in (value, {"sessionId": "a", "content": value, "meta": value}):
        with suppress(ValidationError):
            assert ChatRequest.model_validate(body).content == value


def test_flags_keep_their_own_names_and_defaults() -> None:
    assert FlagSet().to_wire() == {
        "ENABLE_SYNC_CORE": True,
        "SYNC_TTS_STREAMING": False,
        "SYNC_TTS_BARGE_IN": False,
        "ENABLE_STREAMS_OUTBOX": False,
        "ENABLE_LTM": False,
        "generation": 0,
    }


def test_stop_takes_an_optional_turn_and_answers_in_two_words(
    example: Callable[[str], Any],
) -> None:
    assert StopRequest.from_json('{"sessionId":"live-001"}').turn is None
    assert StopReply(stopped=False).to_json() == '{"ok":true,"stopped":false}'
    with pytest.raises(ValidationError):
        StopRequest.from_json('{"sessionId":"live-001","turn":0}')
    assert ErrorBody.from_json(json.dumps(example("error-body"))).next_turn == 43
