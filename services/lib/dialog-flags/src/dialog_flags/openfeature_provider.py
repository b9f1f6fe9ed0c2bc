"""The flag documents as an OpenFeature provider.

Resolution is local to this process and uses the last documents that arrived.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import FlagNotFoundError
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata

from dialog_contracts.http import FlagSet
from dialog_flags.flag_documents import FlagDocuments
from dialog_flags.flags import Flag

NAMES: Final = frozenset(Flag)
GENERATION: Final = "generation"
DOCUMENT: Final = "document"


class DocumentProvider(AbstractProvider):
    """Resolves booleans by flag name; the targeting key is the sessionId.

    `flag_metadata` has the `generation` of the document that the value comes from, and its session
    as `document`, `*` for every session.
    """

    def __init__(self, documents: FlagDocuments, environment: FlagSet) -> None:
        super().__init__()
        self._documents, self._environment = documents, environment

    def get_metadata(self) -> Metadata:
        """Return the provider's name."""
        return Metadata("vtuber-session-documents")

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """Return the flag's value for the session in the context.

        Without a document it is the environment's value. Raises FlagNotFoundError for an unknown
        flag.
        """
        if flag_key not in NAMES:
            raise FlagNotFoundError(f"{flag_key} is none of {', '.join(Flag)}")
        session_id = evaluation_context.targeting_key if evaluation_context is not None else None
        document = self._documents.find(session_id or "")
        flags, reason = (
            (document.flags, Reason.TARGETING_MATCH)
            if document is not None
            else (self._environment, Reason.DEFAULT)
        )
        value = bool(getattr(flags, flag_key))
        return FlagResolutionDetails(
            value=value,
            reason=reason,
            variant="on" if value else "off",
            flag_metadata={
                GENERATION: flags.generation,
                **({DOCUMENT: document.session_id} if document is not None else {}),
            },
        )

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """Raise FlagNotFoundError: there are no string flags."""
        _only_booleans(flag_key)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """Raise FlagNotFoundError: there are no integer flags."""
        _only_booleans(flag_key)

    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[float]:
        """Raise FlagNotFoundError: there are no float flags."""
        _only_booleans(flag_key)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """Raise FlagNotFoundError: there are no object flags."""
        _only_booleans(flag_key)


def _only_booleans(flag_key: str) -> NoReturn:
    raise FlagNotFoundError(f"{flag_key}: all flags are booleans")
