"""A backup of a running system, restored into another one: turns, events and figures are there."""

import asyncio
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from e2e.harness.clients import chat, get
from e2e.harness.stack import FAKES, ROOT, Stack, running

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]
ENV = {**FAKES, "FAKE_WORDS": "6", "FAKE_CHAR_MS": "1"}
COUNTED_S = 30.0


def vtuber(stack: Stack, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vtuber_cli", *words, "--url", stack.url]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


async def figures(stack: Stack, session: str, turns: int) -> None:
    async with asyncio.timeout(COUNTED_S):
        while True:
            found = await get(f"{stack.url}/analytics?session={session}")
            if "sessions" in found and found["sessions"][0]["turns"] == turns:
                return
            await asyncio.sleep(0.1)


async def test_what_was_said_is_there_in_another_system(tmp_path: Path) -> None:
    file = tmp_path / "show.zip"
    with running(tmp_path / "one", ENV, workers=True) as first:
        for content in ("one", "two", "three"):
            assert (await chat(first.url, "kept", content)).events[-1] == "done"
        await figures(first, "kept", 3)
        asking = asyncio.create_task(chat(first.url, "other", "while it is saved"))
        saved = await asyncio.to_thread(vtuber, first, "backup", str(file))
        await asking
        assert saved.returncode == 0, saved.stderr
        again = await asyncio.to_thread(vtuber, first, "backup", str(file))
        assert again.returncode == 1
        assert "exists" in again.stderr
        before = (await get(f"{first.url}/sessions/kept/turns"))["turns"]
    with zipfile.ZipFile(file) as archive:
        parts = json.loads(archive.read("manifest.json"))["parts"]
        assert [part["name"] for part in parts] == ["engine-0.db", "analytics.db"]
    with running(tmp_path / "two", ENV, workers=True) as second:
        assert (await chat(second.url, "gone", "before the restore")).events[-1] == "done"
        await asyncio.sleep(1)
        put_back = await asyncio.to_thread(vtuber, second, "restore", str(file))
        assert put_back.returncode == 0, put_back.stderr
        after = (await get(f"{second.url}/sessions/kept/turns"))["turns"]
        assert after == before
        await figures(second, "kept", 3)
        answer = await chat(second.url, "kept", "four")
        assert (answer.events[-1], answer.turn) == ("done", 4)
        await figures(second, "kept", 4)


async def test_what_is_no_backup_changes_nothing(tmp_path: Path) -> None:
    garbage, lacking = tmp_path / "garbage.zip", tmp_path / "lacking.zip"
    garbage.write_bytes(b"no zip")
    with zipfile.ZipFile(lacking, "w") as archive:
        part = {"name": "engine-0.db", "path": "/backup/engines/0", "size": 9, "sha256": "0" * 64}
        archive.writestr("manifest.json", json.dumps({"format": 1, "parts": [part]}))
        archive.writestr("engine-0.db", b"no sqlite")
    with running(tmp_path / "one", ENV, workers=True) as stack:
        assert (await chat(stack.url, "kept", "one")).events[-1] == "done"
        for file, why in ((garbage, "not a zip file"), (lacking, "did not arrive")):
            refused = await asyncio.to_thread(vtuber, stack, "restore", str(file))
            assert refused.returncode == 1
            assert why in refused.stderr
        assert len((await get(f"{stack.url}/sessions/kept/turns"))["turns"]) == 1
