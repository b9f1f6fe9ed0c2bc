"""Talk with a release as people do: through the gateway's Service."""

import asyncio
import uuid
from dataclasses import dataclass

from e2e.harness import clients
from e2e.harness.clients import Answer, Viewer
from e2e.kind import timeouts
from e2e.kind.namespace import Namespace

STREAMED = "flags.SYNC_TTS_STREAMING=true,flags.SYNC_TTS_BARGE_IN=true"
"""Values for a test that wants speech and is not about VtuberSessions."""


@dataclass(frozen=True)
class Room:
    """One session, seen through one gateway."""

    at: str
    session: str

    async def say(self, content: str = clients.TEXT) -> Answer:
        """One turn, to its end."""
        return await clients.chat(f"http://{self.at}", self.session, content)

    async def say_and_hear(self, content: str = clients.TEXT) -> tuple[Answer, Viewer]:
        """One turn, with a viewer that stays until the end of the speech."""
        async with clients.watching(f"ws://{self.at}", self.session) as viewer:
            answer = await self.say(content)
            await viewer.until(lambda seen: seen.of("CONTROL", "END"))
        return answer, viewer

    async def turns(self) -> list[int]:
        """The numbers of the turns that anybody can read of this session.

        A Redis that has just come back may take a moment.
        """
        async with asyncio.timeout(timeouts.HISTORY_READABLE):
            while "turns" not in (
                found := await clients.get(f"http://{self.at}/sessions/{self.session}/turns")
            ):
                await asyncio.sleep(0.2)
        return sorted(turn["turn"] for turn in found["turns"])

    async def talks_again(self) -> Answer:
        """A turn with a whole answer, tried until there is one.

        A Service takes about a second to know a pod that is ready.
        """
        tried: list[str] = []
        try:
            async with asyncio.timeout(timeouts.TALKS_AGAIN):
                while True:
                    try:
                        answer = await self.say()
                    except OSError as error:
                        tried.append(repr(error))
                    else:
                        if answer.status == 200 and answer.events[-1] == "done":
                            return answer
                        tried.append(f"{answer.status} {answer.body} {answer.events[-1:]}")
                    await asyncio.sleep(0.5)
        except TimeoutError:
            raise AssertionError(
                f"no whole answer in {len(tried)} tries, the last ones: {tried[-3:]}"
            ) from None


def room(namespace: Namespace) -> Room:
    """A session that nobody used before."""
    return Room(namespace.address("vtuber-gateway"), f"room-{uuid.uuid4().hex[:8]}")
