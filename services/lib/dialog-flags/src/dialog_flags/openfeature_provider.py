"""Our provider behind OpenFeature's interface: local, in this process, and as of the last document that arrived."""

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


class DocumentProvider(AbstractProvider):
    """Booleans by flag name; the targeting key is the sessionId. `flag_metadata["generation"]` says which document spoke."""

    def __init__(self, documents: FlagDocuments, environment: FlagSet) -> None:
        super().__init__()
        self._documents, self._environment = documents, environment

    def get_metadata(self) -> Metadata:
        """The provider's name."""
        return Metadata("vtuber-session-documents")

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """The flag's value for the session in the context; without a document, the environment's."""
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
            flag_metadata={GENERATION: flags.generation},
        )

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """There are none."""
        _only_booleans(flag_key)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """There are none."""
        _only_booleans(flag_key)

    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[float]:
        """There are none."""
        _only_booleans(flag_key)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """There are none."""
        _only_booleans(flag_key)


def _only_booleans(flag_key: str) -> NoReturn:
    raise FlagNotFoundError(f"{flag_key}: all flags are booleans")
