"""Voice for any server with OpenAI's `POST /audio/speech`.

Examples are OpenAI, Kokoro-FastAPI, vLLM-Omni and LocalAI. The request asks for raw PCM; other
formats are decoded where possible. The response has no word times: they are estimated by comparison
with a reference synthesis of the same text, and by the speaking rate of earlier fragments
(`dialog_voice.alignment`).
"""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dialog_providers import egress
from dialog_providers.egress import EgressRefused, EgressRules
from dialog_voice.alignment.delayed_output import DelayedAligner
from dialog_voice.alignment.reference_synthesis import ReferenceSynthesizer
from dialog_voice.alignment.segment import UnalignedSegment
from dialog_voice.alignment.speaking_rate import USUAL, SpeakingRate
from dialog_voice.audio.format_decoder import SoundStream
from dialog_voice.audio.mp3 import BadAudio
from dialog_voice.errors import ProviderError, Reason
from dialog_voice.text.language import detect
from dialog_voice.text.script_runs import speakable
from dialog_voice.voice import SAMPLE_RATE, VoiceAudio
from service_runtime.redact import host_of

if TYPE_CHECKING:
    import httpx

_ERROR_BODY_LIMIT: Final = 2_000
_RATE_MIN: Final = 8_000
_RATE_MAX: Final = 192_000


@dataclass(frozen=True, slots=True)
class OpenAiSpeechConfig:
    """One server, one key, one model, and a voice per language."""

    base_url: str
    """URL up to and including the version: https://api.openai.com/v1."""

    api_key: str = field(repr=False)

    model: str

    voice_en: str = "nova"
    voice_zh: str = "nova"

    instructions: str = ""
    """How to speak, in words; only for models that accept it."""

    speed: float = 1.0

    connect_timeout_s: float = 3.0
    first_audio_timeout_s: float = 4.0
    """Longest wait for the first sample, in seconds from the call."""

    idle_gap_s: float = 4.0
    """Longest time in seconds between two pieces."""

    proxy: str | None = None
    """URL of an HTTP proxy; proxies of the process environment are not used."""

    egress: EgressRules | None = None
    """Rules for an address that a session chose; None for the service's own."""


class OpenAiSpeechVoice:
    """A `Voice` with estimated words and mouth shapes.

    PCM of s16le, 24 kHz, mono is passed on, other audio is decoded. `reference` makes the estimates
    accurate; its creator closes it. Without it they follow the letters.
    """

    def __init__(
        self,
        config: OpenAiSpeechConfig,
        *,
        name: str = "openai",
        reference: ReferenceSynthesizer | None = None,
    ) -> None:
        self.name = name
        self.about = f"{config.model} at {host_of(config.base_url)}"
        self._config = config
        self._reference = reference
        self._client: httpx.AsyncClient | None = None
        self._rates: dict[str, SpeakingRate] = {}

    async def synthesize(self, text: str, lang: str) -> AsyncGenerator[VoiceAudio, None]:
        """Yield the audio: the beginning as it arrives, later parts when they are due.

        Raises `ProviderError`.
        """
        if not any(character.isalnum() for character in speakable(text)):
            return
        fragment = UnalignedSegment(
            text,
            self._rates.setdefault(detect(text, lang), SpeakingRate(USUAL * self._config.speed)),
        )
        held = DelayedAligner(fragment, self._reference)
        async with (
            aclosing(self._stream(text, lang)) as stream,
            aclosing(held.stream(stream, text, lang)) as pieces,
        ):
            async for piece in pieces:
                yield piece

    async def _stream(self, text: str, lang: str) -> AsyncGenerator[bytes, None]:
        """Yield whole samples as they arrive. Raises `ProviderError`."""
        import httpx

        deadline = asyncio.get_running_loop().time() + self._config.first_audio_timeout_s
        delivered = False
        try:
            response = await self._request(text, lang, deadline)
            try:
                await self._check(response, deadline)
                sound = SoundStream(pcm_rate=_rate_of(response.headers.get("content-type", "")))
                pieces = response.aiter_bytes()
                while True:
                    async with asyncio.timeout_at(deadline):
                        piece = await anext(pieces, None)
                    if piece is None:
                        break
                    if pcm := sound.push(piece):
                        delivered = True
                        yield pcm
                    deadline = asyncio.get_running_loop().time() + self._config.idle_gap_s
                # Decoding a whole file takes a moment, in which other tasks would wait.
                pcm = await asyncio.to_thread(sound.finish) if sound.gathers else sound.finish()
                if pcm:
                    delivered = True
                    yield pcm
            finally:
                await response.aclose()
        except BadAudio as error:
            raise self._error("bad_audio", str(error)) from None
        except TimeoutError as error:
            raise self._error("idle_gap" if delivered else "timeout_first_audio") from error
        except EgressRefused as error:
            raise self._error("address_refused", str(error)) from error
        except httpx.HTTPError as error:
            raise self._error(
                "cut_stream" if delivered else "connection", f"{type(error).__name__} {error}"
            ) from error
        if not delivered:
            raise self._error("empty")

    async def warm(self) -> None:
        """Open a connection; nothing is synthesized.

        Raises `ProviderError` when there is none or the key is rejected.
        """
        import httpx

        if self._reference is not None:
            await self._reference.warm()
        try:
            response = await self._http().get("models", timeout=self._config.first_audio_timeout_s)
        except EgressRefused as error:
            raise self._error("address_refused", str(error)) from error
        except httpx.HTTPError as error:
            raise self._error("connection", f"{type(error).__name__} {error}") from error
        if response.status_code in (401, 403):
            raise self._error("unauthorized")

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _request(self, text: str, lang: str, deadline: float) -> "httpx.Response":
        config = self._config
        body: dict[str, object] = {
            "model": config.model,
            "input": text,
            "voice": config.voice_zh if lang.lower().startswith("zh") else config.voice_en,
            "response_format": "pcm",
            "speed": config.speed,
        }
        if config.instructions:
            body["instructions"] = config.instructions
        client = self._http()
        request = client.build_request("POST", "audio/speech", json=body)
        async with asyncio.timeout_at(deadline):
            return await client.send(request, stream=True)

    async def _check(self, response: "httpx.Response", deadline: float) -> None:
        # The content type does not matter: the bytes show the format.
        if response.status_code == 200:
            return
        if response.is_redirect:
            # A redirect would send the key to another server.
            where = response.headers.get("location", "")
            raise self._error(
                "bad_request", f"redirected to {host_of(where) or where}: write that address"
            )
        async with asyncio.timeout_at(deadline):
            body = (await response.aread())[:_ERROR_BODY_LIMIT].decode("utf-8", "replace")
        raise self._error(_of_status(response.status_code, body), f"{response.status_code} {body}")

    def _http(self) -> "httpx.AsyncClient":
        if self._client is None:
            import httpx

            self._client = httpx.AsyncClient(
                base_url=self._config.base_url,
                headers={"Authorization": f"Bearer {self._config.api_key}"},
                timeout=httpx.Timeout(None, connect=self._config.connect_timeout_s),
                proxy=self._config.proxy,
                trust_env=False,
                follow_redirects=False,
            )
            if self._config.egress is not None:
                egress.guard(
                    self._client, self._config.egress, proxied=self._config.proxy is not None
                )
        return self._client

    def _error(self, reason: Reason, detail: str = "") -> ProviderError:
        return ProviderError(self.name, reason, detail, secrets=(self._config.api_key,))


def _rate_of(content_type: str) -> int:
    """Return the samples per second that a content type names: `audio/pcm; rate=16000`.

    It is 24 000 where there is none or an implausible one.
    """
    found = re.search(r"\brate=(\d{4,6})\b", content_type)
    rate = int(found[1]) if found else SAMPLE_RATE
    return rate if _RATE_MIN <= rate <= _RATE_MAX else SAMPLE_RATE


def _of_status(status: int, body: str) -> Reason:
    if status in (401, 403):
        return "unauthorized"
    if status == 402 or "insufficient_quota" in body:
        return "quota"
    if status == 429:
        return "rate_limited"
    return "server_error" if status == 408 or status >= 500 else "bad_request"
