"""Voice and language of each session.

They come from the session's document, and from the service's settings where it says nothing.
"""

from dialog_contracts.session_document import SessionVoice
from dialog_flags.flag_documents import FlagDocuments
from dialog_providers.secret_files import SecretFiles
from dialog_providers.session_cache import SessionProviderCache
from dialog_telemetry import metrics
from dialog_voice import factory
from dialog_voice.fallback import FallbackVoice
from dialog_voice.settings import VoiceSettings
from dialog_voice.text import language
from dialog_voice.voice import Voice


class SessionVoices:
    """Resolves a session's voice; `for_session` is called once per turn."""

    def __init__(
        self, settings: VoiceSettings, documents: FlagDocuments, own: Voice | None = None
    ) -> None:
        self._settings, self._documents = settings, documents
        self._keys = SecretFiles(settings.session_keys_dir)
        self._reference = factory.build_reference()
        means = factory.VoiceDependencies(settings, self._reference)
        self.default = FallbackVoice.from_voices(own or factory.build_default(means))
        self._voices: SessionProviderCache[SessionVoice, Voice] = SessionProviderCache(
            self.default,
            make=lambda wanted, key: factory.build_for_session(wanted, means, key),
            chain=FallbackVoice,
            keys=self._keys,
            fell_through=metrics.TTS_FALLBACKS,
        )

    def for_session(self, session_id: str) -> Voice:
        """Return the session's voice by its current document."""
        document = self._documents.find(session_id)
        return self._voices.get(document.voice if document is not None else None)

    def language_for(self, session_id: str, text: str) -> str:
        """Return the language of a text whose request names none."""
        document = self._documents.find(session_id)
        persona = document.persona if document is not None else None
        return language.detect(
            text, (persona.lang if persona is not None else None) or self._settings.default_lang
        )

    def missing_keys(self) -> list[str]:
        """Return the key files of documents' voices that are not mounted yet."""
        return self._keys.missing(
            document.voice.api_key_file
            for document in self._documents
            if document.voice is not None
        )

    async def warm(self) -> None:
        """Warm the service's own voices; raises `AllVoicesFailed`.

        Vendors that charge for speech are not asked to synthesize any.
        """
        await self.default.warm()

    async def aclose(self) -> None:
        """Close all voices."""
        await self._voices.aclose()
        await self.default.aclose()
        await self._reference.aclose()
