"""The public HTTP API as an OpenAPI 3.1 document: a turn, STOP, history."""

from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from dialog_contracts import http, limits, sse

_REF: Final = "#/components/schemas/{model}"
BODIES: Final[tuple[type[BaseModel], ...]] = (
    http.ChatRequest,
    http.StopRequest,
    http.StopReply,
    http.SessionList,
    http.SessionTurns,
    http.ErrorBody,
    *sse.EVENT_TYPES.values(),
)
INTERNAL: Final = {"Meta": ("flags", "client", "knownTurn")}
"""Fields that only services set; whatever a caller writes there is replaced."""

_ERRORS: Final = {
    403: "This caller may not: a foreign page's Origin, or a role without the right.",
    404: "`unknown_session`: no viewer and no turn of this session was ever seen.",
    409: "Right in form, wrong in the present state.",
    413: f"The body is longer than {limits.JSON_FRAME_BYTES} bytes; `limit` says so.",
    422: "A field is wrong; `field` says which, as a path.",
    429: "Over a limit of rate or number; `Retry-After` says when to come back.",
    503: "Something that is needed does not answer now; retryable.",
}
_RETRY_AFTER: Final = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}

_STREAM: Final = f"""Server-Sent Events, one turn. Each has an `id` of the form `<turn>.<n>`; comments are heartbeats.

| `event` | `data` | when |
|---|---|---|
| `control` | `ControlEvent` | `ACCEPTED` at once, `SPEECH_START` with the first chunk of audio |
| `text-delta` | `TextDeltaEvent` | a piece of the reply; the last has `eos: true` |
| `error` | `ErrorEvent` | ends the stream |
| `done` | `DoneEvent` | after the turn is committed; ends the stream |

An event is at most {limits.EVENT_BYTES} bytes. To resume, send the same body again with `Last-Event-ID`."""


def document() -> dict[str, Any]:
    """The whole document."""
    _, made = models_json_schema([(body, "validation") for body in BODIES], by_alias=True, ref_template=_REF)
    schemas = made["$defs"]
    for model, fields in INTERNAL.items():
        for field in fields:
            schemas[model]["properties"].pop(field)
    # Nothing public refers to it once `meta.flags` is gone.
    schemas.pop("FlagSet")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "AI VTuber",
            "version": "2.0.0",
            "description": "Speech, mouth shapes and the microphone travel over WebSockets: see asyncapi.json.",
        },
        "paths": {
            "/chat/stream": {"post": _chat_stream()},
            "/control/stop": {"post": _control_stop()},
            "/sessions": {"get": _read("listSessions", "Recent sessions, the most recently active first", "SessionList")},
            "/sessions/{id}/turns": {
                "get": {
                    **_read("listTurns", "Recent turns of a session, oldest first", "SessionTurns", 422),
                    "parameters": [_session_parameter()],
                }
            },
        },
        "components": {"schemas": schemas},
    }


def _chat_stream() -> dict[str, Any]:
    resume = {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "Resume after this event, of a running or a finished turn.",
        "schema": {"type": "string", "pattern": r"^\d+\.\d+$"},
    }
    trace = {
        "name": "traceparent",
        "in": "header",
        "description": "W3C trace context; the turn's trace continues it.",
        "schema": {"type": "string"},
    }
    events = {"type": "string", "description": "See the table; `data` of each event is one of these.", "x-events": _events()}
    return {
        "operationId": "chatStream",
        "summary": "One turn: say something, get the reply as it is made",
        "parameters": [resume, trace],
        "requestBody": _body("ChatRequest"),
        "responses": {
            "200": {"description": _STREAM, "content": {"text/event-stream": {"schema": events}}},
            **_errors(403, 413, 422, 429, 503),
            "409": _error(
                "`turn_taken` (with `nextTurn`): this number belongs to another message. `busy`: barge-in is off and a turn runs."
            ),
        },
    }


def _control_stop() -> dict[str, Any]:
    return {
        "operationId": "controlStop",
        "summary": "Silence a session at once",
        "requestBody": _body("StopRequest"),
        "responses": {
            "202": _answer("Taken; `stopped` is false when nothing was sounding.", "StopReply"),
            **_errors(403, 404, 413, 422, 429, 503),
            "409": _error("`barge_in_off`: the running turn was started without SYNC_TTS_BARGE_IN."),
        },
    }


def _read(operation: str, summary: str, model: str, *errors: int) -> dict[str, Any]:
    responses = {"200": _answer(summary, model), **_errors(*errors, 503)}
    return {"operationId": operation, "summary": summary, "responses": responses}


def _session_parameter() -> dict[str, Any]:
    pattern = http.ChatRequest.model_json_schema()["properties"]["sessionId"]["pattern"]
    return {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "pattern": pattern}}


def _events() -> dict[str, Any]:
    return {name: _ref(model.__name__) for name, model in sse.EVENT_TYPES.items()}


def _ref(model: str) -> dict[str, str]:
    return {"$ref": _REF.format(model=model)}


def _body(model: str) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": _ref(model)}}}


def _answer(description: str, model: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _ref(model)}}}


def _error(description: str) -> dict[str, Any]:
    return _answer(description, "ErrorBody")


def _errors(*statuses: int) -> dict[str, Any]:
    made = {str(status): _error(_ERRORS[status]) for status in statuses}
    for status in ("429", "503"):
        if status in made:
            made[status]["headers"] = _RETRY_AFTER
    return made
