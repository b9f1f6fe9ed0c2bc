"""The socket of viewers, `/ws/output/{id}`.

A viewer sends few frames: its playback position, questions for the time, STOP. Frames that no
schema fits are answered with `bad_frame`; after twenty, or above 100 frames a second, the
connection ends.
"""

from typing import Final

from pydantic import ValidationError
from starlette.websockets import WebSocket

from dialog_contracts.ingest import Played, Stop
from dialog_contracts.model import SESSION_ID_RULE, is_session_id
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
from output_handler.legacy.viewer import LegacyViewer
from output_handler.playback.session import PlaybackSession
from output_handler.settings import OutputSettings
from output_handler.viewers.viewer import Viewer
from service_runtime.http.frame_rate_limit import FrameRateLimit
from service_runtime.http.websocket_tasks import run_until_first_ends

MAX_BAD_FRAMES: Final = 20
MAX_FRAMES_PER_SECOND: Final = 100
"""A viewer reports five positions a second, and asks for the time now and then.

The rest is room for a finger on STOP.
"""

CLOSE_POLICY: Final = 1008


async def serve_viewer(
    socket: WebSocket, session_id: str, hub: Hub, settings: OutputSettings
) -> None:
    """One viewer, until it leaves or is given up."""
    if not is_session_id(session_id):
        await socket.accept()
        await socket.close(CLOSE_UNKNOWN_SESSION, f"a session id is {SESSION_ID_RULE}")
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
        await run_until_first_ends(viewer.write(), _read_viewer(socket, viewer, session))
    finally:
        hub.viewer_left(viewer)


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
