"""An engine that answers as it is told.

Whole streams, refusals, delays, and connections that break.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from starlette.types import Receive, Scope, Send

from dialog_contracts import sse
from dialog_contracts.http import ChatRequest, ErrorBody

CUT: Final = "cut"
HANG: Final = "hang"
Step = bytes | float | str


@dataclass(frozen=True)
class ScriptedAnswer:
    """One answer. Steps.

    Bytes are sent, seconds are waited, `CUT` breaks the connection, `HANG` waits for the caller to
    leave.
    """

    steps: Sequence[Step] = ()
    status: int = 200
    wait_s: float = 0.0


def events(turn: int, *said: sse.ChatEvent) -> bytes:
    """Events of a turn as bytes, numbered from 0 like those of engines."""
    return b"".join(
        sse.frame(event, f"{turn}.{number}").encode() for number, event in enumerate(said)
    )


def refusal(status: int, code: str, *, next_turn: int | None = None) -> ScriptedAnswer:
    """An error as engines answer it."""
    body = ErrorBody(code=code, message=f"{code} of the scripted engine", next_turn=next_turn)
    return ScriptedAnswer(steps=[body.to_json().encode()], status=status)


def moved_to(ordinal: int) -> ScriptedAnswer:
    """What an engine answers for a session that another one has."""
    return ScriptedAnswer(
        steps=[ErrorBody(code="not_owner", message="m", owner=ordinal).to_json().encode()],
        status=421,
    )


DRAINING: Final = refusal(503, "draining")
ACCEPTED: Final = sse.ControlEvent(action="ACCEPTED")
HELLO: Final = sse.TextDeltaEvent(content="今晚")
DONE: Final = sse.DoneEvent(stats=sse.DoneStats(tokens=1))


@dataclass
class ScriptedEngine:
    """An ASGI application. The last answer is given for ever.

    `left` is set when a caller went away before the end.
    """

    answers: list[ScriptedAnswer] = field(default_factory=list)
    requests: list[ChatRequest] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        if scope["path"] == "/readyz":
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [(b"content-type", b"application/json")],
                }
            )
            await send({"type": "http.response.body", "body": b"{}"})
            return
        self.requests.append(ChatRequest.from_json(body))
        self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await asyncio.sleep(answer.wait_s)
        kind = b"text/event-stream" if answer.status == 200 else b"application/json"
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [(b"content-type", kind)],
            }
        )
        for step in answer.steps:
            if isinstance(step, bytes):
                await send({"type": "http.response.body", "body": step, "more_body": True})
            elif isinstance(step, float):
                await asyncio.sleep(step)
            elif step == CUT:
                return  # uvicorn breaks the connection of an answer that was not ended.
            else:
                while (await receive())["type"] != "http.disconnect":
                    continue
                self.left.set()
                return
        await send({"type": "http.response.body", "body": b""})
