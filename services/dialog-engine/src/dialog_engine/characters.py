"""Who speaks in a session: persona, language model and voice of its document, and the engine's own where the document says nothing."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

import structlog

from dialog_contracts.session_document import Persona, SessionLlm, SessionVoice
from dialog_engine import providers
from dialog_engine.settings import EngineSettings
from dialog_flags.documents import Documents
from dialog_llm.chain import LlmChain
from dialog_llm.provider import GenerationOptions, LlmProvider
from dialog_telemetry import metrics
from dialog_voice.chain import VoiceChain
from dialog_voice.voice import Voice
from service_runtime.tasks import TaskOwner

log = structlog.get_logger("characters")

KEPT: Final = 32
"""Language models, and voices, of documents that are kept open."""

RETIRED_AFTER_S: Final = 120.0
"""A provider that no document needs any more may still be in the middle of a turn for so long."""


class Closable(Protocol):
    """What can be kept."""

    async def aclose(self) -> None:
        """Free its connections."""
        ...


K = TypeVar("K")
P = TypeVar("P", bound=Closable)


@dataclass(frozen=True, slots=True)
class Character:
    """All a turn takes from its session's document."""

    instructions: str
    lang: str
    llm: LlmProvider
    voice: Voice
    options: GenerationOptions


class Characters:
    """`of` is asked once a turn. Providers are made at first use and shared by all sessions that ask for the same."""

    def __init__(self, settings: EngineSettings, documents: Documents, llm: LlmProvider, voice: Voice) -> None:
        self._settings, self._documents, self._llm, self._voice = settings, documents, llm, voice
        self._tasks = TaskOwner()
        self._llms: Kept[SessionLlm, LlmProvider] = Kept(self._tasks)
        self._voices: Kept[SessionVoice, Voice] = Kept(self._tasks)

    def of(self, session_id: str) -> Character:
        """The session's character as of now."""
        document = self._documents.find(session_id)
        persona = (document.persona if document is not None else None) or Persona()
        wanted = document.llm if document is not None else None
        options = GenerationOptions(
            max_tokens=(wanted.max_tokens if wanted is not None else None) or self._settings.llm_max_tokens,
            temperature=wanted.temperature
            if wanted is not None and wanted.temperature is not None
            else self._settings.llm_temperature,
            idle_gap_s=self._settings.llm_idle_gap_s,
            wall_clock_s=self._settings.llm_wall_clock_s,
            stop=("观众：", "Viewer:"),
        )
        return Character(
            instructions=persona.instructions or self._settings.persona,
            lang=persona.lang or self._settings.default_lang,
            llm=self._llm if wanted is None else self._session_llm(wanted),
            voice=self._voice if document is None or document.voice is None else self._session_voice(document.voice),
            options=options,
        )

    def missing_keys(self) -> list[str]:
        """Key files that documents name and that are not mounted (yet); the kubelet needs up to a minute and a half."""
        named = {
            part.api_key_file for document in self._documents for part in (document.llm, document.voice) if part is not None
        }
        return sorted(name for name in named if name is not None and self._key(name) is None)

    async def aclose(self) -> None:
        """Close what documents asked for; the engine's own are their owner's."""
        await self._tasks.close()
        await self._llms.aclose()
        await self._voices.aclose()

    def _session_llm(self, wanted: SessionLlm) -> LlmProvider:
        key = self._key(wanted.api_key_file)
        if wanted.api_key_file is not None and key is None:
            metrics.LLM_FELL_THROUGH.labels(provider=wanted.provider, reason="key_missing").inc()
            log.warning("session_key_missing", file=wanted.api_key_file)
            return self._llm
        # The engine's own model stands behind the session's: a key that ran out must not leave the character without a word.
        return self._llms.get(
            wanted, lambda: providers.session_llm(wanted, self._settings, key), lambda own: LlmChain([own, self._llm])
        )

    def _session_voice(self, wanted: SessionVoice) -> Voice:
        key = self._key(wanted.api_key_file)
        if wanted.api_key_file is not None and key is None:
            metrics.VOICE_FELL_THROUGH.labels(provider=wanted.provider, reason="key_missing").inc()
            log.warning("session_key_missing", file=wanted.api_key_file)
            return self._voice
        return self._voices.get(
            wanted, lambda: providers.session_voice(wanted, self._settings, key), lambda own: VoiceChain([own, self._voice])
        )

    def _key(self, name: str | None) -> str | None:
        folder = self._settings.session_keys_dir
        if name is None or folder is None:
            return None
        try:
            # The name's pattern has no separator, so it cannot lead out of the folder.
            return Path(folder / name).read_text().strip() or None
        except OSError:
            return None


class Kept(Generic[K, P]):
    """The most recently used providers, each behind its chain; one that falls out is closed once no turn can be using it."""

    def __init__(self, tasks: TaskOwner) -> None:
        self._tasks = tasks
        self._items: OrderedDict[K, tuple[P, P]] = OrderedDict()

    def get(self, key: K, make: Callable[[], P], chain: Callable[[P], P]) -> P:
        """The chain under `key`, made if need be."""
        if key not in self._items:
            own = make()
            self._items[key] = (own, chain(own))
        self._items.move_to_end(key)
        while len(self._items) > KEPT:
            _, (retired, _) = self._items.popitem(last=False)
            self._tasks.start("retire", self._retire(retired))
        return self._items[key][1]

    async def aclose(self) -> None:
        """Close what was made here; what the chains share with others stays open."""
        await asyncio.gather(*(own.aclose() for own, _ in self._items.values()))

    @staticmethod
    async def _retire(item: P) -> None:
        try:
            await asyncio.sleep(RETIRED_AFTER_S)
        finally:
            await item.aclose()
