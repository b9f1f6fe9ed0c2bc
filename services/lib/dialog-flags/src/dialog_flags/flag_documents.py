"""The documents a pod goes by, replaced as a whole: whoever reads in one step of the event loop reads one revision."""

from collections.abc import Iterator
from typing import Literal

from dialog_contracts.http import FlagSet
from dialog_contracts.session_document import EVERY_SESSION, FlagTable, SessionDocument

Origin = Literal["environment", "file", "redis"]


class FlagDocuments:
    """Starts empty (the environment decides), then holds what the operator wrote."""

    def __init__(self) -> None:
        self._by_session: dict[str, SessionDocument] = {}
        self.revision = 0
        self.origin: Origin = "environment"

    def replace(self, table: FlagTable, origin: Origin) -> None:
        """Go by `table` from now on."""
        self._by_session = {document.session_id: document for document in table.documents}
        self.revision, self.origin = table.revision, origin

    def find(self, session_id: str) -> SessionDocument | None:
        """The session's own document, else the one for every session, else None."""
        return self._by_session.get(session_id) or self._by_session.get(EVERY_SESSION)

    def by_session_id(self) -> dict[str, SessionDocument]:
        """All of them, by sessionId; not to be changed."""
        return self._by_session

    def __iter__(self) -> Iterator[SessionDocument]:
        return iter(self._by_session.values())

    def effective(self, environment: FlagSet) -> list[FlagSet]:
        """Every flag set that some session may have: the documents', and the environment's while no document covers the rest."""
        sets = [document.flags for document in self]
        return sets if EVERY_SESSION in self._by_session else [*sets, environment]

    def state(self) -> dict[str, object]:
        """For `/readyz`: where the documents come from, the revision acknowledged, and the newest generation in it."""
        newest = max((document.flags.generation for document in self), default=0)
        return {
            "origin": self.origin,
            "revision": self.revision,
            "generation": newest,
            "documents": len(self._by_session),
        }
