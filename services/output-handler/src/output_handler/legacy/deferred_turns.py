"""Turns of an engine that come while a voice file still sounds, or is awaited, and nobody may interrupt it: they wait until it was heard.

The engine has nothing more to do with a turn whose voice comes as a file, so it begins the next one whenever it is asked. With barge-in
off the first voice is neither cut nor left out for that: what comes of the next turn is kept here, in order, as the chain keeps its own.
"""

from collections import deque
from typing import TYPE_CHECKING, Final

import structlog

from dialog_contracts.ingest import End, PlaybackControl, SpeechChunk, Start, StopAck, TextDelta
from dialog_telemetry import metrics

if TYPE_CHECKING:
    from output_handler.playback.session import PlaybackSession

log = structlog.get_logger("session")

MAX_DEFERRED_FRAMES: Final = 5_000
"""Some three minutes of speech. What comes after it does not wait any longer."""

Frame = Start | SpeechChunk | TextDelta | End | StopAck | PlaybackControl


class DeferredTurns:
    """`takes` every frame first; `go_on` when the present turn has died away."""

    def __init__(self, session: "PlaybackSession") -> None:
        self._session = session
        self._frames: deque[tuple[Frame, str] | None] = deque()
        """None: here the engine was lost."""
        self._releasing = False

    def __bool__(self) -> bool:
        return bool(self._frames)

    def defer(self, frame: Frame, raw: str) -> bool:
        """Whether the frame waits."""
        view = self._session.turn
        if self._releasing or view is None or frame.turn is None or frame.turn <= view.turn:
            return False
        if not self._frames and not (isinstance(frame, Start) and self._playback_protected()):
            return False
        if not self._frames:
            log.info(
                "turn_waits", behind=view.turn, correlationId=f"{frame.session_id}#{frame.turn}"
            )
        self._frames.append((frame, raw))
        if len(self._frames) > MAX_DEFERRED_FRAMES:
            metrics.DEFERRED_TURNS_OVERFLOW.inc()
            log.warning("deferred_turns_overflow", **self._session.log_fields)
            self._play()
        return True

    def engine_lost(self) -> None:
        """The engine is gone: what waits comes to no end of its own. Another engine may go on behind it."""
        if self._frames and not self._releasing:
            self._frames.append(None)

    def release(self) -> None:
        """The present turn has died away: what waits is played, up to the next turn that has to be waited for."""
        view = self._session.turn
        on_air = view is not None and (view.awaiting_file or (view.from_file and not view.ended))
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
                and self._playback_protected()
            ):
                return
            first = False
            self._frames.popleft()
            self._releasing = True
            try:
                if waiting is None:
                    self._session.engine_lost(for_good=True)
                else:
                    self._session.on_frame(*waiting)
            finally:
                self._releasing = False

    def _playback_protected(self) -> bool:
        view = self._session.turn
        if view is None or view.flags.SYNC_TTS_BARGE_IN:
            return False
        return view.awaiting_file or (view.from_file and view.playing(self._session.clock()))
