"""STOP for a session that does not sound here, and an engine that falls silent.

Over real frames, in virtual time.
"""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable

import pytest

from dialog_contracts.http import FlagSet
from dialog_contracts.ingest import Heartbeat, SpeechChunk, Start, StopOutcome, StopResult
from output_handler.errors import BargeInOff, UnknownSession
from output_handler.hub import Hub
from output_handler.ingest import socket as ingest_socket
from output_handler.ingest.connection import EngineConnection
from output_handler.viewers.viewer import Viewer

Listen = Callable[..., Awaitable[tuple[Viewer, list[str | bytes]]]]
Wired = Callable[..., Awaitable[object]]
pytestmark = pytest.mark.looptime


class Engine:
    """Answers each STOP that asks with `outcome`; None: not at all."""

    def __init__(
        self, hub: Hub, link: EngineConnection, sent: list[str | bytes], outcome: StopOutcome | None
    ) -> None:
        self.hub, self.link, self._sent, self.outcome = hub, link, sent, outcome
        self.stops: list[dict[str, object]] = []
        self._tasks = [asyncio.create_task(link.write()), asyncio.create_task(self._answer())]

    async def _answer(self) -> None:
        while True:
            for frame in map(json.loads, list(self._sent)):
                if frame["action"] == "STOP":
                    self.stops.append(frame)
                    if self.outcome is not None:
                        told = StopResult(
                            session_id=frame["sessionId"], ask=frame["ask"], outcome=self.outcome
                        )
                        self.hub.on_engine_frame(self.link, told.to_json())
            self._sent.clear()
            await asyncio.sleep(0.005)

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()


async def joined(hub: Hub, wired: Wired, outcome: StopOutcome | None) -> Engine:
    sent: list[str | bytes] = []
    made = Engine(hub, EngineConnection(await wired(sent)), sent, outcome)  # type: ignore[arg-type]
    hub.engine_joined(made.link)
    return made


@pytest.mark.parametrize(
    ("outcomes", "stopped"),
    [
        (["unknown", "stopped"], True),
        (["stopped", None], True),
        (["unknown", "nothing_sounding"], False),
        (["nothing_sounding", None], False),
    ],
    ids=str,
)
async def test_whichever_replica_hears_a_stop_the_engine_that_speaks_acts(
    wired: Wired, outcomes: list[StopOutcome | None], stopped: bool
) -> None:
    hub = Hub(linger_s=5)
    engines = [await joined(hub, wired, outcome) for outcome in outcomes]
    assert await hub.stop("live-001", 7, "moderator") is stopped
    for engine in engines:
        assert [(stop["turn"], stop["reason"]) for stop in engine.stops] == [(7, "moderator")]
        engine.end()


async def test_an_answer_is_not_waited_for_longer_than_needed(wired: Wired) -> None:
    hub, clock = Hub(linger_s=5), asyncio.get_running_loop().time
    engines = [await joined(hub, wired, outcome) for outcome in ("stopped", None)]
    began = clock()
    assert await hub.stop("live-001", None, "x")
    assert clock() - began < 0.01
    engines[0].outcome = None
    began = clock()
    with pytest.raises(UnknownSession):
        await hub.stop("live-001", None, "x")
    assert clock() - began == pytest.approx(0.3, abs=0.01)
    for engine in engines:
        engine.end()


async def test_a_turn_without_barge_in_says_so_from_anywhere(wired: Wired) -> None:
    hub = Hub(linger_s=5)
    engine = await joined(hub, wired, "refused")
    with pytest.raises(BargeInOff):
        await hub.stop("live-001", None, "x")
    engine.end()


async def test_an_engine_that_leaves_is_not_waited_for(wired: Wired) -> None:
    hub, clock = Hub(linger_s=5), asyncio.get_running_loop().time
    engine = await joined(hub, wired, None)
    asking = asyncio.create_task(hub.stop("live-001", None, "x"))
    await asyncio.sleep(0.01)
    hub.engine_left(engine.link)
    began = clock()
    with pytest.raises(UnknownSession):
        await asking
    assert clock() - began < 0.01
    engine.end()


async def test_an_engine_that_falls_silent_in_a_turn_is_told_to_its_viewers_within_a_second(
    listen: Listen, wired: Wired
) -> None:
    hub = Hub(linger_s=5)
    _, heard = await listen(hub)
    engine = await joined(hub, wired, None)
    watching = asyncio.create_task(ingest_socket._watch_engine(hub, engine.link))

    def say(raw: str) -> None:
        engine.link.touch()
        hub.on_engine_frame(engine.link, raw)

    say(Start(session_id="live-001", turn=1, epoch=1, flags=FlagSet()).to_json())
    await asyncio.sleep(5)
    assert "engine_lost" not in str(heard), (
        "an engine of before this frame says nothing while it has nothing to say"
    )
    for _ in range(8):
        say(Heartbeat().to_json())
        await asyncio.sleep(0.25)
    assert "engine_lost" not in str(heard)
    await asyncio.sleep(0.75)
    assert str(heard).count("engine_lost") == 1
    say(Start(session_id="live-001", turn=2, epoch=1, flags=FlagSet()).to_json())
    await asyncio.sleep(0.5)
    say(Heartbeat().to_json())
    await asyncio.sleep(1.0)
    assert str(heard).count("engine_lost") == 2, "it is heard again, and lost again"
    watching.cancel()
    engine.end()
    hub.close()


async def test_an_engine_that_stood_still_for_a_moment_can_still_be_stopped_and_goes_on(
    listen: Listen, wired: Wired
) -> None:
    hub = Hub(linger_s=5)
    _, heard = await listen(hub)
    engine = await joined(hub, wired, None)
    flags = FlagSet(SYNC_TTS_STREAMING=True, SYNC_TTS_BARGE_IN=True)
    hub.on_engine_frame(
        engine.link, Start(session_id="live-001", turn=1, epoch=1, flags=flags).to_json()
    )
    hub.engine_timed_out(engine.link)
    await asyncio.sleep(0.1)
    assert [frame["phase"] for frame in map(json.loads, heard) if frame["type"] == "STATE"] == [
        "IDLE",
        "THINKING",
        "IDLE",
    ]
    hub.engine_recovered(engine.link)
    await asyncio.sleep(0.01)
    assert json.loads(heard[-1])["phase"] == "THINKING"
    hub.engine_timed_out(engine.link)
    assert await hub.stop("live-001", None, "viewer"), "it may be thinking on"
    await asyncio.sleep(0.01)
    assert [stop["turn"] for stop in engine.stops] == [1]
    engine.end()
    hub.close()


async def test_speech_after_a_moment_of_silence_is_not_called_over_in_its_middle(
    listen: Listen, wired: Wired
) -> None:
    hub = Hub(linger_s=5)
    _, heard = await listen(hub)
    engine = await joined(hub, wired, None)
    flags = FlagSet(SYNC_TTS_STREAMING=True, SYNC_TTS_BARGE_IN=True)

    def chunk(seq: int) -> str:
        pcm = base64.b64encode(bytes(1920)).decode()
        return SpeechChunk(
            session_id="live-001", turn=1, seq=seq, pcm=pcm, ts=1.0, offset_ms=seq * 40
        ).to_json()

    hub.on_engine_frame(
        engine.link, Start(session_id="live-001", turn=1, epoch=1, flags=flags).to_json()
    )
    for seq in range(10):
        hub.on_engine_frame(engine.link, chunk(seq))
    hub.engine_timed_out(engine.link)
    for seq in range(10, 40):
        hub.on_engine_frame(engine.link, chunk(seq))
    await asyncio.sleep(1.5)
    assert [frame["phase"] for frame in map(json.loads, heard) if frame["type"] == "STATE"] == [
        "IDLE",
        "THINKING",
        "SPEAKING",
    ]
    engine.end()
    hub.close()


async def test_a_pause_from_anywhere_says_which_turn_it_paused(wired: Wired) -> None:
    hub = Hub(linger_s=5)
    engine = await joined(hub, wired, None)
    asking = asyncio.create_task(hub.set_paused("PAUSE", "live-001", None))
    await asyncio.sleep(0.01)
    (name,) = hub._query._pending
    answer = StopResult(session_id="live-001", ask=name, outcome="stopped", turn=7)
    hub.on_engine_frame(engine.link, answer.to_json())
    assert await asking == (True, 7)
    engine.end()


async def test_a_session_that_moves_in_mid_turn_is_silenced_first(
    listen: Listen, wired: Wired
) -> None:
    hub = Hub(linger_s=5)
    _, heard = await listen(hub)
    old, new = [await joined(hub, wired, None) for _ in range(2)]
    flags = FlagSet(SYNC_TTS_STREAMING=True, SYNC_TTS_BARGE_IN=True)
    hub.on_engine_frame(
        old.link, Start(session_id="live-001", turn=1, epoch=1, flags=flags).to_json()
    )
    hub.on_engine_frame(
        new.link, Start(session_id="live-001", turn=2, epoch=2, flags=flags).to_json()
    )
    await asyncio.sleep(0.01)
    actions = [frame["action"] for frame in map(json.loads, heard) if "action" in frame]
    assert actions == ["START", "STOP", "STOP_ACK", "START"]
    assert [(stop["turn"], stop["reason"]) for stop in old.stops] == [(1, "moved")]
    assert new.stops == []
    for engine in (old, new):
        engine.end()
    hub.close()
