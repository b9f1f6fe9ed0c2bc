"""The decision: what every status, document and key shall be, from one snapshot.

A plan is a pure function of the snapshot, without I/O and clock, so a crash at any point is
corrected by deciding again. A status is written before the documents that follow from it (ADR 8).
Documents are therefore derived from the statuses that the cluster already has, and a status that
this plan changes takes effect on documents only in the next plan.

For each resource the planner compares the flags in force with the desired ones and changes at most
one flag at a time (`flag_steps.py`). A flag is turned on only when all live pods have acknowledged
the previous step. A flag is turned off also while a pod is late, because turning off must always be
possible. The status is put into words in `conditions.py`, and documents are made in
`session_documents.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import IntEnum

from dialog_contracts.session_document import EVERY_SESSION, SessionDocument
from dialog_flags.flags import Flag
from vtuber_operator.api.spec import ACK_DEADLINE_S
from vtuber_operator.api.status import FlagPhase, Reason, Status
from vtuber_operator.plan.conditions import ConditionValue, RolloutFacts, status_of
from vtuber_operator.plan.event_messages import EventMessage, event_messages
from vtuber_operator.plan.flag_steps import (
    DEFAULT_ON,
    FlagChange,
    RolloutProgress,
    format_pods,
    rollout_progress,
)
from vtuber_operator.plan.session_documents import (
    KeyRef,
    RenderedDocument,
    ResolvedKeys,
    document_of,
    keys_of,
)
from vtuber_operator.plan.snapshot import ClusterSnapshot, Key, Resource


class WritePriority(IntEnum):
    """Order in which statuses are written when many wait."""

    OFF = 0
    NEW_SPEC = 1
    STEP = 2
    REST = 3
    COUNTS = 4
    """Only numbers and messages differ; such a status is written only at a resync."""


@dataclass(frozen=True)
class StatusWrite:
    """A status to be written, and the Events to be posted after that."""

    resource: Resource
    status: Status
    priority: WritePriority
    events: tuple[EventMessage, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The result of one decision."""

    statuses: tuple[StatusWrite, ...] = ()
    """Statuses that differ from those in the cluster, most urgent first."""
    documents: dict[str, SessionDocument] = field(default_factory=dict)
    """Documents by sessionId, from the statuses that the cluster has."""
    keys: dict[str, KeyRef] = field(default_factory=dict)
    """Entries of the managed Secret by file name."""
    keep_old_keys: bool = False
    """Whether a pod may still use a document that names the file of a rotated key."""


def resolve_conflicts(resources: Iterable[Resource]) -> dict[str, Resource]:
    """Return the resource that has each session.

    It is the older one; of the same second, the first by namespace and name.
    """
    found: dict[str, Resource] = {}
    for resource in sorted(resources, key=lambda each: (each.created, each.key)):
        if resource.session_id is not None:
            found.setdefault(resource.session_id, resource)
    return found


@dataclass
class PlanCache:
    """Earlier results, reused where the facts are the same; the plan does not depend on it.

    With a thousand unchanged resources and one that changes, a decision takes milliseconds.
    """

    drafts: dict[Key, tuple[Resource, ResolvedKeys, RenderedDocument | None]] = field(
        default_factory=dict
    )
    results: dict[Key, tuple[Resource, RolloutFacts, str | None, int, StatusWrite | None]] = field(
        default_factory=dict
    )

    def draft(self, resource: Resource, keys: ResolvedKeys) -> RenderedDocument | None:
        """Return the resource's document."""
        known = self.drafts.get(resource.key)
        if known is not None and known[0] is resource and known[1] == keys:
            return known[2]
        document = document_of(resource, keys)
        made = RenderedDocument.render(document) if document is not None else None
        self.drafts[resource.key] = (resource, keys, made)
        return made

    def next(
        self, snapshot: ClusterSnapshot, resource: Resource, facts: RolloutFacts
    ) -> StatusWrite | None:
        """Return the resource's next status write, or None."""
        known = self.results.get(resource.key)
        if (
            known is not None
            and known[0] is resource
            and known[1:4] == (facts, snapshot.redis_down, len(snapshot.pods))
        ):
            return known[4]
        made = _next(snapshot, resource, facts)
        self.results[resource.key] = (
            resource,
            facts,
            snapshot.redis_down,
            len(snapshot.pods),
            made,
        )
        return made

    def retain_only(self, keys: frozenset[Key]) -> None:
        """Remove entries of deleted resources."""
        for kept in (self.drafts, self.results):
            for key in kept.keys() - keys:
                del kept[key]


def make_plan(snapshot: ClusterSnapshot, memory: PlanCache | None = None) -> Plan:
    """Return the plan for a snapshot."""
    memory = memory if memory is not None else PlanCache()
    holders = resolve_conflicts(snapshot.resources)
    everyone = holders.get(EVERY_SESSION)
    inherited = everyone.known if everyone is not None and everyone.in_force else DEFAULT_ON
    statuses: list[StatusWrite] = []
    documents: dict[str, SessionDocument] = {}
    files: dict[str, KeyRef] = {}
    settled = True
    for resource in snapshot.resources:
        keys = keys_of(resource, snapshot.secrets)
        owner = holders.get(resource.session_id) if resource.session_id is not None else None
        draft: RenderedDocument | None = None
        if owner is resource:
            draft = memory.draft(resource, keys)
            files.update({key.file: key for key in keys.files.values()})
        if draft is not None:
            documents[draft.document.session_id] = draft.document
        progress = rollout_progress(snapshot, draft)
        settled = settled and (draft is None or (progress.applied and not progress.missing_keys))
        start = DEFAULT_ON if resource.session_id == EVERY_SESSION else inherited
        change = memory.next(
            snapshot, resource, _facts(snapshot, resource, owner, keys, progress, start)
        )
        if change is not None:
            statuses.append(change)
    memory.retain_only(frozenset(resource.key for resource in snapshot.resources))
    return Plan(
        statuses=tuple(sorted(statuses, key=lambda each: each.priority)),
        documents=documents,
        keys=files,
        keep_old_keys=not settled,
    )


def _new_generation(snapshot: ClusterSnapshot, resource: Resource) -> int:
    """Return Unix ms, but more than every generation that this session is known to have had."""
    written = snapshot.written.get(resource.session_id or "")
    return max(
        snapshot.now_ms,
        resource.status.generation + 1,
        written.generation + 1 if written is not None else 0,
    )


def _facts(
    snapshot: ClusterSnapshot,
    resource: Resource,
    owner: Resource | None,
    keys: ResolvedKeys,
    progress: RolloutProgress,
    start: frozenset[Flag],
) -> RolloutFacts:
    stored, spec = resource.status, resource.spec
    known, desired = resource.known, resource.wanted
    deadline_ms = (
        spec.rollout.ack_deadline_seconds if spec is not None else ACK_DEADLINE_S
    ) * 1_000
    facts = RolloutFacts(
        effective=known,
        desired=desired,
        generation=stored.generation,
        reach=progress,
        keys=keys,
        suspended=spec is not None and spec.rollout.suspend,
        deadline_ms=deadline_ms,
        late=progress.late_ms > deadline_ms,
        in_transit=None if progress.applied else _in_transit(stored),
        unserved=_unserved(snapshot, known),
    )
    if owner is not None and owner is not resource:
        sentence = f"{owner.path} is older and has the session {resource.session_id}: delete one of the two"
        stall = ConditionValue("False", Reason.SESSION_TAKEN, sentence)
        return replace(facts, effective=frozenset(), in_transit=None, stalled=stall)
    if resource.invalid is not None:
        sentence = f"{resource.invalid}; the last flags that were in force are kept"
        return replace(facts, stalled=ConditionValue("False", Reason.INVALID_SPEC, sentence))
    if not resource.in_force:
        generation = _new_generation(snapshot, resource)
        return replace(
            facts, effective=start & desired, generation=generation, changed=True, in_transit=None
        )
    move = facts.remaining
    if move is None or not _may_apply(move, facts):
        return facts
    effective = known | {move.flag} if move.on else known - {move.flag}
    return replace(
        facts,
        effective=effective,
        generation=_new_generation(snapshot, resource),
        changed=True,
        in_transit=move.flag,
    )


def _unserved(snapshot: ClusterSnapshot, known: frozenset[Flag]) -> tuple[tuple[Flag, str], ...]:
    """Return the flags in force that a live pod cannot serve, each with a sentence."""
    return tuple(
        (flag, f"{flag} is on, but {format_pods(pods)} cannot serve it: {why}")
        for flag, (why, pods) in sorted(snapshot.unserved.items())
        if flag in known
    )


def _may_apply(move: FlagChange, facts: RolloutFacts) -> bool:
    """Return whether the change may be made now."""
    if move.on:
        return facts.reach.applied and not facts.suspended
    # A pod that does not answer must not block turning off, and a flag that is revoked during its
    # step need not be acknowledged first.
    return (
        facts.reach.applied or (facts.reach.written and facts.late) or move.flag == facts.in_transit
    )


def _in_transit(status: Status) -> Flag | None:
    moving = (FlagPhase.TURNING_ON, FlagPhase.TURNING_OFF)
    return next((flag.name for flag in status.flags if flag.phase in moving), None)


def _next(snapshot: ClusterSnapshot, resource: Resource, facts: RolloutFacts) -> StatusWrite | None:
    status = status_of(snapshot, resource, facts)
    if status == resource.status:
        return None
    if _without_counts(status) == _without_counts(resource.status):
        return StatusWrite(resource, status, WritePriority.COUNTS)
    if facts.changed and resource.status.on() - facts.effective:
        rank = WritePriority.OFF
    elif resource.status.observed_generation != resource.generation:
        rank = WritePriority.NEW_SPEC
    else:
        rank = WritePriority.STEP if facts.changed else WritePriority.REST
    return StatusWrite(resource, status, rank, event_messages(resource.status, status))


def _without_counts(status: Status) -> tuple[object, ...]:
    """Return the parts of a status whose change is written at once."""
    return (
        status.observed_generation,
        status.phase,
        status.step,
        status.generation,
        status.effective,
        tuple(
            (flag.name, flag.desired, flag.effective, flag.phase, flag.since)
            for flag in status.flags
        ),
        tuple(
            (
                each.type,
                each.status,
                each.observed_generation,
                each.last_transition_time,
                each.reason,
            )
            for each in status.conditions
        ),
    )
