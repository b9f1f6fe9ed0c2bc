"""The legacy chain as input-handler meets it, played by a test.

And a caller of turns that has both paths.
"""

import asyncio
from typing import Any, Final

from dialog_contracts import redis_names
from dialog_contracts.http import ChatRequest, FlagSet, RequestMeta
from dialog_contracts.legacy_chain import AudioBlob, TaskResponse, UserInput
from dialog_contracts.sse import DoneEvent, SseFrame, TextDeltaEvent
from dialog_flags.flags import FixedFlags
from dialog_redis.client import RedisClient
from dialog_redis.legacy.responses import LegacyResponses
from dialog_redis.work_queue import commands
from dialog_redis.work_queue.store import QueueStore
from input_handler.engine.client import EngineClient
from input_handler.engine.guard import EngineGuard
from input_handler.legacy.client import LegacyClient
from input_handler.turns.running_turns import RunningTurns
from input_handler.turns.turn_numbers import TurnNumberAllocator
from input_handler.turns.turn_service import TurnService

REQUEST: Final = ChatRequest(
    session_id="live-001", content="今晚玩什么？", meta=RequestMeta(request_id="r-1", lang="zh")
)


class LegacyPipeline:
    """What memory, chat-ai and tts do together."""

    def __init__(self, redis: RedisClient, url: str) -> None:
        self._redis, self._url = redis, url
        self.taken: list[UserInput] = []

    async def next(self) -> UserInput:
        """The next turn that was given to it."""
        raw = None
        async with asyncio.timeout(3):
            while raw is None:
                raw = await self._redis.client.rpop(redis_names.USER_INPUT_QUEUE)
                await asyncio.sleep(0.005)
        assert isinstance(raw, str)
        self.taken.append(UserInput.from_json(raw))
        return self.taken[-1]

    async def queued(self) -> int:
        """How many wait."""
        return int(await self._redis.client.llen(redis_names.USER_INPUT_QUEUE))

    async def answer(self, asked: UserInput, text: str = "解谜！", **more: object) -> None:
        """Answer a turn, as tts does."""
        response = TaskResponse.model_validate(
            {
                "message_id": f"{asked.task_id}#{asked.meta.turn}",
                "task_id": asked.task_id,
                "text": text,
                "audio": AudioBlob(id="0" * 32, format="wav"),
                "metadata": {"provider": "espeak"},
                "meta": asked.meta,
                **more,
            }
        )
        work = QueueStore(self._url, "test", "test", lease_s=5)
        await self._redis.client.lpush(redis_names.processing("test", "test"), "x")
        await work.complete("x", [commands.send_response(response)])
        await work.aclose()


def plenty() -> RunningTurns:
    """Room for more turns than a test has."""
    return RunningTurns(max_total=100, max_per_client=100, max_per_session=100)


def turn_service(
    client: EngineClient,
    redis: RedisClient,
    answers: LegacyResponses,
    flags: FlagSet,
    timeout_s: float = 5,
    *,
    accept_timeout_s: float = 10,
    first_token_timeout_s: float = 10,
    legacy_first_s: float = 3.0,
    circuit_failures: int = 100,
    circuit_open_s: float = 2.0,
) -> TurnService:
    """A caller with more patience for its engine than a stalled machine needs, except where a test is about that."""
    sync = EngineGuard(
        client,
        accept_timeout_s=accept_timeout_s,
        first_token_timeout_s=first_token_timeout_s,
        circuit_failures=circuit_failures,
        circuit_open_s=circuit_open_s,
    )
    legacy = LegacyClient(redis, answers, enabled=True, timeout_s=timeout_s)
    return TurnService(
        sync,
        legacy,
        TurnNumberAllocator(redis),
        FixedFlags(flags),
        plenty(),
        legacy_first_s=legacy_first_s,
    )


async def call_turn(
    caller: TurnService, request: ChatRequest = REQUEST, **more: Any
) -> list[SseFrame]:
    """All events of a turn."""
    return [frame async for frame in caller.stream(request, **more)]


def events_of(frames: list[SseFrame]) -> list[tuple[str | None, str]]:
    """Their ids and names."""
    return [(frame.id, frame.event) for frame in frames]


def text(frames: list[SseFrame]) -> str:
    """What was answered."""
    return "".join(
        event.content for frame in frames if isinstance(event := frame.parse(), TextDeltaEvent)
    )


def done(frames: list[SseFrame]) -> DoneEvent:
    """The last of them."""
    event = frames[-1].parse()
    assert isinstance(event, DoneEvent)
    return event
