"""Turns of an engine that come while a voice file still plays, or is awaited, and may not be interrupted.

The engine has nothing more to do with a turn whose audio comes as a file, so it begins the next one
whenever it is asked. With barge-in off the file is neither cut nor left out for that: the frames of
the next turn are kept here, in order, as the legacy pipeline keeps its own.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from dialog_contracts.ingest import End, PlaybackControl, SpeechChunk, Start, StopAck, TextDelta
from dialog_contracts.model import correlation_id
from dialog_telemetry import metrics
from output_handler.playback.state_machine import PlaybackState
from output_handler.playback.turn import AudioSource, Delivery

log = structlog.get_logger("session")

MAX_DEFERRED_FRAMES: Final = 5_000
"""Three minutes of speech. With more, the first deferred turn is played at once."""

Frame = Start | SpeechChunk | TextDelta | End | StopAck | PlaybackControl


class DeferredTurns:
    """`defer` sees every frame first; `release` is called when the present turn is idle.

    `play` takes a frame that has waited, `engine_lost` stands for an engine that was lost there.
    """

    def __init__(
        self,
        state: PlaybackState,
        clock: Callable[[], float],
        play: Callable[[Frame, str], None],
        engine_lost: Callable[[], None],
    ) -> None:
        self._state, self._clock = state, clock
        self._play_frame, self._play_loss = play, engine_lost
        self._frames: deque[tuple[Frame, str] | None] = deque()
        """None marks the place at which the engine was lost."""

    def __bool__(self) -> bool:
        return bool(self._frames)

    def defer(self, frame: Frame, raw: str) -> bool:
        """Keep the frame if it has to wait; return whether it does."""
        turn = self._state.turn
        if frame.turn is None or frame.turn <= turn.number:
            return False
        if not self._frames and not (isinstance(frame, Start) and self._playback_protected()):
            return False
        if not self._frames:
            name = correlation_id(frame.session_id, frame.turn)
            log.info("turn_waits", behind=turn.number, correlationId=name)
        self._frames.append((frame, raw))
        if len(self._frames) > MAX_DEFERRED_FRAMES:
            metrics.DEFERRED_TURNS_OVERFLOW.inc()
            behind = correlation_id(frame.session_id, turn.number)
            log.warning("deferred_turns_overflow", correlationId=behind)
            self._play()
        return True

    def engine_lost(self) -> None:
        """Mark that no frame follows those that wait; another engine may add a turn behind them."""
        if self._frames:
            self._frames.append(None)

    def release(self) -> None:
        """Play what waits, up to the next turn that must wait itself."""
        turn = self._state.turn
        file_open = turn.source is AudioSource.FILE and turn.delivery is Delivery.OPEN
        if self._frames and not file_open and turn.source is not AudioSource.FILE_AWAITED:
            self._play()

    def _play(self) -> None:
        """Play all frames, but stop before the second turn if the first one is protected."""
        first = True
        while self._frames:
            waiting = self._frames[0]
            starts = waiting is not None and isinstance(waiting[0], Start)
            if starts and not first and self._playback_protected():
                return
            first = False
            self._frames.popleft()
            if waiting is None:
                self._play_loss()
            else:
                self._play_frame(*waiting)

    def _playback_protected(self) -> bool:
        turn = self._state.turn
        if turn.flags.SYNC_TTS_BARGE_IN or turn.source is AudioSource.ENGINE:
            return False
        return turn.source is AudioSource.FILE_AWAITED or turn.playing(self._clock())
