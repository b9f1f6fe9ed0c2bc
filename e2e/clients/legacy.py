"""An older client, written to the legacy contract alone.

It knows nothing of sessions, turns or this project's code.
"""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

CHUNK_BYTES = 16 * 1024
MAX_SLICE = 65_536


@dataclass
class Reply:
    """What `/ws/output/{task_id}` brought for one message."""

    task_id: str
    text: str = ""
    audio: bytes = b""
    error: str | None = None
    frames: list[str] = field(default_factory=list)


class LegacyClient:
    """One connection for each message, as older front-ends have it. `session`.

    What its tasks are called, instead of a name for each.
    """

    def __init__(self, url: str, session: str | None = None) -> None:
        self._url = url
        self._input = f"{url}/ws/input" + (f"?sessionId={session}" if session else "")

    async def say(self, text: str, *, listen_after_s: float = 0) -> Reply:
        """Upload a text in two chunks and wait for its answer; `listen_after_s`.

        Open the output so much later.
        """
        data = text.encode("utf-8")
        half = len(data) // 2
        task_id = await self.upload("text", [data[:half], data[half:]])
        return await self._answer(task_id, listen_after_s)

    async def send_recording(
        self, data: bytes, *, listen_after_s: float = 0, chunk_bytes: int = CHUNK_BYTES
    ) -> Reply:
        """Upload a recording in chunks, as MediaRecorder makes them."""
        chunks = [data[at : at + chunk_bytes] for at in range(0, len(data), chunk_bytes)]
        return await self._answer(await self.upload("audio", chunks), listen_after_s)

    async def listen(self, task_id: str) -> Reply:
        """The answer to a task that somebody else has sent."""
        return await self._answer(task_id, 0)

    async def leave_in_the_middle(self, data: bytes) -> None:
        """Send a chunk and go."""
        async with connect(self._input, proxy=None) as socket:
            await socket.recv()
            await socket.send(json.dumps({"type": "audio", "chunk_id": 0, "action": "data_chunk"}))
            await socket.send(data)
            assert await socket.recv() == "File chunk received"

    async def upload(self, kind: str, chunks: list[bytes]) -> str:
        """The task it became. Raises RuntimeError when it was refused."""
        async with connect(self._input, proxy=None) as socket:
            assigned = json.loads(await socket.recv())
            assert (assigned["type"], assigned["action"]) == ("system", "task_id_assigned")
            for number, chunk in enumerate(chunks):
                await socket.send(
                    json.dumps({"type": kind, "chunk_id": number, "action": "data_chunk"})
                )
                await socket.send(chunk)
                received = await socket.recv()
                assert received == "File chunk received", received
            await socket.send(json.dumps({"action": "upload_complete"}))
            processed = json.loads(await socket.recv())
            assert (processed["type"], processed["action"]) == ("system", "upload_processed")
            assert processed["task_id"] == assigned["task_id"]
            if processed["status"] != "queued":
                raise RuntimeError(processed["error"])
            return str(assigned["task_id"])

    async def _answer(self, task_id: str, listen_after_s: float) -> Reply:
        await asyncio.sleep(listen_after_s)
        async with connect(f"{self._url}/ws/output/{task_id}", proxy=None, max_size=None) as socket:
            first = await _json(socket)
            if first.get("status") == "error" or first.get("type") == "error":
                return Reply(task_id, error=str(first.get("error") or first.get("message")))
            assert first["status"] == "success", first
            assert first["task_id"] == task_id
            reply = Reply(task_id, text=first["content"])
            if not first["audio_present"]:
                return reply
            expected, total = 0, None
            while True:
                frame = await _json(socket)
                assert frame["task_id"] == task_id
                if frame["type"] == "audio_complete":
                    # An older player plays the file only when all of it has come.
                    assert expected == total
                    return reply
                assert frame["type"] == "audio_chunk"
                assert frame["chunk_id"] == expected
                total = frame["total_chunks"]
                data = await socket.recv()
                assert isinstance(data, bytes)
                assert len(data) <= MAX_SLICE
                reply.audio += data
                expected += 1


async def _json(socket: ClientConnection) -> dict[str, Any]:
    raw = await socket.recv()
    assert isinstance(raw, str), "a binary frame without its announcement"
    found = json.loads(raw)
    assert isinstance(found, dict)
    return found
