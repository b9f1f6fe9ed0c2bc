"""The flag documents that a pod uses.

They are replaced as a whole: code that reads within one step of the event loop sees one revision.
"""

from collections.abc import Iterator
from typing import Literal

from dialog_contracts.http import FlagSet
from dialog_contracts.session_document import EVERY_SESSION, FlagTable, SessionDocument

Origin = Literal["environment", "file", "redis"]


class FlagDocuments:
    """Holds the operator's documents.

    It starts empty, and then the flags of the environment apply.
    """

    def __init__(self) -> None:
        self._by_session: dict[str, SessionDocument] = {}
        self.revision = 0
        self.origin: Origin = "environment"

    def replace(self, table: FlagTable, origin: Origin) -> None:
        """Use `table` from now on."""
        self._by_session = {document.session_id: document for document in table.documents}
        self.revision, self.origin = table.revision, origin

    def find(self, session_id: str) -> SessionDocument | None:
        """Return the session's own document, else the one for every session, else None."""
        return self._by_session.get(session_id) or self._by_session.get(EVERY_SESSION)

    def document_for(self) -> dict[str, SessionDocument]:
        """Return all documents by sessionId; callers must not change the result."""
        return self._by_session

    def __iter__(self) -> Iterator[SessionDocument]:
        return iter(self._by_session.values())

    def effective(self, environment: FlagSet) -> list[FlagSet]:
        """Return every flag set that some session may have.

        These are the documents' flags, and the environment's while no document covers the other
        sessions.
        """
        sets = [document.flags for document in self]
        return sets if EVERY_SESSION in self._by_session else [*sets, environment]

    def state(self) -> dict[str, object]:
        """Return the state for `/readyz`.

        It contains the source of the documents, the revision in use, the newest generation in it
        and the number of documents.
        """
        newest = max((document.flags.generation for document in self), default=0)
        return {
            "origin": self.origin,
            "revision": self.revision,
            "generation": newest,
            "documents": len(self._by_session),
        }
