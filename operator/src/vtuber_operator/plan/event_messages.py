"""Derives Events from the difference between two statuses."""

from dataclasses import dataclass
from typing import Literal

from vtuber_operator.api.status import EventReason, FlagPhase, Reason, Status


@dataclass(frozen=True)
class EventMessage:
    """One Kubernetes Event about a resource."""

    kind: Literal["Normal", "Warning"]
    reason: str
    message: str


_WARNED = (
    ("Stalled", "True", (Reason.SESSION_TAKEN, Reason.INVALID_SPEC)),
    ("SecretsReady", "False", (Reason.SECRET_MISSING, Reason.KEY_MISSING, Reason.KEY_NOT_MOUNTED)),
    (
        "FlagsApplied",
        "False",
        (Reason.PODS_NOT_ACKNOWLEDGING, Reason.NO_LIVE_PODS, Reason.REDIS_DOWN),
    ),
)
"""Condition, status and reasons that cause a warning when they begin or the reason changes."""


def event_messages(before: Status, after: Status) -> tuple[EventMessage, ...]:
    """Return the Events for a change of status: flags first, then problems, then Ready."""
    messages: list[EventMessage] = []
    phases = {flag.name: flag.phase for flag in before.flags}
    for flag in after.flags:
        pods = f"; live pods: {flag.live_pods}"
        if phases.get(flag.name) is FlagPhase.TURNING_ON and flag.phase is FlagPhase.ON:
            messages.append(EventMessage("Normal", EventReason.FLAG_ON, f"{flag.name} is on{pods}"))
        if (
            phases.get(flag.name) is FlagPhase.TURNING_OFF
            and flag.phase is not FlagPhase.TURNING_OFF
        ):
            messages.append(
                EventMessage("Normal", EventReason.FLAG_OFF, f"{flag.name} is off{pods}")
            )
    for kind, truth, reasons in _WARNED:
        old, new = before.condition(kind), after.condition(kind)
        same = (
            old is not None
            and new is not None
            and (old.status, old.reason) == (new.status, new.reason)
        )
        if new is not None and new.status == truth and new.reason in reasons and not same:
            messages.append(EventMessage("Warning", new.reason, new.message))
    old_keys, keys = before.condition("SecretsReady"), after.condition("SecretsReady")
    if (
        old_keys is not None
        and keys is not None
        and old_keys.status != "True"
        and keys.status == "True"
        and keys.reason == Reason.KEYS_READY
    ):
        messages.append(EventMessage("Normal", Reason.KEYS_READY, keys.message))
    old_ready, ready = before.condition("Ready"), after.condition("Ready")
    was = old_ready.status if old_ready is not None else ""
    if (
        ready is not None
        and ready.reason == Reason.SUSPENDED
        and (old_ready is None or old_ready.reason != Reason.SUSPENDED)
    ):
        messages.append(EventMessage("Normal", Reason.SUSPENDED, ready.message))
    if ready is not None and ready.status == "True" and was != "True":
        messages.append(EventMessage("Normal", Reason.READY, ready.message))
    return tuple(messages)
