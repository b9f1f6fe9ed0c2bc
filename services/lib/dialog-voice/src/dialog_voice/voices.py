"""Who speaks in a session: the voice of its document, and the service's own where the document says nothing."""

from dialog_contracts.session_document import SessionVoice
from dialog_flags.documents import Documents
from dialog_telemetry import metrics
from dialog_voice import language, making
from dialog_voice.chain import VoiceChain
from dialog_voice.settings import VoiceSettings
from dialog_voice.voice import Voice
from service_runtime.session_keys import SessionKeys
from service_runtime.session_providers import SessionProviders


class Voices:
    """`of` is asked once a turn."""

    def __init__(
        self, settings: VoiceSettings, documents: Documents, own: Voice | None = None
    ) -> None:
        self._settings, self._documents = settings, documents
        self._keys = SessionKeys(settings.session_keys_dir)
        self._reader = making.reader()
        means = making.Means(settings, self._reader)
        self.own = VoiceChain.of(own or making.own(means))
        self._voices: SessionProviders[SessionVoice, Voice] = SessionProviders(
            self.own,
            make=lambda wanted, key: making.of_session(wanted, means, key),
            chain=VoiceChain,
            keys=self._keys,
            fell_through=metrics.VOICE_FELL_THROUGH,
        )

    def of(self, session_id: str) -> Voice:
        """The session's voice as of now."""
        document = self._documents.find(session_id)
        return self._voices.of(document.voice if document is not None else None)

    def lang_of(self, session_id: str, text: str) -> str:
        """The language of a text that nobody named one for."""
        document = self._documents.find(session_id)
        persona = document.persona if document is not None else None
        return language.guess(
            text, (persona.lang if persona is not None else None) or self._settings.default_lang
        )

    def missing_keys(self) -> list[str]:
        """Key files that documents name for their voices and that are not mounted (yet)."""
        return self._keys.missing(
            document.voice.api_key_file
            for document in self._documents
            if document.voice is not None
        )

    async def warm(self) -> None:
        """Warm the service's own voices. A vendor is asked for no sound: most of them charge for it. Raises `AllVoicesFailed`."""
        await self.own.warm()

    async def aclose(self) -> None:
        """Close them all."""
        await self._voices.aclose()
        await self.own.aclose()
        await self._reader.aclose()
