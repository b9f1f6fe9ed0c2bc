"""Determines which flag changes next, and the progress of the last change."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from dialog_flags.flags import REQUIRES, Flag
from vtuber_operator.api.spec import FLAG_DEFAULTS
from vtuber_operator.plan.session_documents import RenderedDocument
from vtuber_operator.plan.snapshot import ClusterSnapshot


def _dependency_order() -> tuple[Flag, ...]:
    """Return the flags in order of declaration, but each after the one it requires."""
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
"""Flags are turned on in this order and off in the reverse order."""

DEFAULT_ON: Final = frozenset(flag for flag, on in FLAG_DEFAULTS.items() if on)


@dataclass(frozen=True)
class FlagChange:
    """One flag is turned on or off."""

    flag: Flag
    on: bool


def next_change(effective: frozenset[Flag], desired: frozenset[Flag]) -> FlagChange | None:
    """Return the next step from `effective` to `desired`, or None.

    Flags are turned off first, dependents before the flags they require.
    """
    for flag in reversed(ORDER):
        if flag in effective and flag not in desired:
            return FlagChange(flag, on=False)
    for flag in ORDER:
        if flag in desired and flag not in effective:
            return FlagChange(flag, on=True)
    return None


@dataclass(frozen=True)
class RolloutProgress:
    """Delivery of a document to the pods.

    `late_ms` is the time for which the slowest pod has not acknowledged it.
    """

    written: bool
    acknowledged: frozenset[str] = frozenset()
    behind: tuple[str, ...] = ()
    missing_keys: tuple[str, ...] = ()
    late_ms: int = field(default=0, compare=False)

    @property
    def applied(self) -> bool:
        """Whether there is a live pod, and all live pods use the document."""
        return self.written and bool(self.acknowledged) and not self.behind


def rollout_progress(snapshot: ClusterSnapshot, draft: RenderedDocument | None) -> RolloutProgress:
    """Compare the acknowledgements with the write of this document."""
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
        # A revision is the time of its write in Unix ms, unless several writes happened within one
        # ms.
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
    """Return pods as text: the first few by name, and the number of the rest."""
    names = sorted(pods)
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")
