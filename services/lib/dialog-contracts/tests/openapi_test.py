import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dialog_contracts import openapi
from dialog_contracts.http import ChatRequest


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document()


def test_the_public_api_is_these_operations(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert {(path, method) for path, item in document["paths"].items() for method in item} == {
        ("/chat/stream", "post"),
        ("/control/stop", "post"),
        ("/sessions", "get"),
        ("/sessions/{id}/turns", "get"),
        ("/analytics", "get"),
        ("/events/backlog", "get"),
        ("/events/dead", "get"),
        ("/events/replay", "post"),
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
        assert answer["content"]["application/json"]["schema"] == {
            "$ref": "#/components/schemas/ErrorBody"
        }
        assert answer["description"]


def test_statuses_of_stop_are_those_of_the_contract(document: dict[str, Any]) -> None:
    assert set(document["paths"]["/control/stop"]["post"]["responses"]) >= {
        "202",
        "403",
        "404",
        "409",
        "422",
    }


def test_internal_flags_are_not_shown_to_callers(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert "flags" not in schemas["RequestMeta"]["properties"]
    assert "FlagSet" not in str(document)


def test_the_events_of_the_stream_are_described(document: dict[str, Any]) -> None:
    answer = document["paths"]["/chat/stream"]["post"]["responses"]["200"]
    events = answer["content"]["text/event-stream"]["schema"]["x-events"]
    assert set(events) == {"control", "text-delta", "error", "done"}
    for name, reference in events.items():
        assert f"`{name}`" in answer["description"]
        assert reference["$ref"].rpartition("/")[2] in document["components"]["schemas"]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("ChatRequest", "chat-request"),
        ("StopReply", "stop-reply"),
        ("SessionTurns", "session-turns"),
    ],
)
def test_examples_satisfy_the_bodies(
    document: dict[str, Any], example: Callable[[str], Any], model: str, name: str
) -> None:
    schema = {"$ref": f"#/components/schemas/{model}", "components": document["components"]}
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(example(name))
    assert not validator.is_valid({})


def test_every_example_satisfies_its_body(document: dict[str, Any]) -> None:
    assert len(openapi.EXAMPLES) >= 5
    for model, examples in openapi.EXAMPLES.items():
        schema = {"$ref": f"#/components/schemas/{model}", "components": document["components"]}
        for value in examples.values():
            jsonschema.Draft202012Validator(schema).validate(value)


def test_every_operation_has_a_tag_and_an_example_of_what_it_takes_and_gives(
    document: dict[str, Any],
) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    for item in document["paths"].values():
        for operation in item.values():
            assert set(operation["tags"]) <= tags
            good = next(answer for status, answer in operation["responses"].items() if status < "3")
            bodies = [
                *good["content"].values(),
                *operation.get("requestBody", {}).get("content", {}).values(),
            ]
            assert all("example" in body or "examples" in body for body in bodies)
            assert all("example" in parameter for parameter in operation.get("parameters", []))


CONTENTS = ["SAY", "STOP", "DANCE", "\u3000", "\x1c", "\ufeff", "\u200b"]


def bodies(document: dict[str, Any]) -> st.SearchStrategy[Any]:
    schema = {"$ref": "#/components/schemas/ChatRequest", "components": document["components"]}
    return st.fixed_dictionaries(
        {
            "sessionId": st.sampled_from(["live-001", "bad name"]),
            "content": st.text(max_size=5)
            | st.sampled_from(["SAY", "STOP", "DANCE", "\u3000", "\x1c", "\ufeff", "\u200b"]),
        },
        optional={
            "type": st.sampled_from(["TEXT", "COMMAND", "ASR_FINAL", "SING"]),
            "turn": st.none() | st.integers(-2, 2**31 + 1),
            "meta": st.fixed_dictionaries(
                {},
                optional={
                    "text": st.none() | st.text(max_size=3),
                    "lang": st.sampled_from(["zh", "?"]),
                },
            ),
        },
    ).map(lambda body: (schema, body))


@given(st.data())
def test_what_the_document_declares_valid_is_taken_and_nothing_else_is(
    document: dict[str, Any], data: st.DataObject
) -> None:
    """Before: a blank `content`, SAY without a text and an unknown verb were declared valid."""
    schema, body = data.draw(bodies(document))
    declared = jsonschema.Draft202012Validator(schema).is_valid(body)
    try:
        ChatRequest.model_validate_json(json.dumps(body))
        taken = True
    except ValidationError:
        taken = False
    assert taken == declared, body
