"""Whether the watches are established, and go on. kopf does not tell; the answers to its requests do."""

import threading
import time
from collections.abc import Callable, Iterable


class WatchHealth:
    """Which resources have been listed and are watched, and since when nothing was heard of each.

    Called from kopf's thread and read from the other: guarded by a lock.
    """

    def __init__(
        self,
        paths: Iterable[str],
        *,
        on_relist: Callable[[], None],
        on_established: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Both callbacks are called from the thread of the watches."""
        self._lock = threading.Lock()
        self._clock = clock
        self._paths = frozenset(paths)
        self._watched: dict[str, float] = {}
        self._began = clock()
        self._on_relist, self._on_established = on_relist, on_established

    def answered(self, path: str, status: int, watch: bool) -> None:
        """The API server answered a request of kopf's."""
        if path not in self._paths or status != 200:
            return
        with self._lock:
            again = path in self._watched
            if watch:
                self._watched[path] = self._clock()
        # A list after the first watch: the watch had to begin anew, and what was deleted in between was not told.
        if not watch and again:
            self._on_relist()
        if watch and not again and self.established:
            self._on_established()

    def restarted(self) -> None:
        """Kopf is started anew: nothing is established yet."""
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
        """Whether everything is listed and watched."""
        return not self.missing

    def silent_s(self) -> float:
        """Seconds since the watch that was begun anew the longest ago."""
        with self._lock:
            return self._clock() - min(
                (self._watched.get(path, self._began) for path in self._paths), default=self._began
            )
