"""Persona and language model of each session.

They come from the session's document, and from the service's settings where it says nothing.
"""

from dataclasses import dataclass

from dialog_contracts.session_document import Persona, SessionLlm
from dialog_flags.flag_documents import FlagDocuments
from dialog_llm import factory
from dialog_llm.fallback import FallbackLlm
from dialog_llm.provider import GenerationOptions, LlmProvider
from dialog_llm.settings import LlmSettings
from dialog_providers.secret_files import SecretFiles
from dialog_providers.session_cache import SessionProviderCache
from dialog_telemetry import metrics


@dataclass(frozen=True, slots=True)
class SessionModel:
    """Persona, language model and limits of a turn.

    `lang` is a BCP 47 tag for texts that do not show their language.
    """

    instructions: str
    lang: str
    llm: LlmProvider
    options: GenerationOptions


class SessionModels:
    """Resolves the session model; `for_session` is called once per turn."""

    def __init__(
        self, settings: LlmSettings, documents: FlagDocuments, own: LlmProvider | None = None
    ) -> None:
        self._settings, self._documents = settings, documents
        self._keys = SecretFiles(settings.session_keys_dir)
        absent = factory.unconfigured(settings) if own is None else {}
        self.default = FallbackLlm.from_providers(
            own or factory.build_default(settings), absent=absent
        )
        self._providers: SessionProviderCache[SessionLlm, LlmProvider] = SessionProviderCache(
            self.default,
            make=lambda wanted, key: factory.build_for_session(wanted, settings, key),
            chain=FallbackLlm,
            keys=self._keys,
            fell_through=metrics.LLM_FALLBACKS,
        )

    def for_session(self, session_id: str) -> SessionModel:
        """Return the session's model by its current document."""
        document = self._documents.find(session_id)
        persona = (document.persona if document is not None else None) or Persona()
        wanted = document.llm if document is not None else None
        settings = self._settings
        return SessionModel(
            instructions=persona.instructions or settings.persona,
            lang=persona.lang or settings.default_lang,
            llm=self._providers.get(wanted),
            options=GenerationOptions(
                max_tokens=(wanted.max_tokens if wanted is not None else None)
                or settings.llm_max_tokens,
                temperature=wanted.temperature
                if wanted is not None and wanted.temperature is not None
                else settings.llm_temperature,
                idle_gap_s=settings.llm_idle_gap_s,
                wall_clock_s=settings.llm_wall_clock_s,
                thinking_s=settings.llm_thinking_s,
                stop=("观众：", "Viewer:"),
            ),
        )

    def missing_keys(self) -> list[str]:
        """Return the key files of documents' language models that are not mounted yet."""
        return self._keys.missing(
            document.llm.api_key_file for document in self._documents if document.llm is not None
        )

    async def aclose(self) -> None:
        """Close all language models."""
        await self._providers.aclose()
        await self.default.aclose()
