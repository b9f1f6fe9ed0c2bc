"""What people are told of language models and voices: which one is in use, and why not the ones before it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from vtuber_cli import readiness
from vtuber_cli.settings import ServiceSpec

_KINDS: Final = (("models", "Model"), ("voices", "Voice"))


def run_summary(services: Sequence[ServiceSpec]) -> list[str]:
    """What is in use in a run, as its engine says, which is asked; nothing where the run has none."""
    engine = next((spec for spec in services if spec.service == "dialog-engine"), None)
    return (
        engine_summary(readiness.request_readiness(engine.port).details)
        if engine is not None
        else []
    )


def engine_summary(details: Mapping[str, Any]) -> list[str]:
    """One line for models and one for voices, from the details of the engine's `/readyz`."""
    return [
        line
        for key, kind in _KINDS
        if isinstance(report := details.get(key), dict) and (line := _line(kind, report))
    ]


def turn_summary(stats: Mapping[str, Any]) -> str | None:
    """One line, from the figures of a turn's `done`; None where it tells nothing."""
    lines = [f"{kind} {stats[kind]}" for kind in ("llm", "voice") if stats.get(kind)]
    others = stats.get("instead_of")
    why = (
        ", ".join(f"{name} ({reason})" for name, reason in others.items())
        if isinstance(others, dict)
        else ""
    )
    if not lines:
        return None
    return (
        "by " + ", ".join(lines).replace("llm ", "model ") + (f"; instead of {why}" if why else "")
    )


def _line(kind: str, report: Mapping[str, Any]) -> str:
    used, about, why = report.get("inUse"), report.get("about") or {}, report.get("whyNot") or {}
    others = "; ".join(f"{name}: {_without(name, reason)}" for name, reason in why.items())
    if not used:
        return f"{kind}: none answers yet, and it is tried again ({others})" if others else ""
    lines = f"{kind}: {used}" + (f" ({about[used]})" if about.get(used) else "")
    return f"{lines}   not {others}" if others else lines


def _without(name: str, reason: str) -> str:
    return str(reason).removeprefix(f"{name}: ")
