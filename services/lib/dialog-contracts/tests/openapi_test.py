from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from dialog_contracts import openapi


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document()


def test_the_public_api_is_these_four_operations(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert {(path, method) for path, item in document["paths"].items() for method in item} == {
        ("/chat/stream", "post"),
        ("/control/stop", "post"),
        ("/sessions", "get"),
        ("/sessions/{id}/turns", "get"),
    }


def test_every_error_is_an_error_body_with_words(document: dict[str, Any]) -> None:
    errors = [
        answer
        for item in document["paths"].values()
        for operation in item.values()
        for status, answer in operation["responses"].items()
        if status >= "4"
    ]
    assert len(errors) >= 15
    for answer in errors:
        assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ErrorBody"}
        assert answer["description"]


def test_statuses_of_stop_are_those_of_the_contract(document: dict[str, Any]) -> None:
    assert set(document["paths"]["/control/stop"]["post"]["responses"]) >= {"202", "403", "404", "409", "422"}


def test_internal_flags_are_not_shown_to_callers(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert "flags" not in schemas["Meta"]["properties"]
    assert "FlagSet" not in str(document)


def test_the_events_of_the_stream_are_described(document: dict[str, Any]) -> None:
    answer = document["paths"]["/chat/stream"]["post"]["responses"]["200"]
    events = answer["content"]["text/event-stream"]["schema"]["x-events"]
    assert set(events) == {"control", "text-delta", "error", "done"}
    for name, reference in events.items():
        assert f"`{name}`" in answer["description"]
        assert reference["$ref"].rpartition("/")[2] in document["components"]["schemas"]


@pytest.mark.parametrize(
    ("model", "name"), [("ChatRequest", "chat-request"), ("StopReply", "stop-reply"), ("SessionTurns", "session-turns")]
)
def test_examples_satisfy_the_bodies(document: dict[str, Any], example: Callable[[str], Any], model: str, name: str) -> None:
    schema = {"$ref": f"#/components/schemas/{model}", "components": document["components"]}
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(example(name))
    assert not validator.is_valid({})
