"""Turns of an engine that come while a voice file still sounds, or is awaited, and nobody may interrupt it: they wait until it was heard.

The engine has nothing more to do with a turn whose voice comes as a file, so it begins the next one whenever it is asked. With barge-in
off the first voice is neither cut nor left out for that: what comes of the next turn is kept here, in order, as the chain keeps its own.
"""

from collections import deque
from typing import TYPE_CHECKING, Final

import structlog

from dialog_contracts.ingest import End, Hold, SpeechChunk, Start, StopAck, TextDelta
from dialog_telemetry import metrics

if TYPE_CHECKING:
    from output_handler.session import Session

log = structlog.get_logger("session")

FRAMES_MAX: Final = 5_000
"""Some three minutes of speech. What comes after it does not wait any longer."""

Frame = Start | SpeechChunk | TextDelta | End | StopAck | Hold


class TurnsBehind:
    """`takes` every frame first; `go_on` when the present turn has died away."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._frames: deque[tuple[Frame, str] | None] = deque()
        """None: here the engine was lost."""
        self._going_on = False

    def __bool__(self) -> bool:
        return bool(self._frames)

    def takes(self, frame: Frame, raw: str) -> bool:
        """Whether the frame waits."""
        view = self._session.view
        if self._going_on or view is None or frame.turn is None or frame.turn <= view.turn:
            return False
        if not self._frames and not (isinstance(frame, Start) and self._must_be_heard()):
            return False
        if not self._frames:
            log.info(
                "turn_waits", behind=view.turn, correlationId=f"{frame.session_id}#{frame.turn}"
            )
        self._frames.append((frame, raw))
        if len(self._frames) > FRAMES_MAX:
            metrics.TURNS_NOT_AWAITED.inc()
            log.warning("turn_not_awaited", **self._session.lines)
            self._play()
        return True

    def engine_lost(self) -> None:
        """The engine is gone: what waits comes to no end of its own. Another engine may go on behind it."""
        if self._frames and not self._going_on:
            self._frames.append(None)

    def go_on(self) -> None:
        """The present turn has died away: what waits is played, up to the next turn that has to be waited for."""
        view = self._session.view
        on_air = view is not None and (view.awaits_voice or (view.from_file and not view.ended))
        if self._frames and not on_air:
            self._play()

    def _play(self) -> None:
        """To the end, or to the next turn but the first that has to wait for the one before it."""
        first = True
        while self._frames:
            waiting = self._frames[0]
            if (
                waiting is not None
                and isinstance(waiting[0], Start)
                and not first
                and self._must_be_heard()
            ):
                return
            first = False
            self._frames.popleft()
            self._going_on = True
            try:
                if waiting is None:
                    self._session.engine_lost(for_good=True)
                else:
                    self._session.take(*waiting)
            finally:
                self._going_on = False

    def _must_be_heard(self) -> bool:
        view = self._session.view
        if view is None or view.flags.SYNC_TTS_BARGE_IN:
            return False
        return view.awaits_voice or (view.from_file and view.sounding(self._session.clock()))
