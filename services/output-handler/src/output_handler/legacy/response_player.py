"""Plays the answers of the legacy chain into one session: whole voice files, one after another, as if an engine spoke them."""

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
"""How far the clocks of two machines may differ before an answer counts as one of before."""

AUDIO_MISSING: Final = "voice_missing"


class LegacyResponsePlayer:
    """`take` is a watcher of `Answers`. It runs a task only while answers wait."""

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
        """An answer: announced now, or kept and never heard."""
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
        """A viewer came: it hears what waited, and one of the older dialect gets the file that is being played, or was, and is its own."""
        if len(self._session.viewer_group.viewers) == 1:
            self._viewers_since_ms = time.time()
        if isinstance(viewer, LegacyViewer):
            self._joined_late(viewer)
        self._wake()

    def _joined_late(self, viewer: LegacyViewer) -> None:
        """What is its own goes before what is on air."""
        given = self._late_delivery.deliver(viewer)
        if self._current is None:
            return
        text, file, delivered = self._current
        if given or delivered.sent:
            return
        viewer.send_response(LegacyResponseFrames.build(viewer.session_id, text, file))
        viewer.on_sent(delivered)

    def voice_awaited(self) -> None:
        """The engine has ended a turn whose voice comes as a file."""
        self._due_ms = self._session.clock() + self._source.voice_within_s * 1000
        self._wake()

    def close(self) -> None:
        """Nothing is played any more."""
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
        """One thing is done; gives how long to wait before the next look."""
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
        """Whether it was given since somebody is here, and not kept for whoever comes later."""
        asked, took = response.meta.received_at, response.metadata.processing_time
        return asked is None or took is None or asked + took > self._viewers_since_ms - CLOCK_SKEW_S

    def _wait_played_out(self) -> float:
        left_s = self._session.turn.remaining_ms(self._session.clock()) / 1000
        return min(POLL_INTERVAL_S, left_s) if left_s > 0 else POLL_INTERVAL_S

    def _finish_without_audio(self, pending: PendingResponse) -> bool:
        """What needs no sound is done at once: errors, and what comes too late."""
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
        # Getting it took a moment; the turn on air may be another one.
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
        """The turn ends with its text alone."""
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
            # An older client has no other way to its answers; a page has the history.
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
