import json

import pytest

from dialog_contracts import redis_names
from dialog_contracts.http import FlagSet
from dialog_contracts.legacy_chain import ChainMeta, TaskResponse, UserInput
from dialog_contracts.samples import TurnSample
from service_runtime import refusals
from service_runtime.refusals import Sentence

TOLD = Sentence("sorry", "抱歉")


def message(content: str = "hello", **meta: object) -> UserInput:
    known = ChainMeta.model_validate({"session_id": "live-001", "turn": 3, **meta})
    return UserInput(task_id="live-001", content=content, meta=known)


def test_a_failed_turn_is_answered_noted_and_passed() -> None:
    answer, advance, sample = refusals.failed(message(flags=FlagSet(generation=7)), "llm_timeout", TOLD)
    told = TaskResponse.from_json(answer[3])
    assert (told.message_id, told.status, told.error, told.metadata.code) == ("live-001#3", "error", "sorry", "llm_timeout")
    assert advance == ("ADVANCE", redis_names.backlog("live-001"), redis_names.CHAT_REQUESTS, "live-001#3")
    entry = TurnSample.from_json(sample[-1])
    assert (entry.path, entry.outcome, entry.reason, entry.flags.generation) == ("legacy", "failed", "llm_timeout", 7)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (message("hello"), "sorry"),
        (message("你好"), "抱歉"),
        (message("hello", lang="zh-CN"), "抱歉"),
        (message("你好", lang="en"), "sorry"),
    ],
)
def test_a_person_is_told_in_his_language(said: UserInput, expected: str) -> None:
    assert TOLD.to(said) == expected


@pytest.mark.parametrize("raw", ["", "{", "null", "3", "[[[", "[" * 100_000, '{"task_id": 3}', '{"task_id": "a b"}', "\udcff"])
def test_nobody_is_told_where_nobody_is_named(raw: str) -> None:
    assert refusals.unreadable(raw, "why") == []
    assert refusals.given_up(raw) == []


def test_who_can_be_read_is_told_though_the_rest_cannot() -> None:
    raw = json.dumps({"task_id": "live-001", "message_id": ["no", "name"], "meta": {"session_id": "live-001", "turn": -1}})
    [(_, key, name, answer, *_)] = refusals.unreadable(raw, "why")
    assert key == redis_names.answers("live-001")
    assert name.startswith("unreadable:")
    assert TaskResponse.from_json(answer).error == "why"


def test_a_message_without_a_turn_that_is_given_up_is_answered_under_its_request() -> None:
    raw = UserInput(task_id="live-001", content="x", meta=ChainMeta(request_id="r-1")).to_json()
    [(_, _, name, answer, *_)] = refusals.given_up(raw)
    assert (name, TaskResponse.from_json(answer).metadata.code) == ("r-1", "given_up")
