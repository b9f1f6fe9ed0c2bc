"""Engine, workers, long-term memory and Valkey as processes that are killed and started again."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from e2e.harness.stack import FAKES, environment
from e2e.harness.store import Store
from vtuber_cli import ports, readiness

READY_S = 60


class Child:
    """One process. Its port stays the same."""

    def __init__(self, folder: Path, name: str, command: list[str], env: Mapping[str, str]) -> None:
        self.name, self.port = name, ports.free()
        self._folder, self._command, self._env = folder, command, env
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        own = {**FAKES, **self._env, "PORT": str(self.port), "HOST": "127.0.0.1"}
        with (self._folder / f"{self.name}.log").open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._command],
                env=environment(own),
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    async def stop(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(self._process.wait, 30)

    async def until_alive(self) -> None:
        """Until it answers; whether it is ready does not matter here."""
        async with asyncio.timeout(READY_S):
            while True:
                _, why = await asyncio.to_thread(
                    readiness.fetch_readiness, self.port, "127.0.0.1", "http"
                )
                if "answer" not in why and "refused" not in why:
                    return
                await asyncio.sleep(0.05)


class System:
    """All processes of the kill loop."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.store = Store(folder / "valkey")
        redis = {"REDIS_URL": self.store.url, "CLAIM_AFTER_S": "1"}
        # Every memory is counted at the end, so none may be the oldest of too many.
        kept = {"MAX_MEMORIES_PER_USER": "100000"}
        self.memory = Child(folder, "long-term-memory", ["long_term_memory"], {**redis, **kept})
        self.engine = Child(
            folder,
            "dialog-engine",
            ["dialog_engine"],
            {
                **redis,
                "FAKE_WORDS": "2",
                "DIALOG_ENGINE_DB": str(folder / "engine.db"),
                "OUTPUT_INGEST_URLS": f"ws://127.0.0.1:{ports.free()}/ws/ingest/tts",
                "LEGACY_ENABLED": "false",
            },
        )
        self.analytics = Child(
            folder,
            "analytics-worker",
            ["async_workers", "analytics"],
            {**redis, "ANALYTICS_DB": str(folder / "analytics.db")},
        )
        self.ltm = Child(
            folder,
            "ltm-worker",
            ["async_workers", "ltm"],
            {**redis, "LONG_TERM_MEMORY_URL": self.memory.url},
        )

    @property
    def children(self) -> tuple[Child, ...]:
        return (self.engine, self.analytics, self.ltm, self.memory)

    async def start(self) -> None:
        self.store.start()
        for child in self.children:
            child.start()
        for child in self.children:
            await child.until_alive()

    async def stop(self) -> None:
        for child in self.children:
            await child.stop()
        self.store.kill()
