import inspect
from collections.abc import Callable
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis.strategies import from_regex, integers, sampled_from

from dialog_contracts import redis_names
from dialog_contracts.model import correlation_id

SESSION = from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
OF_A_SESSION: tuple[Callable[[str], str], ...] = (
    redis_names.turn_counter,
    redis_names.session_lease,
    redis_names.active_playback,
    redis_names.history,
    redis_names.reset_after,
    redis_names.session_queue,
    redis_names.task_response,
    redis_names.responses,
    redis_names.delivered,
    redis_names.viewer_context,
    redis_names.user_memories,
    redis_names.user_profile,
    redis_names.blob,
    redis_names.ltm_response,
)
LISTS = (
    redis_names.USER_INPUT_QUEUE,
    redis_names.CHAT_REQUESTS,
    redis_names.ASR_TASKS,
    redis_names.ASR_FINALS,
    redis_names.TTS_REQUESTS,
    redis_names.LTM_REQUESTS,
)


def constants() -> dict[str, str]:
    return {
        name: value
        for name, value in vars(redis_names).items()
        if name.isupper() and isinstance(value, str)
    }


def test_keys_of_a_session_are_as_the_design_says() -> None:
    assert redis_names.turn_counter("live-001") == "session:live-001:turn"
    assert redis_names.history("live-001") == "session:live-001:turns"
    assert redis_names.turn_of_request("live-001", "r-1") == "session:live-001:request:r-1"
    assert redis_names.task_response("t-1") == "task_response:t-1"


def test_names_of_older_services_are_unchanged() -> None:
    assert set(LISTS) == {
        "user_input_queue",
        "chat_requests",
        "asr_tasks",
        "asr_finals",
        "tts_requests",
        "ltm_requests",
    }
    assert redis_names.MEMORY_UPDATES == "memory_updates"
    assert redis_names.viewer_context("u") == "memory:user_sessions:u"
    assert redis_names.user_memories("u") == "ltm:user:u:memories"
    assert redis_names.user_profile("u") == "user_profile:u"


def test_a_turn_that_two_paths_could_answer_has_one_claim() -> None:
    assert redis_names.reply_claim(correlation_id("live-001", 42)) == "reply:live-001#42"


def test_no_two_constants_name_the_same() -> None:
    names = constants()
    assert len(names) > 20
    assert len(set(names.values())) == len(names)


@given(one=SESSION, other=SESSION, turn=integers(1, 2**31 - 1))
def test_no_two_keys_are_the_same_whatever_sessions_are_called(
    one: str, other: str, turn: int
) -> None:
    keys = [name(session) for name in OF_A_SESSION for session in sorted({one, other})]
    keys += [redis_names.reply_claim(correlation_id(session, turn)) for session in {one, other}]
    keys += [
        name(work_list)
        for name in (redis_names.consumers, redis_names.attempts, redis_names.dead_letter)
        for work_list in LISTS
    ]
    assert len({*keys, *constants().values()}) == len(keys) + len(constants())


@given(
    ids=sampled_from(list(combinations(["a", "b", "a:b", "processing", "processing:a"], 2))),
    work_list=sampled_from(LISTS),
)
def test_each_consumer_has_a_list_of_its_own(ids: tuple[str, str], work_list: str) -> None:
    one, other = (redis_names.processing(work_list, consumer) for consumer in ids)
    assert one != other
    assert one.startswith(f"{work_list}:")


@given(session=SESSION, one=SESSION, other=SESSION)
def test_a_request_is_none_of_another_session(session: str, one: str, other: str) -> None:
    asked = redis_names.turn_of_request(session, one)
    assert (asked == redis_names.turn_of_request(session, other)) == (one == other)
    assert (asked == redis_names.turn_of_request(other, one)) == (session == other)


@pytest.mark.parametrize(
    "name", [name for name, _ in inspect.getmembers(redis_names, inspect.isfunction)]
)
def test_every_name_of_a_key_says_what_kind_of_value_it_holds(name: str) -> None:
    said = inspect.getdoc(getattr(redis_names, name)) or ""
    kinds = ("Stream", "String", "Counter", "Hash", "List", "Set", "Sorted set", "Legacy channel")
    assert said.startswith(kinds), said
