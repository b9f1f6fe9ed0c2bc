"""Writes down which tests of a run failed, for `.ci/run`, which runs those once more.

With TEST_OUTCOMES set, each pytest session appends lines to that file: `began <id>`, `failed <test>` and `ended <id> <status>`. A session
that began and has not ended was cut off; a status other than 0 and 1 is no failed test but a run that did not take place.
"""

import os
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

VARIABLE: Final = "TEST_OUTCOMES"
RAN: Final = frozenset((pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED))


class Recorder:
    """A pytest plugin for the process that reports; its workers tell it."""

    def __init__(self, file: Path) -> None:
        self._file, self._session = file, uuid.uuid4().hex[:8]
        self._failed: set[str] = set()

    def pytest_sessionstart(self) -> None:
        """From now on a missing end is a crash."""
        self._add(f"began {self._session}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Each test once, whichever of its parts failed."""
        # xdist appends a test's group to its name, which is no name to run it by. A parameter may
        # hold an @, too.
        name, at, group = report.nodeid.rpartition("@")
        name = name if at and "]" not in group else report.nodeid
        if report.failed and name not in self._failed:
            self._failed.add(name)
            self._add(f"failed {name}")

    # Last: conftests may end a session otherwise than its tests did.
    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """The run took place."""
        self._add(f"ended {self._session} {int(exitstatus)}")

    def _add(self, line: str) -> None:
        with self._file.open("a") as file:
            file.write(line + "\n")


@dataclass(slots=True)
class Outcomes:
    """What a file of sessions says.

    Tests that failed, and sessions that did not take place as a whole.
    """

    failed: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def read(text: str) -> Outcomes:
    """Of all sessions in the file."""
    found, open_sessions = Outcomes(), set[str]()
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "began":
            open_sessions.add(rest)
        elif kind == "failed" and rest not in found.failed:
            found.failed.append(rest)
        elif kind == "ended":
            session, _, status = rest.partition(" ")
            open_sessions.discard(session)
            if int(status) not in RAN:
                found.broken.append(f"session {session} ended with status {status}")
    found.broken += [f"session {session} was cut off" for session in sorted(open_sessions)]
    return found


def pytest_configure(config: pytest.Config) -> None:
    """Record, where somebody asks for it."""
    if (file := os.environ.get(VARIABLE)) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(Path(file)), "outcomes")
