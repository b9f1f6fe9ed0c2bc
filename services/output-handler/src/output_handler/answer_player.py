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
from output_handler.legacy_answer import LegacyAnswer
from output_handler.legacy_viewer import LegacyViewer
from output_handler.mailbox import Fate, Letter, Mailbox, fate
from output_handler.mailroom import HeardMark, Mailroom
from output_handler.owed import NO_ANSWER, Owed
from output_handler.session import Session
from output_handler.turn_view import TurnView
from output_handler.viewer import Viewer
from output_handler.voice_speaker import sounds, speak

log = structlog.get_logger("answers")

LOOK_EVERY_S: Final = 0.5
CLOCKS_APART_S: Final = 0.5
"""How far the clocks of two machines may differ before an answer counts as one of before."""

VOICE_MISSING: Final = "voice_missing"


class AnswerPlayer:
    """`take` is a watcher of `Answers`. It runs a task only while answers wait."""

    def __init__(self, session: Session, room: Mailroom) -> None:
        self._session, self._room = session, room
        self._box = Mailbox()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._due_ms: float | None = None
        self._here_since = 0.0
        self._on_air: tuple[str, bytes | None, HeardMark] | None = None
        self._owed = Owed()

    def take(self, response: TaskResponse) -> None:
        """An answer: announced now, or kept and never heard."""
        letter = Letter(response, live=bool(self._session.viewers) and self._since(response))
        if letter.live and not self._box.before(letter) and self._settle(letter):
            return
        self._keep(letter)
        self._wake()

    def joined(self, viewer: Viewer) -> None:
        """A viewer came: it hears what waited, and one of the older dialect gets the file that is being played, or was, and is its own."""
        if len(self._session.viewers) == 1:
            self._here_since = time.time()
        if isinstance(viewer, LegacyViewer):
            self._joined_late(viewer)
        self._wake()

    def _joined_late(self, viewer: LegacyViewer) -> None:
        """What is its own goes before what is on air."""
        given = self._owed.pay(viewer)
        if self._on_air is None:
            return
        text, file, heard = self._on_air
        if given or heard.told:
            return
        viewer.answer(LegacyAnswer.of(viewer.session_id, text, file))
        viewer.offer_mark(heard)

    def voice_awaited(self, view: TurnView) -> None:
        """The engine has ended a turn whose voice comes as a file."""
        self._due_ms = self._session.clock() + self._room.voice_within_s * 1000
        self._wake()

    def close(self) -> None:
        """Nothing is played any more."""
        self._owed.paid()
        if self._task is not None:
            self._task.cancel()

    def _wake(self) -> None:
        self._news.set()
        if (self._task is None or self._task.done()) and self._busy:
            self._task = self._room.tasks.start("answer_player", self._run())

    @property
    def _busy(self) -> bool:
        return len(self._box) > 0 or self._due_ms is not None

    async def _run(self) -> None:
        while self._busy:
            self._news.clear()
            wait_s = await self._next()
            if wait_s:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._news.wait()

    async def _next(self) -> float:
        """One thing is done; gives how long to wait before the next look."""
        session, now = self._session, self._session.clock()
        if self._due_ms is not None:
            if session.view is None or not session.view.awaits_voice:
                self._due_ms = None
            elif now >= self._due_ms:
                self._no_voice(session.view, f"no voice within {self._room.voice_within_s:.0f} s")
        if not session.viewers:
            return LOOK_EVERY_S
        if self._box.unsure:
            await self._sort_out()
        letter = self._box.first()
        if letter is None:
            return LOOK_EVERY_S
        if self._settle(letter):
            self._box.take(letter)
            return 0
        end = fate(letter, session.view, session.clock())
        if end is Fate.WAIT or (end is Fate.TURN and session.behind):
            return self._until_heard()
        self._box.take(letter)
        try:
            await self._play(letter)
        finally:
            self._on_air = None
        return 0

    def _since(self, response: TaskResponse) -> bool:
        """Whether it was given since somebody is here, and not kept for whoever comes later."""
        asked, took = response.meta.received_at, response.metadata.processing_time
        return asked is None or took is None or asked + took > self._here_since - CLOCKS_APART_S

    def _until_heard(self) -> float:
        view = self._session.view
        if view is None or view.zero_ms is None:
            return LOOK_EVERY_S
        left_s = (view.zero_ms + view.sent_ms - self._session.clock()) / 1000
        return min(LOOK_EVERY_S, left_s) if left_s > 0 else LOOK_EVERY_S

    def _settle(self, letter: Letter) -> bool:
        """What needs no sound is done at once: errors, and what comes too late."""
        session, response = self._session, letter.response
        view = session.view
        end = fate(letter, view, session.clock())
        if response.status == "error":
            code = response.metadata.code or "legacy_failed"
            if end is Fate.VOICE and view is not None:
                self._no_voice(view, code)
                HeardMark(self._room, response)()
                return True
            self._count("error", letter, code=code)
            session.audience.error(ViewerError(code=code, message=response.error or NO_ANSWER))
            heard = HeardMark(self._room, response)
            session.audience.mark(heard)
            self._owed.told(response, None, heard, taken=session.audience.has_older)
            if view is not None and letter.turn == view.turn and not view.from_file:
                # The engine had announced this turn before it was given to the legacy chain.
                view.ended = True
                session.idle_when_heard(view)
            return True
        if end is Fate.LATE:
            self._count("late", letter)
            if not letter.of_engine and view is not None and letter.turn != view.turn:
                session.audience.answer(response.text, None)
            HeardMark(self._room, response)()
            return True
        return False

    async def _play(self, letter: Letter) -> None:
        session, response = self._session, letter.response
        voice, problem = await self._room.voice(response)
        # Getting it took a moment; the turn on air may be another one.
        end = fate(letter, session.view, session.clock())
        if end is Fate.WAIT:
            self._keep(letter)
            return
        if self._settle(letter):
            return
        heard = HeardMark(self._room, response)
        file = voice.file if voice is not None else None
        if end is Fate.ASIDE:
            self._count("aside", letter)
            session.audience.answer(response.text, file)
            session.audience.mark(heard)
            return
        view = session.view
        if end is Fate.TURN or view is None:
            view = session.open(letter.start(session.session_id, session.epoch))
            view.from_file = True
            text = TextDelta(
                session_id=session.session_id, turn=view.turn, content=response.text, eos=True
            )
            session.caption(text, text.to_json())
        view.awaits_voice, view.replied, self._due_ms = False, True, None
        session.audience.answer(view.text, file, of_turn=True)
        session.audience.mark(heard, older=True)
        self._on_air = (view.text, file, heard)
        self._owed.told(response, file, heard, taken=session.audience.has_older)
        if problem is not None:
            session.broadcast(
                ViewerError(
                    code=VOICE_MISSING, message="the voice of this answer is missing"
                ).to_json()
            )
        whole = True
        if voice is not None and view.flags.SYNC_TTS_BARGE_IN:
            self._room.tasks.start("sounding", sounds(session, view, self._room.sounding))
        if voice is not None:
            whole = await speak(session, view, voice)
        if not whole:
            self._count("cut", letter)
            heard()
            return
        self._count(
            "voiced" if voice is not None else "silent" if problem is None else VOICE_MISSING,
            letter,
            problem=problem,
        )
        audio_ms = voice.duration_ms if voice is not None else 0
        session.finish(view, End(session_id=session.session_id, turn=view.turn, audio_ms=audio_ms))
        session.audience.mark(heard, older=False)
        if not session.viewers:
            self._keep(replace(letter, live=False, again=True))

    def _no_voice(self, view: TurnView, why: str) -> None:
        """The turn ends with its text alone."""
        self._due_ms = None
        metrics.ANSWERS.labels(outcome=VOICE_MISSING).inc()
        log.warning(VOICE_MISSING, session=self._session.session_id, turn=view.turn, reason=why)
        self._session.broadcast(
            ViewerError(code=VOICE_MISSING, message="the voice of this answer is missing").to_json()
        )
        self._session.finish(
            view, End(session_id=self._session.session_id, turn=view.turn, audio_ms=0)
        )

    async def _sort_out(self) -> None:
        heard = await self._room.heard_elsewhere(self._session.session_id)
        for letter in self._box.sort_out(heard):
            self._count("heard_elsewhere", letter)
        if not self._session.audience.has_older:
            # An older client has no other way to its answers; a page has the history.
            for letter in self._box.let_bygones_go():
                self._count("bygone", letter)
        self._box.certain()

    def _keep(self, letter: Letter) -> None:
        dropped = self._box.put(letter)
        if dropped is not None:
            self._count("dropped", dropped)

    def _count(self, outcome: str, letter: Letter, **more: object) -> None:
        metrics.ANSWERS.labels(outcome=outcome).inc()
        trace_id = trace_context.trace_id(letter.response.meta.traceparent)
        traced = {"trace_id": trace_id} if trace_id is not None else {}
        log.info(
            "answer", outcome=outcome, correlationId=letter.response.message_id, **traced, **more
        )
