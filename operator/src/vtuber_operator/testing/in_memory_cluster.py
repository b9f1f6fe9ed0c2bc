"""A cluster in memory for tests of the planner: resources, pods and Redis."""

import itertools
from dataclasses import dataclass, field
from typing import Any

from dialog_contracts.http import FlagSet
from dialog_flags.flags import Flag, validate
from vtuber_operator.api.status import Status
from vtuber_operator.plan.planner import Plan, PlanCache, StatusWrite, make_plan
from vtuber_operator.plan.snapshot import (
    Acknowledgement,
    ClusterSnapshot,
    Key,
    Resource,
    SecretSeen,
    WrittenDocument,
)

START_MS = 1_760_000_000_000


@dataclass
class InMemoryCluster:
    """Resources, pods and Redis.

    `operate` is one pass of the operator, `acknowledge` is what pods do.
    """

    now_ms: int = START_MS
    bodies: dict[Key, dict[str, Any]] = field(default_factory=dict)
    secrets: dict[Key, SecretSeen] = field(default_factory=dict)
    pods: dict[str, int] = field(default_factory=dict)
    acks: dict[str, Acknowledgement] = field(default_factory=dict)
    redis: dict[str, WrittenDocument] = field(default_factory=dict)
    revision: int = 0
    redis_down: str | None = None
    served: dict[str, FlagSet] = field(default_factory=dict)
    events: list[tuple[str, str]] = field(default_factory=list)
    started: set[str] = field(default_factory=set)
    memory: PlanCache = field(default_factory=PlanCache)
    _parsed: dict[Key, tuple[dict[str, Any], Resource]] = field(default_factory=dict)
    _uid: Any = field(default_factory=lambda: itertools.count(1))

    def apply(self, name: str, spec: dict[str, Any], namespace: str = "live") -> None:
        """Create the resource, or change its spec."""
        old = self.bodies.get((namespace, name))
        if old is None:
            meta = {
                "namespace": namespace,
                "name": name,
                "uid": str(next(self._uid)),
                "generation": 1,
            }
            meta["creationTimestamp"] = f"2026-01-01T{self.now_ms % 86_400_000:08d}Z"
            self.bodies[namespace, name] = {"metadata": meta, "spec": spec}
        elif old["spec"] != spec:
            meta = {**old["metadata"], "generation": old["metadata"]["generation"] + 1}
            self.bodies[namespace, name] = {**old, "metadata": meta, "spec": spec}

    def delete(self, name: str, namespace: str = "live") -> None:
        """Remove the resource, as the cluster does without a finalizer."""
        self.bodies.pop((namespace, name), None)

    def snapshot(self) -> ClusterSnapshot:
        """Return what the operator would know now."""
        return ClusterSnapshot(
            now_ms=self.now_ms,
            resources=tuple(self._parse(key, body) for key, body in self.bodies.items()),
            secrets=self.secrets,
            pods=self.pods,
            acks=self.acks,
            written=self.redis,
            redis_down=self.redis_down,
        )

    def _parse(self, key: Key, body: dict[str, Any]) -> Resource:
        known = self._parsed.get(key)
        if known is None or known[0] is not body:
            known = self._parsed[key] = (body, Resource.from_body(body))
        return known[1]

    def decide(self) -> Plan:
        """Return the plan, and check that it does not depend on the cache."""
        snapshot = self.snapshot()
        plan, fresh = make_plan(snapshot, self.memory), make_plan(snapshot)
        assert plan.documents == fresh.documents
        assert plan.keys == fresh.keys
        assert [_essence(each) for each in plan.statuses] == [
            _essence(each) for each in fresh.statuses
        ]
        return plan

    def status(self, name: str, namespace: str = "live") -> Status:
        """Return the stored status of a resource."""
        return Resource.from_body(self.bodies[namespace, name]).status

    def ready(self, name: str) -> tuple[str, str]:
        """Return status and reason of its condition Ready."""
        condition = self.status(name).condition("Ready")
        assert condition is not None
        return condition.status, condition.reason

    def write_statuses(self, plan: Plan, *, at_most: int = 1_000) -> None:
        """Execute the first `at_most` status writes of a plan."""
        for change in plan.statuses[:at_most]:
            body = self.bodies[change.resource.key]
            self.bodies[change.resource.key] = {
                **body,
                "status": change.status.model_dump(mode="json", by_alias=True),
            }
            self.events += [(change.resource.name, each.reason) for each in change.events]

    def write_documents(self, plan: Plan) -> None:
        """Execute the write to Redis, and check that no step is illegal or double."""
        if self.redis_down is not None:
            return
        wanted = {session: document.to_json() for session, document in plan.documents.items()}
        changed = {
            session
            for session, text in wanted.items()
            if session not in self.redis or self.redis[session].text != text
        }
        gone = self.redis.keys() - wanted.keys()
        if not changed and not gone:
            return
        self.revision = max(self.now_ms, self.revision + 1)
        for session in gone:
            del self.redis[session]
            self.served.pop(session, None)
            self.started.discard(session)
        for session in changed:
            flags = plan.documents[session].flags
            self._check_flags(session, flags)
            self.redis[session] = WrittenDocument(wanted[session], self.revision, flags.generation)
            self.served[session] = flags

    def _check_flags(self, session: str, flags: FlagSet) -> None:
        assert validate(flags) == []
        before = self.served.get(session)
        if before is None:
            return
        moved = [flag for flag in Flag if getattr(flags, flag) != getattr(before, flag)]
        if session in self.started:
            assert len(moved) <= 1, f"two flags in one step: {moved}"
        self.started.add(session)
        assert (flags.generation > before.generation) if moved else True
        if flags.generation != before.generation:
            assert flags.generation > before.generation

    def acknowledge(
        self,
        *pods: str,
        missing: frozenset[str] = frozenset(),
        unsupported: frozenset[tuple[Flag, str]] = frozenset(),
    ) -> None:
        """Let these pods (or all) acknowledge the present revision."""
        if self.redis_down is None:
            for pod in pods or tuple(self.pods):
                self.acks[pod] = Acknowledgement(self.revision, self.now_ms, missing, unsupported)

    def operate(self) -> Plan:
        """Run one pass of the operator: statuses, then the documents that follow from them."""
        self.write_statuses(self.decide())
        plan = self.decide()
        self.write_documents(plan)
        return plan

    def settle(self, rounds: int = 40) -> int:
        """Repeat passes and acknowledgements until nothing changes.

        Returns the number of rounds.
        """
        for count in range(rounds):
            before = (dict(self.bodies), dict(self.redis))
            self.operate()
            self.acknowledge()
            self.operate()
            self.now_ms += 5
            if before == (self.bodies, self.redis):
                return count
        raise AssertionError("does not come to rest")


def _essence(change: StatusWrite) -> tuple[object, ...]:
    """Return a status write without times and generations."""
    status = change.status
    conditions = [
        (each.type, each.status, each.reason, each.observed_generation)
        for each in status.conditions
    ]
    flags = [(flag.name, flag.desired, flag.effective, flag.phase) for flag in status.flags]
    return (
        change.resource.key,
        change.priority,
        status.phase,
        status.step,
        conditions,
        flags,
        change.events,
    )


def spec(session: str = "live-001", *flags: str, **more: Any) -> dict[str, Any]:
    """Return a spec with these flags on; ENABLE_SYNC_CORE too unless `core=False`."""
    wanted = {"ENABLE_SYNC_CORE": more.pop("core", True), **dict.fromkeys(flags, True)}
    return {"sessionId": session, "flags": wanted, **more}


STREAMING = "SYNC_TTS_STREAMING"
BARGE_IN = "SYNC_TTS_BARGE_IN"
OUTBOX = "ENABLE_STREAMS_OUTBOX"
LTM = "ENABLE_LTM"
