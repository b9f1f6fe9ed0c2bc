"""In-memory cache of VtuberSessions, live pods and labelled Secrets, fed by the watches.

It holds only the newest version of each.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from vtuber_operator.plan.snapshot import Key, Resource, SecretSeen

Kind = Literal["sessions", "pods", "secrets"]
KINDS: Final[tuple[Kind, ...]] = ("sessions", "pods", "secrets")


@dataclass(frozen=True)
class _Entry:
    uid: str
    version: str
    value: Any


@dataclass(frozen=True)
class LabelledSecret:
    """A labelled Secret.

    `seen` is used in decisions; `data` holds the values (base64), which only the managed Secret
    gets.
    """

    seen: SecretSeen
    data: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Labelled({self.seen!r})"


def _older(version: str, than: str) -> bool:
    """Return whether a resourceVersion is older; one that is not a number counts as newer."""
    return version.isdigit() and than.isdigit() and int(version) < int(than)


def ready_since(pod: Mapping[str, Any]) -> int | None:
    """Return the Unix ms since when the pod is Ready, or None when it is not live."""
    if pod["metadata"].get("deletionTimestamp"):
        return None
    for condition in pod.get("status", {}).get("conditions") or []:
        if condition.get("type") == "Ready" and condition.get("status") == "True":
            try:
                return int(
                    datetime.fromisoformat(condition.get("lastTransitionTime", "")).timestamp()
                    * 1_000
                )
            except ValueError:
                return 0
    return None


class ResourceCache:
    """Fed by watches, by replies to our own writes and by resyncs.

    The newer resourceVersion wins.
    """

    def __init__(
        self, on_change: Callable[[], None], *, pods_in: str, sessions_in: Iterable[str] = ()
    ) -> None:
        self._on_change = on_change
        self._pods_in = pods_in
        self._sessions_in = frozenset(sessions_in)
        self._entries: dict[Kind, dict[Key, _Entry]] = {kind: {} for kind in KINDS}

    def on_event(self, kind: Kind, change: str | None, body: Mapping[str, Any]) -> None:
        """Process a watch event; `change` is None for an object from a list."""
        meta = body["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        if not self._counts(kind, key[0]):
            return
        known = self._entries[kind].get(key)
        if change == "DELETED":
            # An object with the same name may have been created meanwhile.
            if known is not None and known.uid == meta.get("uid", ""):
                del self._entries[kind][key]
                self._on_change()
            return
        self._put(kind, key, body)

    def _counts(self, kind: Kind, namespace: str) -> bool:
        if kind == "pods":
            return namespace == self._pods_in
        return not self._sessions_in or namespace in self._sessions_in

    def _put(self, kind: Kind, key: Key, body: Mapping[str, Any]) -> None:
        meta = body["metadata"]
        uid, version = meta.get("uid", ""), str(meta.get("resourceVersion", ""))
        known = self._entries[kind].get(key)
        if known is not None and (
            _older(version, known.version) or (uid, version) == (known.uid, known.version)
        ):
            return
        value = self._read(kind, body, version)
        self._entries[kind][key] = _Entry(uid, version, value)
        if known is None or known.value != value:
            self._on_change()

    @staticmethod
    def _read(kind: Kind, body: Mapping[str, Any], version: str) -> Any:
        if kind == "sessions":
            return Resource.from_body(body)
        if kind == "pods":
            return ready_since(body)
        data = body.get("data") or {}
        return LabelledSecret(SecretSeen(frozenset(data), version), data)

    def written(self, body: Mapping[str, Any]) -> None:
        """Store the reply to our own status write, which may be newer than the last watch event.

        It is ignored if the object was deleted meanwhile.
        """
        key = (body["metadata"]["namespace"], body["metadata"]["name"])
        known = self._entries["sessions"].get(key)
        if known is not None and known.uid == body["metadata"].get("uid", ""):
            self._put("sessions", key, body)

    def resync(
        self, kind: Kind, listed: Iterable[Mapping[str, Any]], known_before: frozenset[Key]
    ) -> int:
        """Remove objects that were known before the list was requested and are not on it.

        Returns how many were removed.
        """
        bodies = {
            (body["metadata"].get("namespace", ""), body["metadata"]["name"]): body
            for body in listed
        }
        gone = [key for key in known_before if key not in bodies and key in self._entries[kind]]
        for key in gone:
            del self._entries[kind][key]
        for body in bodies.values():
            self.on_event(kind, None, body)
        if gone:
            self._on_change()
        return len(gone)

    def keys(self, kind: Kind) -> frozenset[Key]:
        """Return the known objects of a kind."""
        return frozenset(self._entries[kind])

    def clear(self, kind: Kind, key: Key, uid: str) -> None:
        """Remove an object that the API server does not have any more."""
        known = self._entries[kind].get(key)
        if known is not None and known.uid == uid:
            del self._entries[kind][key]
            self._on_change()

    def resources(self) -> tuple[Resource, ...]:
        """Return every VtuberSession."""
        return tuple(entry.value for entry in self._entries["sessions"].values())

    def live_pods(self) -> dict[str, int]:
        """Return live pods by name, with the Unix ms since when they are Ready."""
        return {
            name: entry.value
            for (_, name), entry in self._entries["pods"].items()
            if entry.value is not None
        }

    def secrets(self) -> dict[Key, SecretSeen]:
        """Return labelled Secrets without their values."""
        return {key: entry.value.seen for key, entry in self._entries["secrets"].items()}

    def secret_value(self, namespace: str, name: str, key: str) -> str | None:
        """Return one value in base64; only for the managed Secret."""
        entry = self._entries["secrets"].get((namespace, name))
        return entry.value.data.get(key) if entry is not None else None
