"""Which flag moves next, and how far the pods are with the last move. No I/O, no clock."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from dialog_flags.flags import REQUIRES, Flag
from vtuber_operator.api.spec import FLAG_DEFAULTS
from vtuber_operator.plan.session_documents import RenderedDocument
from vtuber_operator.plan.snapshot import ClusterSnapshot


def _dependency_order() -> tuple[Flag, ...]:
    """Every flag after the one it needs, chains together, in the order of their declaration."""
    ordered: list[Flag] = []

    def visit(flag: Flag) -> None:
        if flag in REQUIRES:
            visit(REQUIRES[flag])
        if flag not in ordered:
            ordered.append(flag)

    for flag in Flag:
        visit(flag)
    return tuple(ordered)


ORDER: Final = _dependency_order()
"""Flags are turned on in this order and off in the reverse."""

DEFAULT_ON: Final = frozenset(flag for flag, on in FLAG_DEFAULTS.items() if on)


@dataclass(frozen=True)
class FlagChange:
    """One flag, turned on or off."""

    flag: Flag
    on: bool


def next_change(effective: frozenset[Flag], desired: frozenset[Flag]) -> FlagChange | None:
    """The next step from `effective` to `desired`: what goes off goes first, dependents before what they need."""
    for flag in reversed(ORDER):
        if flag in effective and flag not in desired:
            return FlagChange(flag, on=False)
    for flag in ORDER:
        if flag in desired and flag not in effective:
            return FlagChange(flag, on=True)
    return None


@dataclass(frozen=True)
class RolloutProgress:
    """How far a document is. `late_ms`: how long the slowest pod has been owing its acknowledgement."""

    written: bool
    acknowledged: frozenset[str] = frozenset()
    behind: tuple[str, ...] = ()
    missing_keys: tuple[str, ...] = ()
    late_ms: int = field(default=0, compare=False)

    @property
    def applied(self) -> bool:
        """At least one live pod, and every live pod goes by the document."""
        return self.written and bool(self.acknowledged) and not self.behind


def rollout_progress(snapshot: ClusterSnapshot, draft: RenderedDocument | None) -> RolloutProgress:
    """Compare the acknowledgements with the write of this very document."""
    written = snapshot.written.get(draft.document.session_id) if draft is not None else None
    if draft is None or written is None or written.text != draft.text:
        return RolloutProgress(written=False, behind=tuple(sorted(snapshot.live)))
    if written.revision <= snapshot.common_revision:
        return RolloutProgress(written=True, acknowledged=snapshot.live)
    acknowledged: set[str] = set()
    missing: list[str] = []
    owing: dict[str, int] = {}
    for pod, ready_since in snapshot.pods.items():
        ack = snapshot.fresh_ack(pod)
        if ack is not None and ack.revision >= written.revision:
            acknowledged.add(pod)
            if draft.files & ack.missing:
                missing.append(pod)
            continue
        # A revision is the time of its write in Unix ms, unless writes followed each other within one.
        last = snapshot.acks.get(pod)
        went_silent = last.at_ms if last is not None and last.revision >= written.revision else 0
        owing[pod] = max(0, snapshot.now_ms - max(written.revision, ready_since, went_silent))
    return RolloutProgress(
        written=True,
        acknowledged=frozenset(acknowledged),
        behind=tuple(sorted(owing)),
        missing_keys=tuple(sorted(missing)),
        late_ms=max(owing.values(), default=0),
    )


def format_pods(pods: Iterable[str], limit: int = 5) -> str:
    """Pods in a sentence: the first few by name, the rest counted."""
    names = sorted(pods)
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")
