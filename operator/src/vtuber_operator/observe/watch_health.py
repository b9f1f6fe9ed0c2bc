"""Tracks whether the watches of kopf are established and still running.

kopf does not report this, so the responses to its requests are observed: a list request, then a
watch request, repeated as long as the watch runs.
"""

import threading
import time
from collections.abc import Callable, Iterable


class WatchHealth:
    """State of the watches of these API paths.

    kopf's thread reports responses and other threads read the state, so a lock guards it.
    """

    def __init__(
        self,
        paths: Iterable[str],
        *,
        on_relist: Callable[[], None],
        on_established: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Both callbacks are called in the thread of the watches."""
        self._lock = threading.Lock()
        self._clock = clock
        self._paths = frozenset(paths)
        self._watched: dict[str, float] = {}
        self._began = clock()
        self._on_relist, self._on_established = on_relist, on_established

    def answered(self, path: str, status: int, watch: bool) -> None:
        """Record a response of the API server to kopf."""
        if path not in self._paths or status != 200:
            return
        with self._lock:
            again = path in self._watched
            if watch:
                self._watched[path] = self._clock()
        # A list after the first watch: the watch has restarted and may have missed deletions.
        if not watch and again:
            self._on_relist()
        if watch and not again and self.established:
            self._on_established()

    def restarted(self) -> None:
        """Record that kopf restarts: no watch is established."""
        with self._lock:
            self._watched.clear()
            self._began = self._clock()

    @property
    def missing(self) -> tuple[str, ...]:
        """Paths whose watch has not begun."""
        with self._lock:
            return tuple(sorted(self._paths - self._watched.keys()))

    @property
    def established(self) -> bool:
        """Whether all paths are listed and watched."""
        return not self.missing

    def silent_s(self) -> float:
        """Return seconds since the last watch response of the path that has waited longest."""
        with self._lock:
            return self._clock() - min(
                (self._watched.get(path, self._began) for path in self._paths), default=self._began
            )
