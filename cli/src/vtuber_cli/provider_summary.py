"""Sentences about language models and voices: which is in use, and why earlier ones are not."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from vtuber_cli import readiness
from vtuber_cli.settings import ServiceSpec

_KINDS: Final = (("models", "Model"), ("voices", "Voice"))


def run_summary(services: Sequence[ServiceSpec]) -> list[str]:
    """Ask the engine of a run; empty if the run has no engine."""
    engine = next((spec for spec in services if spec.service == "dialog-engine"), None)
    return (
        engine_summary(readiness.request_readiness(engine.port).details)
        if engine is not None
        else []
    )


def engine_summary(details: Mapping[str, Any]) -> list[str]:
    """Return a line for models and one for voices, from the details of the engine's `/readyz`."""
    return [
        line
        for key, kind in _KINDS
        if isinstance(report := details.get(key), dict) and (line := _line(kind, report))
    ]


def turn_summary(stats: Mapping[str, Any]) -> str | None:
    """Return a line about one turn, from the figures of its event `done`, or None."""
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
        return f"{kind}: no provider answers yet; retrying ({others})" if others else ""
    lines = f"{kind}: {used}" + (f" ({about[used]})" if about.get(used) else "")
    return f"{lines}   not {others}" if others else lines


def _without(name: str, reason: str) -> str:
    return str(reason).removeprefix(f"{name}: ")
