"""Errors of the database.

    StoreClosed         a call came before `open` or after `close`
    UnusableDatabase    the file cannot be used; names the setting, the path and what to do
    └── NewerDatabase   a newer version wrote the file in a form that this one must not read
    Unstorable          SQLite cannot store this value
    NotABackup          the file to restore is not a backup of this database

What SQLite itself reports is an apsw.Error, for example a full disk (apsw.FullError).
"""

import apsw


class StoreClosed(RuntimeError):
    """The database is not open."""


class UnusableDatabase(ValueError):
    """The message names the setting, the path, the problem and what to do."""


class NewerDatabase(UnusableDatabase):
    """A newer version of the service wrote the file, and older ones must not read it."""


class Unstorable(apsw.Error):
    """SQLite cannot store or read this value, for example a text with half of a surrogate pair."""


class NotABackup(ValueError):
    """The file to restore is damaged, of another service, or of a newer version."""
