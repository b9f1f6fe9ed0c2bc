"""State of the watches, derived from the replies to kopf's requests.

kopf itself does not report whether its watches are established and continue.
"""

import threading
import time
from collections.abc import Callable, Iterable


class WatchHealth:
    """Records which resources are listed and watched, and when each watch was last renewed.

    It is called from kopf's thread and read from the main thread, so a lock guards it.
    """

    def __init__(
        self, paths: Iterable[str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._paths = frozenset(paths)
        self._watched: dict[str, float] = {}
        self._began = clock()
        self.on_relist: Callable[[], None] = lambda: None
        self.on_established: Callable[[], None] = lambda: None

    def answered(self, path: str, status: int, *, watch: bool) -> None:
        """Record a reply of the API server to a request of kopf."""
        if path not in self._paths or status != 200:
            return
        with self._lock:
            again = path in self._watched
            if watch:
                self._watched[path] = self._clock()
        # A list after the first watch: the watch had to start again, and deletions in between were
        # not reported.
        if not watch and again:
            self.on_relist()
        if watch and not again and self.established:
            self.on_established()

    def restarted(self) -> None:
        """Reset the state, because kopf is restarted."""
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
        """Return the seconds since the renewal of the watch that was renewed longest ago."""
        with self._lock:
            return self._clock() - min(
                (self._watched.get(path, self._began) for path in self._paths), default=self._began
            )
