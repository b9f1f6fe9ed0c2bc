"""The operator's permissions as data.

The chart's roles are copied from here, and a test fails on a verb that is not used.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from vtuber_operator.settings import OperatorSettings


class Where(StrEnum):
    """Namespaces in which a rule applies."""

    WATCHED = "watched"
    """The namespaces of sessions (WATCH_NAMESPACES) and the operator's own.

    It is a ClusterRole when WATCH_NAMESPACES is empty.
    """
    OWN = "own"
    """Only the operator's own namespace (POD_NAMESPACE), always by a Role."""


@dataclass(frozen=True)
class Rule:
    """One rule of a Role. `name` is a setting whose value becomes resourceNames."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    where: Where
    why: str
    name: str | None = None


RULES: Final = (
    Rule(
        "vtuber.dev",
        "vtubersessions",
        ("list", "watch"),
        Where.WATCHED,
        "reads the specs; never writes one",
    ),
    Rule(
        "vtuber.dev",
        "vtubersessions/status",
        ("patch",),
        Where.WATCHED,
        "writes what is in force, by server-side apply",
    ),
    Rule(
        "",
        "pods",
        ("list", "watch"),
        Where.WATCHED,
        "finds the pods that must acknowledge (label vtuber.dev/flags)",
    ),
    Rule(
        "",
        "secrets",
        ("list", "watch"),
        Where.WATCHED,
        "reads API keys; requests only Secrets with the label vtuber.dev/session-key (a role cannot be limited to a label)",
    ),
    Rule(
        "events.k8s.io",
        "events",
        ("create",),
        Where.WATCHED,
        "writes the events that `kubectl describe` shows",
    ),
    Rule(
        "",
        "secrets",
        ("create", "patch"),
        Where.OWN,
        "writes the managed Secret that engines mount; server-side apply needs create if it does not exist",
        "session_keys_secret",
    ),
    Rule(
        "",
        "configmaps",
        ("create", "patch"),
        Where.OWN,
        "writes the documents for cold starts; server-side apply needs create if it does not exist",
        "flags_configmap",
    ),
)


def role_rules(where: Where, settings: OperatorSettings) -> list[dict[str, Any]]:
    """Return the `rules` of the Role for these namespaces."""
    return [
        {
            "apiGroups": [rule.group],
            "resources": [rule.resource],
            "verbs": list(rule.verbs),
            **({"resourceNames": [getattr(settings, rule.name)]} if rule.name is not None else {}),
        }
        for rule in RULES
        if rule.where is where
    ]


def table() -> str:
    """Return the table of docs/operator-rbac.md."""
    lines = [
        "| API group | resource | verbs | only the name in | where | why |",
        "|---|---|---|---|---|---|",
    ]
    for rule in RULES:
        name = f"`{rule.name.upper()}`" if rule.name else "–"
        verbs = ", ".join(rule.verbs)
        lines.append(
            f"| `{rule.group or chr(34) * 2}` | `{rule.resource}` | {verbs} | {name} | {rule.where} | {rule.why} |"
        )
    return "\n".join(lines)
