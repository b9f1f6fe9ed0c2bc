"""Snapshot of what the operator knows at one moment.

It contains resources, Secrets, pods and their acknowledgements, and the documents as written.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from pydantic import ValidationError

from dialog_contracts.http import FlagSet
from dialog_contracts.model import SESSION_SELECTOR
from dialog_contracts.redis_names import FLAGS_ACK_VALID_S
from dialog_flags.flags import Flag, validate
from vtuber_operator.api.spec import Spec
from vtuber_operator.api.status import Reason, Status

Key = tuple[str, str]
"""Namespace and name."""

_SESSION: Final = re.compile(SESSION_SELECTOR)


def flag_set(on: frozenset[Flag], generation: int = 0) -> FlagSet:
    """Return the flags of a document."""
    return FlagSet.model_validate(
        {**{str(flag): flag in on for flag in Flag}, "generation": generation}
    )


def _sentence(error: ValidationError) -> str:
    """Return the first problem without the invalid value, which may be private."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in ("spec", *first["loc"]))
    return f"{where}: {first['msg']}"


@dataclass(frozen=True)
class Resource:
    """One VtuberSession of the cluster.

    `spec` is None where it cannot be parsed; `invalid` says what is wrong.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    created: str
    session_id: str | None
    spec: Spec | None
    invalid: str | None
    status: Status

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return self.namespace, self.name

    @property
    def path(self) -> str:
        """`namespace/name`, as in documents and messages."""
        return f"{self.namespace}/{self.name}"

    @cached_property
    def known(self) -> frozenset[Flag]:
        """The flags in force according to its status."""
        return self.status.on() if self.in_force else frozenset()

    @cached_property
    def wanted(self) -> frozenset[Flag]:
        """The flags that its spec asks for; those in force where the spec cannot be parsed."""
        return self.spec.flags.on() if self.spec is not None else self.known

    @cached_property
    def in_force(self) -> bool:
        """Whether its status determines the pods' flags.

        It does not before its first step, nor while another resource has its session.
        """
        stalled = self.status.condition("Stalled")
        return self.status.generation > 0 and (
            stalled is None or stalled.reason != Reason.SESSION_TAKEN
        )

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> "Resource":
        """Parse a resource of the API server; an invalid spec or status raises no error here."""
        meta, raw = body["metadata"], body.get("spec") or {}
        spec: Spec | None = None
        invalid: str | None = None
        try:
            spec = Spec.model_validate(raw)
            found = validate(flag_set(spec.flags.on()))
            invalid = f"spec.flags: {'; '.join(found)}" if found else None
        except ValidationError as error:
            invalid = _sentence(error)
        try:
            status = Status.model_validate(body.get("status") or {})
        except ValidationError:
            # Written by hand or by a newer version: it counts as empty and is written again.
            status = Status()
        session = raw.get("sessionId") if isinstance(raw, Mapping) else None
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta.get("uid", ""),
            generation=int(meta.get("generation", 0)),
            created=meta.get("creationTimestamp", ""),
            session_id=session
            if isinstance(session, str) and _SESSION.fullmatch(session)
            else None,
            spec=spec,
            invalid=invalid,
            status=status,
        )


@dataclass(frozen=True)
class SecretSeen:
    """A Secret with the label vtuber.dev/session-key: the names of its keys, never their values."""

    keys: frozenset[str]
    version: str


@dataclass(frozen=True)
class Acknowledgement:
    """A pod's last acknowledgement. `at_ms` is on the operator's clock."""

    revision: int
    at_ms: int
    missing: frozenset[str] = frozenset()
    unsupported: frozenset[tuple[Flag, str]] = frozenset()
    """Flags that the pod cannot serve when on, with the reason."""


@dataclass(frozen=True)
class WrittenDocument:
    """A session's document in Redis, and the revision that wrote it or any later one."""

    text: str
    revision: int
    generation: int


@dataclass(frozen=True)
class ClusterSnapshot:
    """Everything that a decision depends on."""

    now_ms: int
    resources: tuple[Resource, ...] = ()
    secrets: Mapping[Key, SecretSeen] = field(default_factory=dict)
    pods: Mapping[str, int] = field(default_factory=dict)
    """Live pods by name, with the Unix ms since when they are Ready."""
    acks: Mapping[str, Acknowledgement] = field(default_factory=dict)
    written: Mapping[str, WrittenDocument] = field(default_factory=dict)
    redis_down: str | None = None
    """Why Redis has not answered for a while, or None."""

    def fresh_ack(self, pod: str) -> Acknowledgement | None:
        """Return the pod's acknowledgement, or None if it is too old to count."""
        ack = self.acks.get(pod)
        return (
            ack
            if ack is not None and self.now_ms - ack.at_ms <= FLAGS_ACK_VALID_S * 1_000
            else None
        )

    @cached_property
    def live(self) -> frozenset[str]:
        """Names of the live pods."""
        return frozenset(self.pods)

    @cached_property
    def unserved(self) -> Mapping[Flag, tuple[str, tuple[str, ...]]]:
        """Flags that a live pod cannot serve when on: the reason, and the pods."""
        found: dict[Flag, tuple[str, tuple[str, ...]]] = {}
        for pod in sorted(self.pods):
            ack = self.fresh_ack(pod)
            for flag, why in sorted(ack.unsupported) if ack is not None else ():
                first, pods = found.get(flag, (why, ()))
                found[flag] = first, (*pods, pod)
        return found

    @cached_property
    def common_revision(self) -> int:
        """The revision that every live pod uses at least, without a missing key; -1 if unknown."""
        acks = [self.fresh_ack(pod) for pod in self.pods]
        if not acks or any(ack is None or ack.missing for ack in acks):
            return -1
        return min(ack.revision for ack in acks if ack is not None)
