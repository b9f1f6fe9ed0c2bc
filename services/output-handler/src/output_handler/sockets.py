"""The two sockets: engines at `/ws/ingest/tts`, viewers at `/ws/output/{id}`."""

import asyncio
import re
from collections.abc import Coroutine
from contextlib import suppress
from typing import Final

import structlog
from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from dialog_contracts.ingest import Played, Stop
from dialog_contracts.viewer import (
    CLOSE_UNKNOWN_SESSION,
    FROM_VIEWER,
    SUBPROTOCOL,
    SUBPROTOCOL_BINARY,
    TimeReply,
    TimeRequest,
    ViewerError,
)
from dialog_telemetry import metrics
from output_handler.errors import BargeInOff
from output_handler.hub import Hub, clock_ms
from output_handler.ingest.connection import CHECK_INTERVAL_S, EngineConnection
from output_handler.legacy.viewer import LegacyViewer
from output_handler.playback.session import PlaybackSession
from output_handler.settings import OutputSettings
from output_handler.viewers.viewer import Viewer
from service_runtime.http.frame_rate_limit import FrameRateLimit

log = structlog.get_logger("sockets")

SESSION_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
MAX_BAD_FRAMES: Final = 20
MAX_FRAMES_PER_SECOND: Final = 100
"""A viewer reports five positions a second, and asks for the time now and then; the rest is room for a finger on STOP."""

CLOSE_POLICY: Final = 1008


async def serve_engine(socket: WebSocket, hub: Hub) -> None:
    """One engine, until its socket ends."""
    await socket.accept()
    link = EngineConnection(socket)
    hub.engine_joined(link)
    try:
        await _run_until_first_ends(
            link.write(), _read_engine(socket, hub, link), _watch_engine(hub, link)
        )
    finally:
        hub.engine_left(link)


async def serve_viewer(
    socket: WebSocket, session_id: str, hub: Hub, settings: OutputSettings
) -> None:
    """One viewer, until it leaves or is given up."""
    if SESSION_ID.fullmatch(session_id) is None:
        await socket.accept()
        await socket.close(CLOSE_UNKNOWN_SESSION, "a session id is 1 to 64 of A-Z a-z 0-9 _ -")
        return
    offered = socket.scope.get("subprotocols", [])
    chosen = next((name for name in (SUBPROTOCOL_BINARY, SUBPROTOCOL) if name in offered), None)
    await socket.accept(subprotocol=chosen)
    viewer: Viewer
    if chosen is None:
        viewer = LegacyViewer(
            socket,
            session_id,
            queue_ms=settings.viewer_queue_ms,
            stuck_s=settings.viewer_send_timeout_s,
        )
    else:
        viewer = Viewer(
            socket,
            session_id,
            binary=chosen == SUBPROTOCOL_BINARY,
            queue_ms=settings.viewer_queue_ms,
            stuck_s=settings.viewer_send_timeout_s,
        )
    session = hub.viewer_joined(viewer)
    try:
        await _run_until_first_ends(viewer.write(), _read_viewer(socket, viewer, session))
    finally:
        hub.viewer_left(viewer)


async def _run_until_first_ends(*parts: Coroutine[None, None, None]) -> None:
    """Run all of them until one ends, then end the others."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        # The other side may close while we do: that is an end like any other.
        for task in tasks:
            with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await task


async def _read_engine(socket: WebSocket, hub: Hub, link: EngineConnection) -> None:
    while (message := await socket.receive())["type"] == "websocket.receive":
        text = message.get("text")
        if text is None:
            metrics.REQUESTS_REJECTED.labels(code="bad_ingest_frame").inc()
            continue
        link.touch()
        hub.on_engine_frame(link, text)
        # An engine sends a burst ahead of the ear; the viewers' writers must not wait for its end.
        await asyncio.sleep(0)


async def _watch_engine(hub: Hub, link: EngineConnection) -> None:
    """A machine that is cut off closes no socket: viewers learn of it from the silence."""
    silent, clock = False, asyncio.get_running_loop().time
    while True:
        began = clock()
        await asyncio.sleep(CHECK_INTERVAL_S)
        if (late := clock() - began - CHECK_INTERVAL_S) > CHECK_INTERVAL_S:
            link.extend_deadline(late)
        if link.timed_out and not silent:
            log.warning("engine_timed_out", sessions=len(hub.engine_timed_out(link)))
        elif silent and not link.timed_out:
            log.info("engine_recovered", sessions=len(hub.engine_recovered(link)))
        silent = link.timed_out


async def _read_viewer(socket: WebSocket, viewer: Viewer, session: PlaybackSession) -> None:
    bad, rate = 0, FrameRateLimit(MAX_FRAMES_PER_SECOND)
    while (message := await socket.receive())["type"] == "websocket.receive":
        if rate.exceeded():
            metrics.REQUESTS_REJECTED.labels(code="too_many_frames").inc()
            await socket.close(CLOSE_POLICY, f"more than {MAX_FRAMES_PER_SECOND} frames a second")
            return
        text = message.get("text")
        problem = (
            "this socket takes JSON text frames"
            if text is None
            else _handle_frame(text, viewer, session)
        )
        if problem is None:
            continue
        bad += 1
        metrics.REQUESTS_REJECTED.labels(code="bad_viewer_frame").inc()
        viewer.send(ViewerError(code="bad_frame", message=problem[:200]).to_json())
        if bad >= MAX_BAD_FRAMES:
            await socket.close(CLOSE_POLICY, "too many bad frames")
            return


def _handle_frame(text: str, viewer: Viewer, session: PlaybackSession) -> str | None:
    """Act on a viewer's frame; gives what is wrong with it."""
    try:
        frame = FROM_VIEWER.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    if isinstance(frame, TimeRequest):
        viewer.send(TimeReply(t0=frame.t0, t1=round(clock_ms(), 3)).to_json())
        return None
    if frame.session_id != viewer.session_id:
        return f"sessionId: this socket belongs to {viewer.session_id}"
    if isinstance(frame, Played):
        session.played(viewer, frame)
    elif isinstance(frame, Stop):
        try:
            session.stop(frame.turn, frame.reason or "viewer")
        except BargeInOff as error:
            viewer.send(ViewerError(code=error.body.code, message=error.body.message).to_json())
    return None
