"""The parent's side of the espeak process.

The process is shared by all sessions and restarted after a crash. A supervisor task starts it,
reads its frames and hands them to the requests; when the process ends, all pending requests fail
with `crashed`. A process that stops answering is killed, because it may hang inside the library,
where no cancel reaches it. The child's side is `process.py`, the frames are in `protocol.py`.
"""

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from dialog_voice.errors import ProviderError
from dialog_voice.providers.espeak.protocol import HEADER, pack, sizes, unpack

_log = structlog.get_logger("voice")

_START: Final = "import sys; sys.path[:] = sys.argv[1:]; from dialog_voice.providers.espeak import process; process.main()"
"""Python code that starts the child.

With an empty environment Python would not find our packages where PYTHONPATH names them, as in the
images, so their locations are passed as arguments.
"""

_PIPE_LIMIT: Final = 1 << 18
_STABLE_S: Final = 5.0
"""Lifetime in seconds after which a child is restarted at once.

One that ends sooner is restarted with a growing pause, so that a broken one costs little.
"""
_BACKOFF_LIMIT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class SpeechFrame:
    """A piece of the request's audio; offsets in ms from the start of the request's audio."""

    pcm: bytes
    phonemes: list[tuple[float, str]]
    words: list[tuple[float, int, int]]


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """A run of text for one voice; `start` is added to the positions of its words."""

    voice: str
    rate: int
    pitch: int
    text: str
    start: int


@dataclass(slots=True, eq=False)
class _Life:
    """One child process from start to end, with its pending requests."""

    process: asyncio.subprocess.Process
    answers: dict[int, "asyncio.Queue[tuple[dict[str, Any], bytes]]"] = field(default_factory=dict)
    last_answer_at: float = 0.0
    """The loop's time of its last message to any request."""


MAX_WAIT_S: Final = 20.0
"""Longest wait in seconds of a request behind others; later speech would be useless."""

POLL_INTERVAL_S: Final = 0.1

_EXITED: Final[tuple[dict[str, Any], bytes]] = ({"end": "gone"}, b"")


class EspeakChild:
    """Owns the process and the one task that reads from it."""

    def __init__(self, name: str, *, start_timeout_s: float, stall_timeout_s: float) -> None:
        self._name = name
        self._start_timeout_s = start_timeout_s
        self._stall_timeout_s = stall_timeout_s
        self._ids = itertools.count(1)
        self._life: _Life | None = None
        self._ready = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None
        self.restarts = 0
        """How often the child ended and was started again."""

    @property
    def pid(self) -> int | None:
        """The running child's process id, or None."""
        return self._life.process.pid if self._life is not None else None

    async def started(self) -> None:
        """Return when a child is ready.

        Raises `ProviderError` (not_started) after the start timeout.
        """
        if self._supervisor is None:
            self._supervisor = asyncio.create_task(self._supervise(), name="espeak-supervisor")
        if self._ready.is_set():
            return
        try:
            async with asyncio.timeout(self._start_timeout_s):
                await self._ready.wait()
        except TimeoutError as error:
            raise ProviderError(
                self._name, "not_started", "the espeak process does not start"
            ) from error

    async def speak(
        self, parts: Sequence[SpeechRequest], *, lead_ms: float, tail_ms: float
    ) -> AsyncGenerator[SpeechFrame, None]:
        """Yield the audio of `parts` as one.

        Leaving early cancels the request; the child stops it within a frame. Raises
        `ProviderError`: crashed, stalled, busy, not_started, bad_request.
        """
        await self.started()
        life = self._life
        if life is None:
            raise ProviderError(self._name, "crashed")
        number = next(self._ids)
        answers = life.answers[number] = asyncio.Queue()
        ended = False
        try:
            runs = [[part.voice, part.rate, part.pitch, part.text, part.start] for part in parts]
            self._send(
                life, {"op": "speak", "id": number, "parts": runs, "lead": lead_ms, "tail": tail_ms}
            )
            while True:
                message, pcm = await self._answer(life, answers)
                if "end" in message:
                    ended = True
                    self._check_end(message)
                    return
                yield SpeechFrame(pcm, message["phonemes"], message["words"])
        finally:
            # The reader discards what still arrives for this number.
            life.answers.pop(number, None)
            if not ended and life is self._life:
                self._send(life, {"op": "cancel", "id": number})

    async def aclose(self) -> None:
        """End the child and wait for it."""
        if self._supervisor is None:
            return
        self._supervisor.cancel()
        await asyncio.wait([self._supervisor])
        self._supervisor = None

    async def _answer(
        self, life: _Life, answers: "asyncio.Queue[tuple[dict[str, Any], bytes]]"
    ) -> tuple[dict[str, Any], bytes]:
        """Return the next message of a request.

        Requests are processed in order, one at a time: waiting behind other requests is not a
        stall, so the stall timeout counts from the child's last message to any request.
        """
        clock = asyncio.get_running_loop().time
        asked_at = clock()
        while True:
            stalls_at, deadline = (
                max(life.last_answer_at, asked_at) + self._stall_timeout_s,
                asked_at + MAX_WAIT_S,
            )
            try:
                async with asyncio.timeout_at(min(stalls_at, deadline)):
                    return await answers.get()
            except TimeoutError as error:
                # After this process was stalled, messages may be unread: let the reader run first.
                await asyncio.sleep(POLL_INTERVAL_S)
                if not answers.empty():
                    return answers.get_nowait()
                if (
                    max(life.last_answer_at, asked_at) + self._stall_timeout_s > clock()
                    and clock() < deadline
                ):
                    continue
                if clock() >= deadline:
                    raise ProviderError(
                        self._name, "busy", f"its turn did not come within {MAX_WAIT_S:g} s"
                    ) from error
                # It may hang inside the library, where no cancel reaches it; the supervisor starts
                # another one.
                if life.process.returncode is None:
                    life.process.kill()
                raise ProviderError(
                    self._name, "stalled", f"nothing came for {self._stall_timeout_s:g} s"
                ) from error

    def _check_end(self, message: dict[str, Any]) -> None:
        if message["end"] == "gone":
            raise ProviderError(self._name, "crashed", "the espeak process ended")
        if message["end"] == "failed":
            raise ProviderError(self._name, "bad_request", str(message.get("detail", "")))

    def _send(self, life: _Life, message: dict[str, Any]) -> None:
        assert life.process.stdin is not None
        # Not drained: requests are small, and a child that does not read is found by the stall
        # timeout.
        life.process.stdin.write(pack(message))

    async def _supervise(self) -> None:
        backoff_s = 0.0
        while True:
            began = time.monotonic()
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-I",
                    "-c",
                    _START,
                    *filter(None, sys.path),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    # C code in the child parses texts of users: it must not have keys and
                    # addresses.
                    env={},
                    limit=_PIPE_LIMIT,
                )
            except OSError as error:
                # No memory or no more processes: that may pass, and meanwhile other voices can be
                # used.
                _log.error("espeak_not_started", detail=str(error))
                await asyncio.sleep(_BACKOFF_LIMIT_S)
                continue
            life = self._life = _Life(process)
            try:
                await self._read(life)
            # Any kind of invalid data: the child is replaced.
            except Exception as error:  # noqa: BLE001
                _log.error("espeak_garbled", detail=f"{type(error).__name__} {error}")
            finally:
                await self._fail_pending(life)
            self.restarts += 1
            lived_s = time.monotonic() - began
            _log.warning(
                "espeak_restarted",
                returncode=process.returncode,
                lived_s=round(lived_s, 3),
                restarts=self.restarts,
            )
            backoff_s = 0.0 if lived_s > _STABLE_S else min(_BACKOFF_LIMIT_S, backoff_s * 2 or 0.05)
            await asyncio.sleep(backoff_s)

    async def _read(self, life: _Life) -> None:
        """Distribute frames until the child's stdout ends."""
        assert life.process.stdout is not None
        while True:
            try:
                json_bytes, pcm_bytes = sizes(await life.process.stdout.readexactly(HEADER.size))
                message = unpack(await life.process.stdout.readexactly(json_bytes))
                pcm = await life.process.stdout.readexactly(pcm_bytes)
            except asyncio.IncompleteReadError:
                return
            life.last_answer_at = asyncio.get_running_loop().time()
            if "ready" in message:
                self._ready.set()
            elif (answers := life.answers.get(message["id"])) is not None:
                answers.put_nowait((message, pcm))

    async def _fail_pending(self, life: _Life) -> None:
        self._ready.clear()
        self._life = None
        for answers in life.answers.values():
            answers.put_nowait(_EXITED)
        assert life.process.stdin is not None
        life.process.stdin.close()
        if life.process.returncode is None:
            life.process.kill()
        await life.process.wait()
