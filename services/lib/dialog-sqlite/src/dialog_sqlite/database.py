"""One SQLite file of a service, and the thread that owns its only connection.

SQLite calls block, so a thread executes them in the order of the calls. Each write is a function
that gets the connection; it runs within a transaction and is durable when `write` returns. Writes
that wait at the same time share one transaction (group commit), because the disk's flush costs
milliseconds and is the same for one write or fifty. Each write has a savepoint of its own: one that
fails is undone and reported alone. If SQLite rolls back the whole transaction, as on a full disk,
every write of the group fails. A caller that is cancelled leaves nothing half written.

The thread checkpoints the WAL between writes and not within a commit, so a commit takes one flush.

After an error of the disk `failing` has the reason. Until a commit succeeds again, the thread tries
an empty one each second, so that the service becomes ready by itself when the disk has space.

A backup copies pages between the writes, and SQLite keeps it consistent with writes of the same
connection. A restore replaces all pages in one transaction.
"""

import asyncio
import os
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import apsw
import structlog

from dialog_sqlite import connection
from dialog_sqlite.errors import NewerDatabase, NotABackup, StoreClosed, Unstorable
from dialog_telemetry import metrics

T = TypeVar("T")
log = structlog.get_logger("database")

MAX_GROUP: Final = 64
"""Number of writes in one transaction; it bounds how long each of them waits for the others."""

CHECKPOINT_PAGES: Final = 1_000
"""Pages in the WAL from which it is checkpointed as soon as no call waits (4 MB)."""

MAX_WAL_PAGES: Final = 8_000
"""Pages in the WAL from which it is checkpointed although calls wait."""

PROBE_INTERVAL_S: Final = 1.0
MIN_FREE_BYTES: Final = 1024 * 1024
BACKUP_PAGES: Final = 256
"""Pages that a backup copies at once between other calls (1 MB, about a millisecond)."""

_DISK_ERRORS: Final = (apsw.FullError, apsw.IOError, apsw.ReadOnlyError, apsw.CorruptError)


@dataclass(slots=True)
class _Call:
    """A call that waits for the thread. `group`: it writes and may share a transaction."""

    work: Callable[[apsw.Connection], Any]
    result: "asyncio.Future[Any]"
    group: bool


@dataclass(slots=True)
class _Outcome:
    call: _Call
    value: Any = None
    error: BaseException | None = None


class _GroupUndone(Exception):
    """SQLite has rolled back the whole transaction; `cause` is the error of the write."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(repr(cause))
        self.cause = cause


class Database:
    """Async interface of the thread. Every method may raise apsw.Error or StoreClosed.

    `migrations` is the folder with the numbered SQL files. `name` is a label in metrics.
    """

    def __init__(
        self, path: Path, migrations: Traversable, *, name: str, vfs: str | None = None
    ) -> None:
        self.path = path
        self.migrations, self._name, self._vfs = migrations, name, vfs
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wal_pages = 0
        self._failing: str | None = None
        self._copy: apsw.Backup | None = None
        self._copying: asyncio.Future[None] | None = None

    @property
    def failing(self) -> str | None:
        """Why the last commit failed, or None."""
        return self._failing

    async def open(self) -> None:
        """Start the thread, open or create the file, and run missing migrations.

        Raises RuntimeError for an SQLite that can lose commits, NewerDatabase, UnusableDatabase,
        apsw.Error and OSError.
        """
        connection.require_sqlite_version()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(
            target=self._serve, args=(opened,), name=f"sqlite-{self._name}", daemon=True
        )
        self._thread.start()
        try:
            await opened
        except BaseException:
            self._thread = None
            raise

    async def close(self) -> None:
        """Finish waiting calls, checkpoint, and close the file."""
        if self._thread is not None:
            thread, self._thread = self._thread, None
            self._calls.put(None)
            await asyncio.to_thread(thread.join)

    async def write(self, work: Callable[[apsw.Connection], T]) -> T:
        """Execute `work` in a transaction; its changes are durable when this returns.

        `work` may run twice: what it does besides SQL must not matter.
        """
        return await self._call(work, group=True)

    async def read(self, work: Callable[[apsw.Connection], T]) -> T:
        """Execute `work` after all earlier writes."""
        return await self._call(work, group=False)

    async def backup(self, target: Path) -> None:
        """Copy the database to a new file while other calls continue.

        Raises FileExistsError if the file exists or a backup is running, and apsw.Error.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def begin(db: apsw.Connection) -> None:
            if self._copy is not None:
                raise FileExistsError("a backup is already running")
            if target.exists():
                raise FileExistsError(f"{target} exists")
            # Another file system call of the thread: the target is on a disk that may be full.
            copy = apsw.Connection(str(target))
            self._copy, self._copying = copy.backup("main", db, "main"), done

        await self.read(begin)
        await done

    async def restore(self, source: Path) -> None:
        """Replace the whole content by that of a backup, in one transaction.

        Raises NotABackup if the file is damaged, not a backup of this service, or of a newer
        version; the content is then unchanged.
        """

        def work(db: apsw.Connection) -> None:
            if self._copy is not None:
                raise FileExistsError("a backup is running")
            self._check_backup(source)
            other = _open_backup(source)
            try:
                with db.backup("main", other, "main") as copy:
                    copy.step(-1)
            finally:
                other.close()
            connection.migrate(db, self.migrations, self.path)

        await self.read(work)

    def _check_backup(self, source: Path) -> None:
        try:
            other = _open_backup(source)
        except apsw.CantOpenError as error:
            raise NotABackup(f"{source.name} cannot be read: {error}") from error
        try:
            found = [str(row[0]) for row in other.execute("PRAGMA quick_check(3)")]
            if found != ["ok"]:
                raise NotABackup(f"{source.name} is damaged: {'; '.join(found)[:200]}")
            version = connection.user_version(other)
            newest = max(connection.migration_files(self.migrations), default=0)
            if not version or connection.min_reader(other) > newest:
                raise NotABackup(
                    f"{source.name} has schema {version}, and this version knows 1 to {newest}"
                )
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise NotABackup(f"{source.name} is not an SQLite database: {error}") from error
        finally:
            other.close()

    async def _call(self, work: Callable[[apsw.Connection], T], *, group: bool) -> T:
        if self._thread is None:
            raise StoreClosed("the database is closed")
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._calls.put(_Call(work, result, group))
        return await result

    def _serve(self, opened: "asyncio.Future[None]") -> None:
        try:
            db = connection.connect(self.path, self.migrations, vfs=self._vfs)
        except (apsw.Error, OSError, ValueError) as error:
            self._report([(opened, None, error)])
            return
        # The hook replaces SQLite's own checkpoints, which would run within a commit.
        db.set_wal_hook(self._note_wal_pages)
        self._report([(opened, None, None)])
        try:
            self._execute_calls(db)
        finally:
            self._end_backup(StoreClosed("the database is closed"))
            try:
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                db.close()
            except apsw.Error as error:
                # The commits are in the WAL, which the next start reads.
                log.warning("database_closed_badly", database=self._name, error=repr(error)[:200])
                with suppress(apsw.Error):
                    db.close(True)

    def _note_wal_pages(self, _db: apsw.Connection, _schema: str, pages: int) -> int:
        self._wal_pages = pages
        return 0

    def _execute_calls(self, db: apsw.Connection) -> None:
        held: _Call | None = None
        while True:
            try:
                call = held or self._next_call()
            except queue.Empty:
                self._while_idle(db)
                continue
            held = None
            if call is None:
                return
            if not call.group:
                self._resolve([_run_alone(db, call)])
                continue
            group, ends = [call], False
            while len(group) < MAX_GROUP:
                try:
                    following = self._calls.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    ends = True
                    break
                if not following.group:
                    held = following
                    break
                group.append(following)
            self._commit(db, group)
            if self._copy is not None:
                self._continue_backup()
            if self._wal_pages >= MAX_WAL_PAGES:
                self._checkpoint(db)
            if ends:
                return

    def _next_call(self) -> _Call | None:
        """Return the next call, None at the end. Raises queue.Empty when there is other work."""
        if self._copy is not None or self._wal_pages >= CHECKPOINT_PAGES:
            return self._calls.get_nowait()
        return self._calls.get(timeout=PROBE_INTERVAL_S if self._failing else None)

    def _while_idle(self, db: apsw.Connection) -> None:
        if self._copy is not None:
            self._continue_backup()
        elif self._wal_pages >= CHECKPOINT_PAGES:
            self._checkpoint(db)
        if self._failing:
            self._probe(db)

    def _commit(self, db: apsw.Connection, group: Sequence[_Call]) -> None:
        outcomes: list[_Outcome] = []
        try:
            db.execute("BEGIN IMMEDIATE")
            outcomes.extend(_run_in_group(db, call) for call in group)
            db.execute("COMMIT")
        except (apsw.Error, _GroupUndone) as failed:
            error = failed.cause if isinstance(failed, _GroupUndone) else failed
            if db.in_transaction:
                with suppress(apsw.Error):
                    db.execute("ROLLBACK")
            self._note_failure(error)
            outcomes = [_Outcome(call, error=error) for call in group]
        else:
            metrics.DATABASE_TRANSACTIONS.labels(database=self._name).inc()
            metrics.DATABASE_WRITES.labels(database=self._name).inc(len(group))
            if self._failing is not None:
                log.info("database_available", database=self._name)
                self._failing = None
        self._resolve(outcomes)

    def _note_failure(self, error: Exception) -> None:
        metrics.DATABASE_FAILURES.labels(database=self._name, error=type(error).__name__).inc()
        if isinstance(error, _DISK_ERRORS):
            if self._failing is None:
                log.error("database_failing", database=self._name, error=repr(error)[:200])
            self._failing = f"{type(error).__name__}: {error}"[:200]

    def _probe(self, db: apsw.Connection) -> None:
        try:
            free = os.statvfs(self.path.parent)
            if free.f_bavail * free.f_frsize < MIN_FREE_BYTES:
                return
            # The same value is written again: one page and one flush.
            db.execute(f"PRAGMA user_version={connection.user_version(db)}")
        except (apsw.Error, OSError):
            return
        log.info("database_available", database=self._name)
        self._failing = None

    def _checkpoint(self, db: apsw.Connection) -> None:
        try:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except apsw.Error as error:
            self._note_failure(error)
        # Also after an error: the next commit counts the pages again.
        self._wal_pages = 0

    def _continue_backup(self) -> None:
        assert self._copy is not None
        try:
            self._copy.step(BACKUP_PAGES)
        except apsw.Error as error:
            self._end_backup(error)
            return
        if self._copy.done:
            self._end_backup(None)

    def _end_backup(self, error: BaseException | None) -> None:
        if self._copy is None or self._copying is None:
            return
        copy, done = self._copy, self._copying
        self._copy = self._copying = None
        try:
            copy.finish()
        except apsw.Error as failed:
            error = error or failed
        self._report([(done, None, error)])

    def _resolve(self, outcomes: Sequence[_Outcome]) -> None:
        self._report([(each.call.result, each.value, each.error) for each in outcomes])

    def _report(
        self, results: Sequence[tuple["asyncio.Future[Any]", Any, BaseException | None]]
    ) -> None:
        assert self._loop is not None
        # The loop is closed when the process ends without `close`: no caller is left then.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(_set_results, results)


def _open_backup(source: Path) -> apsw.Connection:
    """Open a file that no process writes: SQLite then makes no files of its own beside it."""
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return apsw.Connection(f"file:{quote(str(source))}?immutable=1", flags=flags)


def _run_alone(db: apsw.Connection, call: _Call) -> _Outcome:
    try:
        return _Outcome(call, call.work(db))
    # The thread serves all callers: whatever one call raises belongs to that call.
    except Exception as error:  # noqa: BLE001
        return _Outcome(call, error=_typed(error))


def _run_in_group(db: apsw.Connection, call: _Call) -> _Outcome:
    """Execute one write within the group's transaction.

    Raises _GroupUndone if SQLite has rolled back the whole transaction.
    """
    db.execute("SAVEPOINT call")
    try:
        value = call.work(db)
    # As above: the error belongs to this call, and the others continue.
    except Exception as error:
        if not db.in_transaction:
            raise _GroupUndone(_typed(error)) from error
        db.execute("ROLLBACK TO call")
        db.execute("RELEASE call")
        return _Outcome(call, error=_typed(error))
    db.execute("RELEASE call")
    return _Outcome(call, value)


def _typed(error: Exception) -> Exception:
    if isinstance(error, apsw.Error | NewerDatabase | NotABackup | OSError):
        return error
    if isinstance(error, ValueError | TypeError | OverflowError):
        return Unstorable(repr(error))
    return error


def _set_results(
    results: Sequence[tuple["asyncio.Future[Any]", Any, BaseException | None]],
) -> None:
    for future, value, error in results:
        if future.done():
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
