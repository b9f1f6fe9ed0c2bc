"""`vtuber doctor`: settings, services, providers and machine on one screen.

With `--providers` each language model and voice produces one sentence.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from vtuber_cli import models, provider_summary, readiness, service_addresses, settings
from vtuber_cli.console import Console
from vtuber_cli.service_addresses import ServiceAddress

State = Literal["ok", "slow", "missing", "off", "note"]
COLOURS: Final[Mapping[State, str]] = {
    "ok": "green",
    "slow": "yellow",
    "missing": "red",
    "off": "grey",
    "note": "grey",
}

SLOW_MS: Final = 500.0
"""Milliseconds above which an answer of `/readyz` counts as slow; usual are five."""

SLOW_FIRST_MS: Final[Mapping[str, float]] = {"model": 1_500.0, "voice": 1_000.0}
"""Milliseconds to the first word or the first audio above which users notice a wait."""

ROOM_MB: Final = 200
"""Free disk space in MB below which it counts as missing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line.

    `missing`: it should exist and does not; `off`: it is not configured or not started.
    """

    area: Literal["settings", "services", "providers", "machine"]
    name: str
    state: State
    message: str = ""
    ms: float | None = None


def main(data: Path, *, attempt: bool, as_json: bool, console: Console) -> int:
    """The command; exit status 0 if nothing is missing."""
    found: list[Finding] = []
    for finding in _all(data, attempt=attempt):
        found.append(finding)
        if not as_json:
            _say(finding, found, console)
    if as_json:
        console.say(
            json.dumps([asdict(finding) for finding in found], ensure_ascii=False, indent=2)
        )
    else:
        _conclude(found, console)
    return 1 if any(finding.state == "missing" for finding in found) else 0


def _all(data: Path, *, attempt: bool) -> Iterator[Finding]:
    yield from _settings()
    yield from check_services(
        service_addresses.read(data), service_addresses.default_addresses(settings.load().services)
    )
    yield from _machine(data)
    if attempt:
        yield from check_providers(_trial())


def _settings() -> Iterator[Finding]:
    for name, value in settings.of_providers().items():
        yield Finding("settings", name, "note", value)


def check_services(*candidates: Sequence[ServiceAddress]) -> Iterator[Finding]:
    """Yield the state of the services and of the engine's providers.

    The first candidates of which a service answers are used.
    """
    for candidate in candidates:
        states = _ask_all(candidate)
        if any(state.answers for _, state, _ in states):
            yield from _describe_states(states)
            return
    yield Finding("services", "all", "off", "no run is active; `make run` starts one")


def _ask_all(
    services: Sequence[ServiceAddress],
) -> list[tuple[ServiceAddress, readiness.ServiceState, float]]:
    with ThreadPoolExecutor(max(1, len(services))) as together:
        return list(together.map(_ask, services))


def _describe_states(
    states: Sequence[tuple[ServiceAddress, readiness.ServiceState, float]],
) -> Iterator[Finding]:
    for service, state, ms in states:
        if state.ready:
            yield Finding(
                "services",
                service.name,
                "slow" if ms > SLOW_MS else "ok",
                f"port {service.port}",
                ms,
            )
        elif state.answers:
            yield Finding(
                "services",
                service.name,
                "missing",
                f"port {service.port}, not ready: {state.why}",
                ms,
            )
        else:
            without = (
                "replies work without it, but there is no fallback"
                if service.fallback
                else "there are no replies"
            )
            yield Finding(
                "services", service.name, "missing", f"port {service.port}, not running: {without}"
            )
    for _, state, _ in states:
        for line in provider_summary.engine_summary(state.details):
            kind, _, message = line.partition(": ")
            answers = not message.startswith("no provider answers")
            yield Finding(
                "providers", f"{kind.lower()} in use", "ok" if answers else "missing", message
            )
        if state.details.get("models"):
            # The providers of the engine; the legacy pipeline has the same.
            break


def _ask(service: ServiceAddress) -> tuple[ServiceAddress, readiness.ServiceState, float]:
    began = time.monotonic()
    state = readiness.request_readiness(service.port, service.host, service.scheme)
    return service, state, round((time.monotonic() - began) * 1000, 1)


def _machine(data: Path) -> Iterator[Finding]:
    without = models.missing(models.folder(data))
    yield Finding(
        "machine",
        "speech models",
        "off" if without else "ok",
        without or f"in {models.folder(data)}",
    )
    folder = next(path for path in (data, *data.absolute().parents) if path.exists())
    free = shutil.disk_usage(folder).free // 1_000_000
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        yield Finding(
            "machine", "data", "missing", f"{data} cannot be written: conversations would be lost"
        )
    else:
        yield Finding(
            "machine", "data", "ok" if free > ROOM_MB else "missing", f"{data}, {free} MB free"
        )


def _trial() -> Iterator[dict[str, Any]]:
    """Run the engine's provider check and yield its results."""
    command = [sys.executable, "-m", "dialog_engine.provider_check"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as trial:
        assert trial.stdout is not None
        assert trial.stderr is not None
        for line in trial.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if isinstance(message, dict) and "kind" in message:
                yield message
        problem = trial.stderr.read().strip()
    if trial.returncode:
        yield {
            "kind": "settings",
            "name": "trial",
            "configured": True,
            "problem": problem.splitlines()[-1] if problem else "it ended early",
        }


def check_providers(trials: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield findings for results of the provider check."""
    for message in trials:
        kind, name, about = message["kind"], message["name"], message.get("about")
        label, where = f"{kind} {name}", f" ({about})" if about else ""
        first, total = message.get("first_ms"), message.get("total_ms")
        problem = message.get("problem") or (None if first is not None else "no output")
        if problem is not None:
            known = str(problem).removeprefix(f"{name}: ")
            off = not message.get("configured") or known.startswith("not set up")
            yield Finding("providers", label, "off" if off else "missing", known + where)
            continue
        said = (
            f"{message['audio_ms'] / 1000:.1f} s of sound"
            if message.get("audio_ms") is not None
            else f"“{_short(message['said'])}”"
        )
        times = f"first {'sound' if kind == 'voice' else 'word'} {first:.0f} ms, whole {total:.0f} ms: {said}{where}"
        yield Finding(
            "providers",
            label,
            "slow" if (first or 0.0) > SLOW_FIRST_MS[kind] else "ok",
            times,
            first,
        )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:59] + "…"


def _say(finding: Finding, found: list[Finding], console: Console) -> None:
    if len(found) == 1 or found[-2].area != finding.area:
        console.say(console.paint(finding.area, "bold"))
    state = console.paint(f"{finding.state:<8}", COLOURS[finding.state])
    took = f"  {finding.ms:.0f} ms" if finding.ms is not None and finding.area == "services" else ""
    console.say(f"  {state} {finding.name:<22} {finding.message}{took}")


def _conclude(found: list[Finding], console: Console) -> None:
    missing = [finding.name for finding in found if finding.state == "missing"]
    slow = [finding.name for finding in found if finding.state == "slow"]
    console.say()
    if missing:
        console.say(
            f"  {console.paint('Missing:', 'red')} {', '.join(missing)}. docs/troubleshooting.md "
            "says what to do."
        )
    if slow:
        console.say(f"  {console.paint('Slow:', 'yellow')} {', '.join(slow)}.")
    if not missing and not slow:
        console.say(f"  {console.paint('Everything works.', 'green')}")
