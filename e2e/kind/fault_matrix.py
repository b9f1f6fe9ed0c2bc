"""Every way in which an engine can fail × every legal set of flags × text and recording, on a cluster: a pod that fails on demand stands
in front of the engine."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from e2e.clients.legacy import LegacyClient
from e2e.harness import clients, faulty_engine
from e2e.harness.recordings import webm
from e2e.kind import diagnostics, sessions, timeouts
from e2e.kind.client import Room
from e2e.kind.namespace import Namespace

FLAGS: Final = {
    "legacy": {"ENABLE_SYNC_CORE": False},
    "core": {"ENABLE_SYNC_CORE": True},
    "streaming": {"ENABLE_SYNC_CORE": True, "SYNC_TTS_STREAMING": True},
    "bargein": {"ENABLE_SYNC_CORE": True, "SYNC_TTS_STREAMING": True, "SYNC_TTS_BARGE_IN": True},
}
"""By the last part of a session's name.

The operator demands SYNC_TTS_STREAMING for BARGE_IN, and ENABLE_SYNC_CORE for both.
"""

FAULTS: Final = (
    *faulty_engine.HARMLESS,
    *faulty_engine.AFTER_A_WORD,
    *faulty_engine.BEFORE_ANY_WORD,
)
AT_ONCE: Final = 16
"""Conversations at a time, on two cores."""

UNEXPECTED: Final = "unexpected"
NAME: Final = "faulty-engine"
PORT: Final = 8100
INPUT: Final = "deployment/vtuber-input-handler"


@dataclass(frozen=True)
class Cell:
    """One message of a session of its own.

    `problem` is empty when exactly one reply came, or one clear error where one had begun.
    """

    fault: str
    flags: str
    kind: str
    came: str
    took_s: float
    problem: str = ""


@contextmanager
def in_front(namespace: Namespace) -> Iterator[None]:
    """The faulty engine's pod and Service; input-handler asks it.

    Afterwards input-handler asks the engine again.
    """
    spec = namespace.deployment(INPUT.partition("/")[2])["spec"]["template"]["spec"]
    script = faulty_engine.__file__
    namespace.kubectl("create", "configmap", NAME, f"--from-file=faulty_engine.py={script}")
    container: dict[str, Any] = {
        "name": "engine",
        "image": spec["containers"][0]["image"],
        "imagePullPolicy": "IfNotPresent",
        "command": [
            "python",
            "/script/faulty_engine.py",
            str(PORT),
            "0.0.0.0",
            "vtuber-dialog-engine",
        ],
        "securityContext": spec["containers"][0]["securityContext"],
        "readinessProbe": {
            "httpGet": {"path": f"/{PORT}/readyz", "port": PORT},
            "periodSeconds": 1,
        },
        "volumeMounts": [{"name": "script", "mountPath": "/script"}],
    }
    pod = {
        "securityContext": spec["securityContext"],
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [{"name": "script", "configMap": {"name": NAME}}],
    }
    labels = {"app": NAME}
    made = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": NAME, "labels": labels},
            "spec": pod,
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME},
            "spec": {"selector": labels, "ports": [{"port": PORT}]},
        },
    ]
    namespace.kubectl(
        "apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": made})
    )
    namespace.kubectl("wait", f"pod/{NAME}", "--for=condition=Ready", "--timeout=60s", within=65)
    # The circuit has tests of its own; here each turn shall meet its fault.
    settings = {"DIALOG_ENGINE_URLS": f"http://{NAME}:{PORT}/{PORT}", "CIRCUIT_FAILURES": "100"}
    settings |= {"FIRST_TOKEN_TIMEOUT_S": "2", "ENGINE_IDLE_TIMEOUT_S": "4"}
    before = {one["name"]: one.get("value", "") for one in spec["containers"][0]["env"]}
    ask(namespace, settings)
    yield
    ask(namespace, {name: before.get(name, "-") for name in settings})


def ask(namespace: Namespace, settings: dict[str, str]) -> None:
    """Settings of input-handler, "-" for none; until its pods go by them."""
    said = [f"{name}-" if value == "-" else f"{name}={value}" for name, value in settings.items()]
    namespace.kubectl("set", "env", INPUT, *said)
    namespace.rolled_out(INPUT)


def resources() -> list[dict[str, Any]]:
    """A VtuberSession for each session of the matrix."""
    return [
        sessions.resource(f"{fault}-{flags}-{kind}", f"{fault}-{flags}-{kind}", wanted)
        for fault in FAULTS
        for flags, wanted in FLAGS.items()
        for kind in ("text", "audio")
    ]


async def cells(at: str) -> list[Cell]:
    """All of the matrix, with the problems found."""
    turnstile, recording = asyncio.Semaphore(AT_ONCE), webm(1.0)

    async def one(fault: str, flags: str, kind: str) -> Cell:
        async with turnstile:
            place = Room(at, f"{fault}-{flags}-{kind}")
            began = time.monotonic()
            try:
                came, took = await (
                    _text(place) if kind == "text" else _recording(place, recording)
                )
            except (TimeoutError, OSError, RuntimeError, AssertionError) as error:
                return Cell(
                    fault,
                    flags,
                    kind,
                    "nothing",
                    time.monotonic() - began,
                    f"{type(error).__name__}: {error}",
                )
            return Cell(
                fault,
                flags,
                kind,
                came,
                took,
                "" if came == expected(fault, flags, kind) else UNEXPECTED,
            )

    wanted = [
        one(fault, flags, kind) for fault in FAULTS for flags in FLAGS for kind in ("text", "audio")
    ]
    found = list(await asyncio.gather(*wanted))
    # An engine that is well on a machine that is not is late as well, and then the fallback is
    # right: such a message once more, alone.
    for at_index, cell in enumerate(found):
        if cell.problem == UNEXPECTED and cell.came == "legacy":
            found[at_index] = await one(cell.fault, cell.flags, cell.kind)
    return found


def expected(fault: str, flags: str, kind: str) -> str:
    """Which reply there has to be."""
    if flags == "legacy" or fault in faulty_engine.BEFORE_ANY_WORD:
        return "legacy"
    # Whoever listens to the voice hears the engine's reply to its end; only the caller's stream was
    # cut.
    return "engine_lost" if fault in faulty_engine.AFTER_A_WORD and kind == "text" else "sync"


async def _text(place: Room) -> tuple[str, float]:
    async with clients.watching(f"ws://{place.at}", place.session) as viewer:
        began = time.monotonic()
        answer = await place.say()
        took = time.monotonic() - began
        assert answer.status == 200, answer.body
        endings = [event for event in answer.events if event in ("done", "error")]
        assert len(endings) == 1, answer.events
        starts = await _one_voice(viewer)
    if endings == ["error"]:
        return str(json.loads(answer.frames[-1].data)["code"]), took
    path = str(answer.stats.get("path") or "sync")
    assert path == (starts[0].get("path") or "sync"), "text and voice are of one path"
    return path, took


async def _recording(place: Room, recording: bytes) -> tuple[str, float]:
    async with clients.watching(f"ws://{place.at}", place.session) as viewer:
        began = time.monotonic()
        reply = await LegacyClient(f"ws://{place.at}", place.session).send_recording(recording)
        took = time.monotonic() - began
        assert reply.error is None, reply.error
        assert reply.text
        assert reply.audio[:4] == b"RIFF"
        starts = await _one_voice(viewer)
    return str(starts[0].get("path") or "sync"), took


async def _one_voice(viewer: clients.Viewer) -> list[dict[str, Any]]:
    """The START of the one reply that the viewers hear.

    One that was stopped before its first sound, because it came late, is none.
    """
    await viewer.until(lambda seen: seen.of("CONTROL", "END"), timeouts.SPOKEN)
    await asyncio.sleep(0.3)
    voices: list[dict[str, Any]] = []
    sounded = False
    for message in viewer.order:
        if isinstance(message, int):
            sounded = True
        elif message.get("action") == "START":
            voices.append(message)
        elif message.get("action") == "STOP_ACK" and not sounded:
            voices.clear()
    assert (len(voices), len(viewer.of("CONTROL", "END"))) == (1, 1), [
        frame.get("action") for frame in viewer.frames
    ]
    assert sounded, "there was a voice"
    return voices


def table(found: list[Cell]) -> str:
    """The matrix in Markdown, and in a file of its own.

    What came, and after how many seconds its text was complete.
    """
    columns = [(flags, kind) for flags in FLAGS for kind in ("text", "audio")]
    lines = [
        "| engine | " + " | ".join(f"{flags}, {kind}" for flags, kind in columns) + " |",
        "|" + "---|" * (len(columns) + 1),
    ]
    at = {(cell.fault, cell.flags, cell.kind): cell for cell in found}
    for fault in FAULTS:
        said = (at[(fault, flags, kind)] for flags, kind in columns)
        lines.append(
            f"| {fault} | "
            + " | ".join(f"{cell.came} {cell.took_s:.1f} {cell.problem}".strip() for cell in said)
            + " |"
        )
    text = "\n".join(lines) + "\n"
    diagnostics.FOLDER.mkdir(parents=True, exist_ok=True)
    (diagnostics.FOLDER / "fault-matrix.md").write_text(text)
    return text
