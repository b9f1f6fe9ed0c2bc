from dialog_contracts import redis_names
from dialog_contracts.http import RequestMeta
from dialog_contracts.model import correlation_id


def test_a_turn_has_one_name_everywhere() -> None:
    assert correlation_id("live-001", 42) == "live-001#42"
    assert redis_names.reply_claim(correlation_id("live-001", 42)) == "reply:live-001#42"


def test_keys_of_a_session_are_as_the_design_says() -> None:
    assert redis_names.turn_counter("live-001") == "session:live-001:turn"
    assert redis_names.history("live-001") == "session:live-001:turns"
    assert redis_names.turn_of_request("live-001", "r-1") == "session:live-001:request:r-1"
    assert redis_names.task_response("t-1") == "task_response:t-1"


def test_a_field_may_be_named_as_in_code_or_as_on_the_wire_and_none_is_not_written() -> None:
    assert RequestMeta(request_id="r-1") == RequestMeta.model_validate({"requestId": "r-1"})
    assert RequestMeta(request_id="r-1").to_json() == '{"requestId":"r-1"}'
