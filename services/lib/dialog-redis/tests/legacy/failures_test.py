import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dialog_contracts import limits, redis_names
from dialog_contracts.http import FlagSet
from dialog_contracts.legacy_chain import ChainMeta, TaskResponse, UserInput
from dialog_contracts.turn_sample import TurnSample
from dialog_redis.legacy import failures
from dialog_redis.legacy.failures import LocalizedText
from dialog_redis.work_queue.commands import RedisCommand

TOLD = LocalizedText("sorry", "抱歉")


def message(content: str = "hello", **meta: object) -> UserInput:
    known = ChainMeta.model_validate({"session_id": "live-001", "turn": 3, **meta})
    return UserInput(task_id="live-001", content=content, meta=known)


def test_a_failed_turn_is_answered_noted_and_passed() -> None:
    answer, advance, sample = failures.failed_turn(
        message(flags=FlagSet(generation=7)), "llm_timeout", TOLD
    )
    told = TaskResponse.from_json(answer[3])
    assert (told.message_id, told.status, told.error, told.metadata.code) == (
        "live-001#3",
        "error",
        "sorry",
        "llm_timeout",
    )
    assert advance == (
        "ADVANCE",
        redis_names.session_queue("live-001"),
        redis_names.CHAT_REQUESTS,
        "live-001#3",
    )
    entry = TurnSample.from_json(sample[-1])
    assert (entry.path, entry.outcome, entry.reason, entry.flags.generation) == (
        "legacy",
        "failed",
        "llm_timeout",
        7,
    )


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
    assert TOLD.for_text(said) == expected


@pytest.mark.parametrize(
    "raw",
    ["", "{", "null", "3", "[[[", "[" * 100_000, '{"task_id": 3}', '{"task_id": "a b"}', "\udcff"],
)
def test_nobody_is_told_where_nobody_is_named(raw: str) -> None:
    assert failures.malformed(raw, "why") == []
    assert failures.exhausted(raw) == []


def test_who_can_be_read_is_told_though_the_rest_cannot() -> None:
    raw = json.dumps(
        {
            "task_id": "live-001",
            "message_id": ["no", "name"],
            "meta": {"session_id": "live-001", "turn": -1},
        }
    )
    [(_, key, name, answer, *_)] = failures.malformed(raw, "why")
    assert key == redis_names.responses("live-001")
    assert name.startswith("unreadable:")
    assert TaskResponse.from_json(answer).error == "why"


def test_a_message_without_a_turn_that_is_given_up_is_answered_under_its_request() -> None:
    raw = UserInput(task_id="live-001", content="x", meta=ChainMeta(request_id="r-1")).to_json()
    [(_, _, name, answer, *_)] = failures.exhausted(raw)
    assert (name, TaskResponse.from_json(answer).metadata.code) == ("r-1", "given_up")


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=8)
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
NAMES = st.just("live-001") | st.just("../../etc/passwd") | ANYTHING
META = st.fixed_dictionaries(
    {},
    optional={
        "session_id": NAMES,
        "turn": st.integers() | ANYTHING,
        "request_id": ANYTHING,
        "lang": ANYTHING,
    },
)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "task_id": NAMES,
        "message_id": ANYTHING,
        "content": ANYTHING,
        "meta": META | ANYTHING,
    },
)


def answers(effects: list[RedisCommand]) -> list[TaskResponse]:
    return [TaskResponse.from_json(effect[3]) for effect in effects if effect[0] == "SEND_RESPONSE"]


@given(MESSAGES | ANYTHING)
@example({"task_id": "s", "meta": {"turn": limits.MAX_TURN + 1}})
@example({"task_id": "s", "meta": {"turn": 10**400}})
@example({"task_id": "s", "message_id": "\ud800"})
@example({"task_id": "s", "meta": {"request_id": "\ud800"}})
@example({"task_id": "s", "message_id": 5})
def test_no_message_is_so_wrong_that_it_cannot_be_refused(found: object) -> None:
    raw = json.dumps(found)
    for effects in (failures.malformed(raw, "why"), failures.exhausted(raw)):
        assert all(isinstance(part, str) and part.encode() for effect in effects for part in effect)
        for told in answers(effects):
            assert told.status == "error"
            assert not {".", "/", " "} & set(told.task_id)


@given(
    st.text(st.characters(exclude_categories=()))
    | st.binary().map(lambda data: data.decode("utf-8", "surrogateescape"))
)
@example('{"task_id": "live-001", "content": "' + b"\xff".decode("utf-8", "surrogateescape") + '"}')
def test_what_is_not_even_text_is_refused_too(raw: str) -> None:
    for effects in (failures.malformed(raw, "why"), failures.exhausted(raw)):
        assert all(told.status == "error" for told in answers(effects))


@pytest.mark.parametrize(
    ("found", "whom"),
    [
        ({"task_id": "live-001", "meta": {"turn": 3}}, ("live-001", "live-001#3")),
        (
            {"task_id": "live-001", "meta": {"session_id": "room", "turn": 3}},
            ("live-001", "room#3"),
        ),
        (
            {"task_id": "live-001", "meta": {"session_id": "../room", "turn": 3}},
            ("live-001", "live-001#3"),
        ),
        ({"task_id": "../x", "meta": {"session_id": "room", "turn": 3}}, ("room", "room#3")),
        ({"task_id": "live-001", "message_id": "m-1"}, ("live-001", "m-1")),
        ({"task_id": "live-001", "meta": {"request_id": "r-1", "turn": -1}}, ("live-001", "r-1")),
        ({"task_id": "live-001", "message_id": "m" * 1000}, ("live-001", "m" * 128)),
    ],
)
def test_the_error_goes_to_the_task_under_the_name_of_the_turn_or_the_message(
    found: dict[str, object], whom: tuple[str, str]
) -> None:
    (told,) = answers(failures.malformed(json.dumps(found), "why"))
    assert (told.task_id, told.message_id) == whom
    assert (told.error, told.metadata.code, told.audio) == ("why", "invalid", None)


def test_a_turn_that_cannot_be_read_lets_the_sessions_next_one_go_on() -> None:
    effects = failures.malformed('{"task_id": "live-001", "meta": {"turn": 3}}', "why")
    assert effects[1:] == [
        ("ADVANCE", redis_names.session_queue("live-001"), redis_names.CHAT_REQUESTS, "live-001#3")
    ]
    assert [effect[0] for effect in failures.malformed('{"task_id": "live-001"}', "why")] == [
        "SEND_RESPONSE"
    ]


def test_each_of_two_messages_without_a_name_is_told_of_and_one_that_comes_again_only_once() -> (
    None
):
    def name(raw: str) -> str:
        return answers(failures.malformed(raw, "why"))[0].message_id

    first, second = '{"task_id": "live-001", "content": 1}', '{"task_id": "live-001", "content": 2}'
    assert name(first) == name(first) != name(second)


def test_a_turn_that_nobody_survived_counts_as_failed_once() -> None:
    effects = failures.exhausted(message().to_json())
    assert [effect[0] for effect in effects] == ["SEND_RESPONSE", "ADVANCE", "XADD"]
    assert (answers(effects)[0].message_id, answers(effects)[0].metadata.code) == (
        "live-001#3",
        "given_up",
    )
    wrong = failures.exhausted('{"task_id": "live-001", "content": 5, "meta": {"turn": 3}}')
    assert (answers(wrong)[0].message_id, answers(wrong)[0].metadata.code) == (
        "live-001#3",
        "given_up",
    )
