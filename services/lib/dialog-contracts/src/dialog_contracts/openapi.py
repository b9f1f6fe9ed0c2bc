"""The public HTTP API as an OpenAPI 3.1 document: turns, STOP and history."""

from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from dialog_contracts import events_api, http, limits, sse

_REF: Final = "#/components/schemas/{model}"
BODIES: Final[tuple[type[BaseModel], ...]] = (
    http.ChatRequest,
    http.StopRequest,
    http.StopReply,
    http.SessionList,
    http.SessionTurns,
    http.ErrorBody,
    events_api.EventsBacklog,
    events_api.FailedEvents,
    events_api.ReplayRequest,
    events_api.ReplayReceipt,
    events_api.AnalyticsReport,
    *sse.EVENT_TYPES.values(),
)
INTERNAL: Final = {"RequestMeta": ("flags", "client", "knownTurn")}
"""Fields that only services set; a value from a caller is replaced."""

VERSION: Final = "2.0.0"

TAGS: Final = [
    {"name": "conversation", "description": "Say something, and be silent again."},
    {"name": "history", "description": "What was said."},
    {"name": "events", "description": "Events of turns, and the figures that are made of them."},
]

EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "ChatRequest": {
        "text": {
            "sessionId": "live-001",
            "content": "今晚玩什么？",
            "meta": {"requestId": "m-1", "viewerId": "twitch:12345"},
        },
        "verbatim": {
            "sessionId": "live-001",
            "type": "COMMAND",
            "content": "SAY",
            "meta": {"text": "Welcome, everybody!"},
        },
        "new conversation": {"sessionId": "live-001", "type": "COMMAND", "content": "RESET"},
    },
    "StopRequest": {
        "whatever plays": {"sessionId": "live-001"},
        "one turn": {"sessionId": "live-001", "turn": 42},
    },
    "StopReply": {"stopped": {"ok": True, "stopped": True}},
    "SessionList": {"one": {"sessions": [{"sessionId": "live-001", "lastActive": 1790006400}]}},
    "SessionTurns": {
        "one": {
            "sessionId": "live-001",
            "turns": [
                {
                    "turn": 42,
                    "user": "今晚玩什么？",
                    "reply": "今晚我们玩解谜",
                    "ts": 1790006400,
                    "interrupted": True,
                }
            ],
        }
    },
    "EventsBacklog": {
        "one": {
            "outboxes": [
                {"ordinal": 0, "waiting": 0, "parked": 0, "atMs": 1790006410000, "live": True},
                {
                    "ordinal": 1,
                    "waiting": 7,
                    "parked": 0,
                    "oldestMs": 1790000000000,
                    "atMs": 1790000100000,
                    "live": False,
                },
            ],
            "streams": [
                {
                    "stream": "events.ltm",
                    "group": "ltm_worker",
                    "unread": 0,
                    "pending": 3,
                    "dead": 1,
                }
            ],
        }
    },
    "FailedEvents": {
        "one": {
            "events": [
                {
                    "id": "1790006400000-0",
                    "where": "dead",
                    "stream": "events.ltm",
                    "eventId": "0199f2c4-7d1e-7c3a-9b52-6f1e2a4d8c02",
                    "type": "LtmWriteRequested",
                    "reason": "turn: Input should be greater than or equal to 1",
                    "atMs": 1790006401000,
                    "payload": "{}",
                }
            ]
        }
    },
    "ReplayRequest": {"one": {"ids": ["1790006400000-0"]}},
    "ReplayReceipt": {"one": {"parked": 0, "dead": 1, "unreachable": []}},
    "AnalyticsReport": {
        "one": {
            "sessions": [
                {
                    "session": "live-001",
                    "turns": 42,
                    "interrupted": 5,
                    "legacy": 1,
                    "ttft_p50_ms": 38.0,
                    "ttft_p95_ms": 61.5,
                    "first_audio_p50_ms": 112.0,
                    "first_audio_p95_ms": 230.4,
                    "last_ts": 1790006400,
                    "recent": [
                        {
                            "turn": 42,
                            "ts": 1790006400,
                            "path": "sync",
                            "interrupted": True,
                            "ttft_ms": 38.0,
                            "first_audio_ms": 112.0,
                        }
                    ],
                }
            ]
        }
    },
}
"""Examples by body and by name of the example."""

_EVENT_EXAMPLE: Final = {
    "id": "42.1",
    "event": "text-delta",
    "data": '{"content":"今晚我们玩解谜","eos":false}',
}

_DOOR: Final = (400, 403, 405, 408, 413, 414, 429, 431, 500, 503)
"""Statuses that any request may get before its content is examined."""

_ERRORS: Final = {
    400: "No HTTP/1.1 request.",
    401: "`admin_only`: the caller is on another machine and has no ADMIN_TOKEN.",
    403: "`host_refused`: the name in Host is none of this service's. `origin_refused`: a page of another site that is not on the list.",
    404: "Nothing is at this path; of a STOP, `unknown_session`: the session was never played.",
    405: "This path has another method; `Allow` says which.",
    408: "Head or body did not come in time.",
    409: "The request is valid, but not in the present state.",
    413: f"The body is longer than {limits.MAX_JSON_FRAME_BYTES} bytes; `limit` says so.",
    414: "The URL is too long; `limit` says how long it may be.",
    422: "A field is invalid; `field` names it, as a path.",
    429: "Over a limit of rate or number; `Retry-After` says when to come back.",
    431: "The head is too large; `limit` says which limit was passed.",
    500: "An error on our side; it was logged.",
    503: "A component that is needed is not available now; retryable.",
}
_RETRY_AFTER: Final = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
}

_STREAM: Final = f"""Server-Sent Events, one turn. Each has an `id` of the form `<turn>.<n>`; comments are heartbeats.

| `event` | `data` | when |
|---|---|---|
| `control` | `ControlEvent` | `ACCEPTED` at once, `SPEECH_START` with the first chunk of audio |
| `text-delta` | `TextDeltaEvent` | a piece of the reply; the last has `eos: true` |
| `error` | `ErrorEvent` | ends the stream |
| `done` | `DoneEvent` | after the turn is committed; ends the stream |

An event is at most {limits.MAX_EVENT_BYTES} bytes. To resume, send the same body again with `Last-Event-ID`."""


def document() -> dict[str, Any]:
    """Return the whole OpenAPI document."""
    _, made = models_json_schema(
        [(body, "validation") for body in BODIES], by_alias=True, ref_template=_REF
    )
    schemas = made["$defs"]
    for model, fields in INTERNAL.items():
        for field in fields:
            schemas[model]["properties"].pop(field)
    # Nothing public refers to FlagSet without `meta.flags`.
    schemas.pop("FlagSet")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "AI VTuber",
            "version": VERSION,
            "description": "Speech, mouth shapes and the microphone travel over WebSockets: see asyncapi.json.",
        },
        "tags": TAGS,
        "paths": {
            "/chat/stream": {"post": _chat_stream()},
            "/control/stop": {"post": _control_stop()},
            "/sessions": {
                "get": _read(
                    "listSessions", "Recent sessions, the most recently active first", "SessionList"
                )
            },
            "/sessions/{id}/turns": {
                "get": {
                    **_read(
                        "listTurns",
                        "Recent turns of a session, oldest first",
                        "SessionTurns",
                        404,
                        422,
                    ),
                    "parameters": [_session_parameter()],
                }
            },
            "/analytics": {
                "get": {
                    **_read(
                        "analytics",
                        "Turns, first audio and interruptions of sessions",
                        "AnalyticsReport",
                        422,
                        tag="events",
                    ),
                    "parameters": [
                        {
                            **_session_parameter(),
                            "name": "session",
                            "in": "query",
                            "required": False,
                        }
                    ],
                }
            },
            "/events/backlog": {
                "get": _read("eventsBacklog", "Events that wait", "EventsBacklog", tag="events")
            },
            "/events/dead": {
                "get": _read(
                    "failedEvents",
                    "Events that could not be delivered or applied",
                    "FailedEvents",
                    401,
                    tag="events",
                )
            },
            "/events/replay": {"post": _replay()},
        },
        "components": {"schemas": schemas},
    }


def _chat_stream() -> dict[str, Any]:
    resume = {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "`<turn>.<n>`: resume after this event, of a running or a finished turn.",
        "schema": {"type": "string"},
        "example": "42.7",
    }
    trace = {
        "name": "traceparent",
        "in": "header",
        "description": "W3C trace context; the turn's trace continues it.",
        "schema": {"type": "string"},
        "example": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }
    data = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"oneOf": list(_events().values())},
    }
    events = {
        "type": "object",
        "description": "One event of the stream; its `data` is, by its name, one of `x-events`.",
        "properties": {
            "id": {"type": "string", "pattern": r"^[0-9]{1,9}\.[0-9]{1,9}$"},
            "event": {"enum": list(sse.EVENT_TYPES)},
            "data": data,
        },
        "required": ["event", "data"],
        "x-events": _events(),
    }
    return {
        "operationId": "chatStream",
        "tags": ["conversation"],
        "summary": "One turn: send a message, receive the reply while it is generated",
        "parameters": [resume, trace],
        "requestBody": _body("ChatRequest"),
        "responses": {
            "200": {
                "description": _STREAM,
                "content": {"text/event-stream": {"schema": events, "example": _EVENT_EXAMPLE}},
            },
            **_errors(422),
            "409": _error(
                "`turn_taken` (with `nextTurn`): this number belongs to another message. `out_of_reach` (with `nextTurn`): it is too far "
                "from the session's last one. `turn_lost`: the turn ended with its engine. "
                "`unknown_event`: no event has this id. `busy`: barge-in is off and a turn runs. "
                "`no_numbers_left`: the session has used every number."
            ),
        },
    }


def _control_stop() -> dict[str, Any]:
    return {
        "operationId": "controlStop",
        "tags": ["conversation"],
        "summary": "Stop a session's reply at once",
        "requestBody": _body("StopRequest"),
        "responses": {
            "202": _answer("`stopped` is false when nothing was playing.", "StopReply"),
            **_errors(404, 422),
            "409": _error(
                "`barge_in_off`: the running turn was started without SYNC_TTS_BARGE_IN."
            ),
        },
    }


def _replay() -> dict[str, Any]:
    return {
        "operationId": "replayEvents",
        "tags": ["events"],
        "summary": "Try failed events again",
        "requestBody": _body("ReplayRequest"),
        "responses": {
            "200": _answer("How many are tried again.", "ReplayReceipt"),
            **_errors(401, 422),
        },
    }


def _read(
    operation: str, summary: str, model: str, *errors: int, tag: str = "history"
) -> dict[str, Any]:
    responses = {"200": _answer(summary, model), **_errors(*errors)}
    return {
        "operationId": operation,
        "tags": [tag],
        "summary": summary,
        "responses": responses,
    }


def _session_parameter() -> dict[str, Any]:
    pattern = http.ChatRequest.model_json_schema()["properties"]["sessionId"]["pattern"]
    schema = {"type": "string", "pattern": pattern}
    return {"name": "id", "in": "path", "required": True, "schema": schema, "example": "live-001"}


def _events() -> dict[str, Any]:
    return {name: _ref(model.__name__) for name, model in sse.EVENT_TYPES.items()}


def _ref(model: str) -> dict[str, str]:
    return {"$ref": _REF.format(model=model)}


def _body(model: str) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": _described(model)}}


def _answer(description: str, model: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": _described(model)}}


def _described(model: str) -> dict[str, Any]:
    examples = {name: {"value": value} for name, value in EXAMPLES.get(model, {}).items()}
    return {"schema": _ref(model), "examples": examples} if examples else {"schema": _ref(model)}


def _error(description: str) -> dict[str, Any]:
    return _answer(description, "ErrorBody")


def _errors(*statuses: int) -> dict[str, Any]:
    made = {str(status): _error(_ERRORS[status]) for status in sorted({*_DOOR, *statuses})}
    for status in ("429", "503"):
        if status in made:
            made[status]["headers"] = _RETRY_AFTER
    return made
