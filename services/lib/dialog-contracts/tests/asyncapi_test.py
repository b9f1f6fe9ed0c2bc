from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from dialog_contracts import asyncapi, redis_names


def references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def resolve(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for key in reference.removeprefix("#/").split("/"):
        found = found[key]
    return found


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return asyncapi.document()


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = list(references(document))
    assert len(found) > 50
    for reference in found:
        assert resolve(document, reference) is not None


def test_the_three_sockets_carry_what_the_design_says(document: dict[str, Any]) -> None:
    channels = document["channels"]
    assert [channels[name]["address"] for name in ("input", "output", "ingest")] == [
        "/ws/input",
        "/ws/output/{id}",
        "/ws/ingest/tts",
    ]
    operations = {
        name: {message["$ref"].rpartition("/")[2] for message in operation["messages"]}
        for name, operation in document["operations"].items()
    }
    assert operations["receiveIngest"] == {
        "Start",
        "SpeechChunk",
        "TextDelta",
        "End",
        "StopAck",
        "StopResult",
        "Heartbeat",
        "PlaybackControl",
    }
    assert operations["sendIngest"] == {"Stop", "Subscribe", "Played", "PlaybackControl"}
    assert operations["receiveOutput"] == {"Stop", "Played", "TimeRequest"}
    assert operations["sendOutput"] >= {
        "Start",
        "SpeechChunk",
        "State",
        "ViewerError",
        "TimeReply",
        "LegacyReply",
        "Binary",
    }
    assert operations["receiveInput"] == {"UploadFrame", "SayText", "MicStart", "MicStop", "Binary"}
    assert "Binary" not in operations["sendInput"]


def test_an_operation_names_only_messages_of_its_channel(document: dict[str, Any]) -> None:
    for operation in document["operations"].values():
        channel = operation["channel"]["$ref"]
        assert all(
            message["$ref"].startswith(f"{channel}/messages/") for message in operation["messages"]
        )


def test_names_in_redis_are_those_in_code(document: dict[str, Any]) -> None:
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert addresses >= {
        redis_names.TURN_SAMPLES,
        "events.ltm",
        "events.analytics",
        "user_input_queue",
        "asr_tasks",
        "tts_requests",
        "memory_updates",
        "task_response:{id}",
        "session:{id}:turns",
    }


def test_schemas_inside_are_valid_json_schema(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
