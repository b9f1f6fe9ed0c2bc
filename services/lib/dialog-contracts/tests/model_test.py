from dialog_contracts.http import RequestMeta
from dialog_contracts.model import correlation_id


def test_a_turn_has_one_name_everywhere() -> None:
    assert correlation_id("live-001", 42) == "live-001#42"


def test_a_field_may_be_named_as_in_code_or_as_on_the_wire_and_none_is_not_written() -> None:
    assert RequestMeta(request_id="r-1") == RequestMeta.model_validate({"requestId": "r-1"})
    assert RequestMeta(request_id="r-1").to_json() == '{"requestId":"r-1"}'
