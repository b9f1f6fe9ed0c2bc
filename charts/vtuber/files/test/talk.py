"""`helm test`: a session gets its VtuberSession, somebody says something, a viewer hears the answer, and the session is removed again.

Runs in the operator's image; aiohttp is all it needs.
"""

import asyncio
import json
import os
import ssl
import sys
import time
import uuid
from pathlib import Path

import aiohttp

GATEWAY = os.environ["GATEWAY"]
NAMESPACE = os.environ["POD_NAMESPACE"]
APPLY = os.environ["APPLY"] == "true"
AUDIO = os.environ["AUDIO"] == "true"
SESSION = f"helm-test-{uuid.uuid4().hex[:8]}"
READY_WITHIN_S = 120
TURN_WITHIN_S = 30
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Resource:
    """The VtuberSession of this test, by the pod's own account."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.url = (
            f"https://{address}/apis/vtuber.dev/v1alpha1/namespaces/{NAMESPACE}/vtubersessions"
        )
        self.http = http
        self.sent = {
            "headers": {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"},
            "ssl": ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt")),
            "raise_for_status": True,
        }

    async def create(self) -> None:
        """Create it and wait until its flags are in force everywhere."""
        body = {
            "apiVersion": "vtuber.dev/v1alpha1",
            "kind": "VtuberSession",
            "metadata": {"name": SESSION},
            "spec": {"sessionId": SESSION, "flags": {"SYNC_TTS_STREAMING": True}},
        }
        async with self.http.post(self.url, json=body, **self.sent):
            pass
        deadline, said = time.monotonic() + READY_WITHIN_S, ""
        while time.monotonic() < deadline:
            async with self.http.get(f"{self.url}/{SESSION}", **self.sent) as answer:
                found = await answer.json()
            status = found.get("status", {})
            ready = next((c for c in status.get("conditions", []) if c["type"] == "Ready"), {})
            if ready.get("message", "") != said:
                said = ready.get("message", "")
                print(f"VtuberSession {SESSION}: {said}", flush=True)
            if (
                ready.get("status") == "True"
                and status.get("observedGeneration") == found["metadata"]["generation"]
            ):
                return
            await asyncio.sleep(0.5)
        sys.exit(
            f"VtuberSession {SESSION} was not Ready within {READY_WITHIN_S} s; the operator's log says why"
        )

    async def delete(self) -> None:
        """Leave nothing behind."""
        async with self.http.delete(f"{self.url}/{SESSION}", **self.sent):
            pass


async def say(http: aiohttp.ClientSession) -> str:
    """One turn through the gateway; its text."""
    body = {
        "sessionId": SESSION,
        "content": "Hello! Who are you?",
        "meta": {"requestId": str(uuid.uuid4())},
    }
    async with http.post(
        f"http://{GATEWAY}/chat/stream", json=body, raise_for_status=True
    ) as answer:
        return "".join(
            [
                json.loads(line[5:]).get("content", "")
                async for line in answer.content
                if line.startswith(b"data:")
            ]
        )


async def hear(http: aiohttp.ClientSession) -> None:
    """Watch as a viewer does, speak as a speaker does, and count what is heard."""
    async with (
        asyncio.timeout(TURN_WITHIN_S),
        http.ws_connect(f"ws://{GATEWAY}/ws/output/{SESSION}", protocols=["vtuber.v2"]) as ear,
    ):
        await asyncio.sleep(0.5)
        speaking = asyncio.create_task(say(http))
        chunks = 0
        while AUDIO:
            frame = await ear.receive_json()
            chunks += frame.get("type") == "SPEECH_CHUNK"
            if frame.get("type") == "CONTROL" and frame.get("action") == "END":
                break
        text = await speaking
    print(f"answer: {text}\nheard: {chunks} chunks", flush=True)
    if not text:
        sys.exit("the turn had no text")
    if AUDIO and not chunks:
        sys.exit("the turn had no sound")


async def main() -> None:
    """The whole test."""
    async with aiohttp.ClientSession() as http:
        if not APPLY:
            await hear(http)
            return
        resource = Resource(http)
        try:
            await resource.create()
            await hear(http)
        finally:
            await resource.delete()


asyncio.run(main())
