"""Derives the conditions of a status from the facts of one decision."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from dialog_flags.flags import Flag
from vtuber_operator.api.status import (
    SHORT,
    Condition,
    FlagPhase,
    FlagStatus,
    Phase,
    Reason,
    Status,
)
from vtuber_operator.plan.flag_steps import (
    ORDER,
    FlagChange,
    RolloutProgress,
    format_pods,
    next_change,
)
from vtuber_operator.plan.session_documents import ResolvedKeys
from vtuber_operator.plan.snapshot import ClusterSnapshot, Resource

Truth = Literal["True", "False", "Unknown"]
_MESSAGE_MAX: Final = 1_000


@dataclass(frozen=True)
class ConditionValue:
    """Status, reason and message of a condition."""

    truth: Truth
    reason: Reason
    message: str


@dataclass(frozen=True)
class RolloutFacts:
    """The decision about one resource, from which its status is derived."""

    effective: frozenset[Flag]
    desired: frozenset[Flag]
    generation: int = field(compare=False)
    """It follows from the stored status, or is new whenever `changed`, so it is not compared."""
    reach: RolloutProgress
    keys: ResolvedKeys
    suspended: bool = False
    deadline_ms: int = 0
    late: bool = False
    """Whether a pod has not acknowledged within the deadline."""
    changed: bool = False
    """Whether this decision changes the document, which no pod can have acknowledged then."""
    in_transit: Flag | None = None
    stalled: ConditionValue | None = None
    unserved: tuple[tuple[Flag, str], ...] = ()
    """Flags in force that a pod cannot serve, each with a sentence."""

    @property
    def remaining(self) -> FlagChange | None:
        """The next step, or None."""
        return next_change(self.effective, self.desired)


def time_text(now_ms: int) -> str:
    """Return RFC 3339 in seconds, as metav1.Time."""
    return datetime.fromtimestamp(now_ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def short_names(on: frozenset[Flag]) -> str:
    """Return `CORE,STREAMING` in dependency order; `none` when all are off."""
    return ",".join(SHORT[flag] for flag in ORDER if flag in on) or "none"


def _flags_applied(
    snapshot: ClusterSnapshot, resource: Resource, facts: RolloutFacts
) -> ConditionValue:
    total = len(snapshot.pods)
    moving = (
        f"{facts.in_transit} is being turned {'on' if facts.in_transit in facts.effective else 'off'}"
        if facts.in_transit
        else ("the document is being delivered")
    )
    if facts.stalled is not None:
        return ConditionValue("False", facts.stalled.reason, facts.stalled.message)
    if not snapshot.pods:
        return ConditionValue(
            "False",
            Reason.NO_LIVE_PODS,
            f"{moving}: waiting for a pod that is Ready and has the label vtuber.dev/flags",
        )
    if facts.changed:
        return ConditionValue("Unknown", Reason.PROGRESSING, f"{moving}: waiting for {total} pods")
    remaining = facts.remaining
    if facts.reach.applied and remaining is not None:
        return ConditionValue(
            "False",
            Reason.SUSPENDED,
            f"{remaining.flag} is not turned on while spec.rollout.suspend is true",
        )
    done = ConditionValue(
        "True", Reason.ACKNOWLEDGED, f"every live pod goes by {short_names(facts.effective)}"
    )
    if facts.reach.applied:
        return done
    stored = resource.status.condition("FlagsApplied")
    held = (
        remaining is None
        and stored is not None
        and stored.status == "True"
        and stored.observed_generation == resource.generation
    )
    if snapshot.redis_down is not None:
        keep = f"Redis does not answer ({snapshot.redis_down}): pods keep the flags they have"
        return (
            ConditionValue("True", Reason.ACKNOWLEDGED, keep)
            if held
            else ConditionValue("False", Reason.REDIS_DOWN, f"{moving}; {keep}")
        )
    if held and facts.reach.written and not facts.late:
        # A pod may just have become Ready, or missed one acknowledgement: that does not revoke the
        # condition yet.
        return done
    if facts.late:
        missed = f"{moving}: no acknowledgement within {facts.deadline_ms // 1_000} s from {format_pods(facts.reach.behind)}"
        return ConditionValue("False", Reason.PODS_NOT_ACKNOWLEDGING, missed)
    return ConditionValue(
        "Unknown",
        Reason.WAITING_FOR_PODS,
        f"{moving}: waiting for {format_pods(facts.reach.behind) or 'the write to Redis'}",
    )


def _secrets_ready(resource: Resource, facts: RolloutFacts) -> ConditionValue:
    if facts.keys.problem is not None:
        return ConditionValue("False", facts.keys.reason, facts.keys.problem)
    if facts.keys.reason is Reason.NO_KEYS:
        return ConditionValue("True", Reason.NO_KEYS, "no API key is referred to")
    if facts.reach.missing_keys and not facts.changed:
        return ConditionValue(
            "False",
            Reason.KEY_NOT_MOUNTED,
            f"the key's file has not reached {format_pods(facts.reach.missing_keys)} yet; the kubelet takes up to 90 s",
        )
    stored = resource.status.condition("SecretsReady")
    held = (
        stored is not None
        and stored.status == "True"
        and stored.observed_generation == resource.generation
    )
    if not facts.reach.applied and not (held and facts.reach.written):
        return ConditionValue(
            "Unknown",
            Reason.WAITING_FOR_PODS,
            "the keys are there; pods have not said yet whether they have the files",
        )
    return ConditionValue("True", Reason.KEYS_READY, "every API key is there")


def _ready(facts: RolloutFacts, applied: ConditionValue, secrets: ConditionValue) -> ConditionValue:
    if facts.stalled is not None:
        return ConditionValue("False", facts.stalled.reason, facts.stalled.message)
    if secrets.truth == "False":
        return secrets
    if applied.truth != "True":
        return applied
    if facts.unserved:
        return ConditionValue(
            "False", Reason.FLAG_UNSUPPORTED, "; ".join(sentence for _, sentence in facts.unserved)
        )
    return (
        ConditionValue("True", Reason.READY, applied.message)
        if secrets.truth == "True"
        else secrets
    )


def _stalled(facts: RolloutFacts, ready: ConditionValue) -> ConditionValue:
    if facts.stalled is not None:
        return ConditionValue("True", facts.stalled.reason, facts.stalled.message)
    if ready.reason is Reason.FLAG_UNSUPPORTED:
        # Only a person can go on: turn the flag off, or upgrade the pods.
        return ConditionValue("True", ready.reason, ready.message)
    return ConditionValue("False", Reason.NOT_STALLED, "nothing is in the way")


def _all(
    snapshot: ClusterSnapshot, resource: Resource, facts: RolloutFacts
) -> dict[str, ConditionValue]:
    applied = _flags_applied(snapshot, resource, facts)
    secrets = _secrets_ready(resource, facts)
    ready = _ready(facts, applied, secrets)
    if facts.stalled is not None:
        reconciling = ConditionValue(
            "False", facts.stalled.reason, "nothing is done until this is mended"
        )
    elif ready.truth == "True":
        reconciling = ConditionValue("False", Reason.DONE, "there is nothing left to do")
    elif ready.reason in (Reason.SUSPENDED, Reason.FLAG_UNSUPPORTED):
        reconciling = ConditionValue("False", ready.reason, ready.message)
    else:
        reconciling = ConditionValue("True", Reason.PROGRESSING, ready.message)
    return {
        "Ready": ready,
        "Reconciling": reconciling,
        "Stalled": _stalled(facts, ready),
        "FlagsApplied": applied,
        "SecretsReady": secrets,
        "Suspended": ConditionValue(
            "True", Reason.SUSPENDED, "spec.rollout.suspend is true: no further flag is turned on"
        )
        if facts.suspended
        else ConditionValue("False", Reason.NOT_SUSPENDED, "flags move"),
    }


def _flag_phase(flag: Flag, facts: RolloutFacts) -> FlagPhase:
    on, wanted = flag in facts.effective, flag in facts.desired
    if flag == facts.in_transit:
        return FlagPhase.TURNING_ON if on else FlagPhase.TURNING_OFF
    if on:
        return FlagPhase.ON if wanted else FlagPhase.WAITING
    if wanted:
        return FlagPhase.SUSPENDED if facts.suspended else FlagPhase.WAITING
    return FlagPhase.OFF


def _phase(verdicts: dict[str, ConditionValue]) -> Phase:
    ready = verdicts["Ready"]
    if verdicts["Stalled"].truth == "True":
        return Phase.STALLED
    if ready.truth == "True":
        return Phase.READY
    if ready.reason is Reason.SUSPENDED:
        return Phase.SUSPENDED
    return (
        Phase.PENDING
        if verdicts["FlagsApplied"].reason is Reason.NO_LIVE_PODS
        else Phase.PROGRESSING
    )


def _step(facts: RolloutFacts) -> str:
    done = len(facts.desired & facts.effective - {facts.in_transit})
    total = len(facts.desired)
    if facts.in_transit is None:
        return f"{done}/{total}"
    return (
        f"{done + 1}/{total} {facts.in_transit}"
        if facts.in_transit in facts.effective
        else f"{done}/{total} off {facts.in_transit}"
    )


def status_of(snapshot: ClusterSnapshot, resource: Resource, facts: RolloutFacts) -> Status:
    """Return the status for these facts. A time changes only together with its subject."""
    now = time_text(snapshot.now_ms)
    verdicts = _all(snapshot, resource, facts)
    conditions = []
    for kind, value in verdicts.items():
        old = resource.status.condition(kind)
        since = old.last_transition_time if old is not None and old.status == value.truth else now
        conditions.append(
            Condition(
                type=kind,
                status=value.truth,
                observed_generation=resource.generation,
                last_transition_time=since,
                reason=value.reason,
                message=value.message[:_MESSAGE_MAX],
            )
        )
    before = {flag.name: flag for flag in resource.status.flags}
    acknowledged = 0 if facts.changed else len(facts.reach.acknowledged)
    flags = []
    for flag in Flag:
        phase = _flag_phase(flag, facts)
        known = before.get(flag)
        flags.append(
            FlagStatus(
                name=flag,
                desired=flag in facts.desired,
                effective=flag in facts.effective,
                phase=phase,
                acknowledged_pods=acknowledged,
                live_pods=len(snapshot.pods),
                since=known.since if known is not None and known.phase is phase else now,
            )
        )
    return Status(
        observed_generation=resource.generation,
        phase=_phase(verdicts),
        step=_step(facts),
        generation=facts.generation,
        effective=short_names(facts.effective),
        flags=flags,
        conditions=conditions,
    )
