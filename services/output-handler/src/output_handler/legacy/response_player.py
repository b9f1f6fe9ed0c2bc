"""Plays responses of the legacy pipeline into one session, one after another.

A response is a text with an audio file. Responses wait in `ResponseQueue` until the turn that plays
is over; what becomes of each is decided by `decide` (`response_queue.py`). The player then opens a
turn in the session (`PlaybackTarget`) and streams the file as chunks, so that viewers need to know
nothing of files. For a turn whose text an engine has streamed, only the audio comes from here.

A response counts as delivered when a viewer has taken it completely; other output-handlers with
viewers of the session then leave it out.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from typing import Final

import structlog

from dialog_contracts.ingest import End, TextDelta
from dialog_contracts.legacy_chain import TaskResponse
from dialog_contracts.viewer import ViewerError
from dialog_telemetry import metrics, trace_context
from output_handler.legacy.late_delivery import NO_RESPONSE, LateDelivery
from output_handler.legacy.response_frames import LegacyResponseFrames
from output_handler.legacy.response_queue import Disposition, PendingResponse, ResponseQueue, decide
from output_handler.legacy.response_source import DeliveryAck, ResponseSource
from output_handler.legacy.viewer import LegacyViewer
from output_handler.legacy.wav_playback import publish_playing, stream_wav
from output_handler.playback.ports import PlaybackTarget
from output_handler.playback.turn import AudioSource, PlaybackTurn
from output_handler.viewers.viewer import Viewer

log = structlog.get_logger("legacy_responses")

POLL_INTERVAL_S: Final = 0.5
CLOCK_SKEW_S: Final = 0.5
"""Largest difference in seconds between the clocks of two machines."""

AUDIO_MISSING: Final = "voice_missing"


class LegacyResponsePlayer:
    """Gets responses by `on_response`. A task runs only while responses wait."""

    def __init__(self, session: PlaybackTarget, source: ResponseSource) -> None:
        self._session, self._source = session, source
        self._queue = ResponseQueue()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._due_ms: float | None = None
        self._viewers_since_ms = 0.0
        self._current: tuple[str, bytes | None, DeliveryAck] | None = None
        self._late_delivery = LateDelivery()

    def on_response(self, response: TaskResponse) -> None:
        """Take a response that was announced now, or was stored and not delivered yet."""
        pending = PendingResponse(
            response, live=bool(self._session.viewer_group.viewers) and self._since(response)
        )
        if (
            pending.live
            and not self._queue.has_earlier(pending)
            and self._finish_without_audio(pending)
        ):
            return
        self._enqueue(pending)
        self._wake()

    def viewer_joined(self, viewer: Viewer) -> None:
        """Play what waits; a legacy viewer also gets its own late response, or the present file."""
        if len(self._session.viewer_group.viewers) == 1:
            self._viewers_since_ms = time.time()
        if isinstance(viewer, LegacyViewer):
            self._joined_late(viewer)
        self._wake()

    def _joined_late(self, viewer: LegacyViewer) -> None:
        """Send a late response that the viewer asked for, or else the file that plays."""
        given = self._late_delivery.deliver(viewer)
        if self._current is None:
            return
        text, file, delivered = self._current
        if given or delivered.sent:
            return
        viewer.send_response(LegacyResponseFrames.build(viewer.session_id, text, file))
        viewer.on_sent(delivered)

    def voice_awaited(self) -> None:
        """Start the deadline for the file of a turn whose text the engine has ended."""
        self._due_ms = self._session.clock() + self._source.voice_within_s * 1000
        self._wake()

    def close(self) -> None:
        """End the player."""
        self._late_delivery.clear()
        if self._task is not None:
            self._task.cancel()

    def _wake(self) -> None:
        self._changed.set()
        if (self._task is None or self._task.done()) and self._busy:
            self._task = self._source.tasks.start("answer_player", self._run())

    @property
    def _busy(self) -> bool:
        return len(self._queue) > 0 or self._due_ms is not None

    async def _run(self) -> None:
        while self._busy:
            self._changed.clear()
            wait_s = await self._next()
            if wait_s:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._changed.wait()

    async def _next(self) -> float:
        """Do one step; return the seconds to wait before the next one."""
        session, now = self._session, self._session.clock()
        if self._due_ms is not None:
            if session.turn.source is not AudioSource.FILE_AWAITED:
                self._due_ms = None
            elif now >= self._due_ms:
                self._report_missing_audio(
                    session.turn, f"no voice within {self._source.voice_within_s:.0f} s"
                )
        if not session.viewer_group.viewers:
            return POLL_INTERVAL_S
        if self._queue.unconfirmed:
            await self._drop_delivered_elsewhere()
        pending = self._queue.first()
        if pending is None:
            return POLL_INTERVAL_S
        if self._finish_without_audio(pending):
            self._queue.remove(pending)
            return 0
        end = decide(pending, session.turn, session.clock())
        if end is Disposition.WAIT or (end is Disposition.TURN and session.has_deferred_turns):
            return self._wait_played_out()
        self._queue.remove(pending)
        try:
            await self._play(pending)
        finally:
            self._current = None
        return 0

    def _since(self, response: TaskResponse) -> bool:
        """Return whether the response was made after the first viewer joined."""
        asked, took = response.meta.received_at, response.metadata.processing_time
        return asked is None or took is None or asked + took > self._viewers_since_ms - CLOCK_SKEW_S

    def _wait_played_out(self) -> float:
        left_s = self._session.turn.remaining_ms(self._session.clock()) / 1000
        return min(POLL_INTERVAL_S, left_s) if left_s > 0 else POLL_INTERVAL_S

    def _finish_without_audio(self, pending: PendingResponse) -> bool:
        """Finish a response that needs no audio, such as an error or a late one.

        Return whether it was one.
        """
        session, response = self._session, pending.response
        turn = session.turn
        end = decide(pending, turn, session.clock())
        if response.status == "error":
            code = response.metadata.code or "legacy_failed"
            if end is Disposition.VOICE:
                self._report_missing_audio(turn, code)
                DeliveryAck(self._source, response)()
                return True
            self._count("error", pending, code=code)
            session.viewer_group.error(
                ViewerError(code=code, message=response.error or NO_RESPONSE)
            )
            delivered = DeliveryAck(self._source, response)
            session.viewer_group.on_sent(delivered)
            self._late_delivery.remember(
                response, None, delivered, taken=session.viewer_group.has_legacy
            )
            if pending.turn == turn.number and turn.source is AudioSource.ENGINE:
                # The engine had announced this turn before it was given to the legacy pipeline.
                session.abandon()
            return True
        if end is Disposition.LATE:
            self._count("late", pending)
            if not pending.from_engine and turn.number and pending.turn != turn.number:
                session.viewer_group.send_response(response.text, None)
            DeliveryAck(self._source, response)()
            return True
        return False

    async def _play(self, pending: PendingResponse) -> None:
        session, response = self._session, pending.response
        voice, problem = await self._source.voice(response)
        # Reading the file took a moment; the present turn may be another one.
        end = decide(pending, session.turn, session.clock())
        if end is Disposition.WAIT:
            self._enqueue(pending)
            return
        if self._finish_without_audio(pending):
            return
        delivered = DeliveryAck(self._source, response)
        file = voice.file if voice is not None else None
        if end is Disposition.ASIDE:
            self._count("aside", pending)
            session.viewer_group.send_response(response.text, file)
            session.viewer_group.on_sent(delivered)
            return
        turn = session.turn
        if end is Disposition.TURN:
            start = pending.start_message(session.session_id, session.epoch)
            text = TextDelta(
                session_id=session.session_id, turn=start.turn, content=response.text, eos=True
            )
            turn = session.open_file(start, text)
        session.take_file(voice.duration_ms if voice is not None else 0)
        self._due_ms = None
        session.viewer_group.send_response(turn.text, file, of_turn=True)
        session.viewer_group.on_sent(delivered, older=True)
        self._current = (turn.text, file, delivered)
        self._late_delivery.remember(
            response, file, delivered, taken=session.viewer_group.has_legacy
        )
        if problem is not None:
            session.viewer_group.broadcast(
                ViewerError(
                    code=AUDIO_MISSING, message="the voice of this answer is missing"
                ).to_json()
            )
        whole = True
        if voice is not None and turn.flags.SYNC_TTS_BARGE_IN:
            self._source.tasks.start(
                "sounding", publish_playing(session, turn, self._source.active_playback)
            )
        if voice is not None:
            whole = await stream_wav(session, turn, voice)
        if not whole:
            self._count("cut", pending)
            delivered()
            return
        self._count(
            "voiced" if voice is not None else "silent" if problem is None else AUDIO_MISSING,
            pending,
            problem=problem,
        )
        audio_ms = voice.duration_ms if voice is not None else 0
        session.finish(End(session_id=session.session_id, turn=turn.number, audio_ms=audio_ms))
        session.viewer_group.on_sent(delivered, older=False)
        if not session.viewer_group.viewers:
            self._enqueue(replace(pending, live=False, redelivered=True))

    def _report_missing_audio(self, turn: PlaybackTurn, why: str) -> None:
        """End the turn with its text alone."""
        self._due_ms = None
        metrics.LEGACY_RESPONSES.labels(outcome=AUDIO_MISSING).inc()
        log.warning(AUDIO_MISSING, session=self._session.session_id, turn=turn.number, reason=why)
        self._session.viewer_group.broadcast(
            ViewerError(code=AUDIO_MISSING, message="the voice of this answer is missing").to_json()
        )
        self._session.finish(End(session_id=self._session.session_id, turn=turn.number, audio_ms=0))

    async def _drop_delivered_elsewhere(self) -> None:
        delivered = await self._source.delivered_elsewhere(self._session.session_id)
        for pending in self._queue.drop_delivered_elsewhere(delivered):
            self._count("heard_elsewhere", pending)
        if not self._session.viewer_group.has_legacy:
            # A legacy client has no other way to its responses; a page reads the history.
            for pending in self._queue.drop_superseded():
                self._count("bygone", pending)
        self._queue.confirm_all()

    def _enqueue(self, pending: PendingResponse) -> None:
        dropped = self._queue.add(pending)
        if dropped is not None:
            self._count("dropped", dropped)

    def _count(self, outcome: str, pending: PendingResponse, **more: object) -> None:
        metrics.LEGACY_RESPONSES.labels(outcome=outcome).inc()
        trace_id = trace_context.trace_id(pending.response.meta.traceparent)
        traced = {"trace_id": trace_id} if trace_id is not None else {}
        log.info(
            "answer", outcome=outcome, correlationId=pending.response.message_id, **traced, **more
        )
