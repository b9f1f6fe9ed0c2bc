"""Microsoft Edge's read-aloud voices through `edge-tts`.

They sound natural and are free of charge, but come without any guarantee, so they are never the
only voice in a list.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dialog_voice.errors import ProviderError, Reason
from dialog_voice.text.script_runs import passages, speakable
from dialog_voice.voice import VoiceAudio

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import ClientSession
    from edge_tts import Communicate

_PASSAGE_CHARS: Final = 800
"""Longest passage in characters.

edge-tts splits at 4 096 bytes by itself, if necessary in the middle of a sentence; no passage is
that long.
"""

ADDRESS: Final = "wss://speech.platform.bing.com"
"""Address of the service; edge-tts knows the path."""

_GOODBYE_S: Final = 0.02
"""Seconds for which a cancelled socket may wait for the peer's close frame."""

_END: Final = {"type": "end"}


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """Voices and limits; the default voices are two lively young ones."""

    voice_en: str = "en-US-AnaNeural"
    voice_zh: str = "zh-CN-XiaoyiNeural"

    rate: str = "+0%"
    """Relative speed, such as +10%."""

    pitch: str = "+0Hz"

    connect_timeout_s: int = 3
    """Connect timeout in whole seconds, as the library requires."""

    first_audio_timeout_s: float = 4.0
    """Longest wait for the first sample, in seconds from the call, including the handshake."""

    idle_gap_s: float = 4.0
    """Longest time in seconds between two messages."""

    lead_ms: float = 20.0
    """Silence that remains in front, in ms; the service sends up to 200 ms."""

    tail_ms: float = 180.0

    proxy: str | None = None

    endpoint: str | None = None
    """Another WebSocket address than Microsoft's, with a query: ws://127.0.0.1:8011/edge/v1?x=1."""


class EdgeVoice:
    """A `Voice` with the service's own word times; mouth shapes are estimated from them."""

    def __init__(self, config: EdgeConfig | None = None, *, name: str = "edge") -> None:
        self.name = name
        self._config = config or EdgeConfig()
        self.about = f"{self._config.voice_zh}, {self._config.voice_en}"
        self._communicate: type[Communicate] | None = None

    async def synthesize(self, text: str, lang: str) -> AsyncGenerator[VoiceAudio, None]:
        """Yield the audio as it arrives and is decoded. Raises `ProviderError`."""
        from dialog_voice.audio.mp3 import BadAudio
        from dialog_voice.providers.edge.decoder import EdgeFragmentDecoder

        fragment = EdgeFragmentDecoder(
            text, lead_ms=self._config.lead_ms, tail_ms=self._config.tail_ms
        )
        for passage in passages(speakable(text), _PASSAGE_CHARS):
            if not any(character.isalnum() for character in passage.text):
                continue
            fragment.begin_passage(passage.start)
            messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
            # A task of its own, because only a cancelled task reliably closes the socket inside
            # edge-tts: its generators are nested without `aclosing`, and closing the outer one
            # leaves the inner one to the garbage collector.
            pump = asyncio.create_task(
                self._receive(passage.text, lang, messages), name="edge-pump"
            )
            deadline = asyncio.get_running_loop().time() + self._config.first_audio_timeout_s
            try:
                while (message := await self._next(messages, pump, deadline, fragment.delivered))[
                    "type"
                ] != "end":
                    for piece in fragment.push(message):
                        yield piece
                    if fragment.delivered or message["type"] == "audio":
                        deadline = asyncio.get_running_loop().time() + self._config.idle_gap_s
                for piece in fragment.finish_passage():
                    yield piece
                if not fragment.delivered:
                    raise ProviderError(self.name, "bad_audio", "no sound in what was received")
            except BadAudio as error:
                raise ProviderError(self.name, "bad_audio", str(error)) from error
            finally:
                await _stop(pump)

    async def warm(self) -> None:
        """Load the libraries; the service does not allow idle connections."""
        await asyncio.to_thread(self._load)

    async def try_out(self) -> None:
        """Synthesize one word, which is free of charge and shows that the service is available.

        Raises `ProviderError`.
        """
        async with aclosing(self.synthesize("OK.", "en")) as pieces:
            async for _ in pieces:
                break

    async def aclose(self) -> None:
        """Do nothing: no connection is kept open."""

    async def _next(
        self,
        messages: "asyncio.Queue[dict[str, Any]]",
        pump: "asyncio.Task[None]",
        deadline: float,
        delivered: bool,
    ) -> dict[str, Any]:
        try:
            async with asyncio.timeout_at(deadline):
                message = await messages.get()
        except TimeoutError as error:
            raise ProviderError(
                self.name, "idle_gap" if delivered else "timeout_first_audio"
            ) from error
        if message["type"] == "failed":
            failure: ProviderError = message["error"]
            raise failure from failure.__cause__
        return message

    async def _receive(
        self, text: str, lang: str, messages: "asyncio.Queue[dict[str, Any]]"
    ) -> None:
        """Put everything that edge-tts yields into `messages`, then an end or a failure."""
        import aiohttp
        from edge_tts.exceptions import EdgeTTSException, NoAudioReceived

        config = self._config
        received = 0
        try:
            communicate = (await asyncio.to_thread(self._load))(
                text,
                config.voice_zh if lang.lower().startswith("zh") else config.voice_en,
                rate=config.rate,
                pitch=config.pitch,
                boundary="WordBoundary",
                proxy=config.proxy,
                connect_timeout=config.connect_timeout_s,
                receive_timeout=max(1, round(config.idle_gap_s + 1)),
            )
            async for message in communicate.stream():
                if message["type"] == "audio":
                    received += len(message["data"])
                messages.put_nowait(dict(message))
            # A socket that closes early ends the stream without an error; only the turn's end
            # counts what was received.
            if communicate.state["cumulative_audio_bytes"] != received:
                raise ProviderError(
                    self.name, "cut_stream", "the socket closed before the end of the turn"
                )
        except ProviderError as error:
            messages.put_nowait({"type": "failed", "error": error})
        except NoAudioReceived as error:
            self._fail(messages, "empty", error)
        except aiohttp.ClientResponseError as error:
            self._fail(messages, _of_status(error.status), error)
        except EdgeTTSException as error:
            self._fail(messages, "cut_stream" if received else "server_error", error)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._fail(messages, "cut_stream" if received else "connection", error)
        except (KeyError, IndexError) as error:
            self._fail(messages, "cut_stream" if received else "server_error", error)
        except (ValueError, TypeError) as error:
            # A voice or a rate that edge-tts does not accept, or metadata that is not JSON.
            self._fail(messages, "bad_request", error)
        # The boundary to edge-tts in its own task: otherwise the error would be noticed only after
        # a timeout.
        except Exception as error:  # noqa: BLE001
            self._fail(messages, "unexpected", error)
        else:
            messages.put_nowait(_END)

    def _fail(
        self, messages: "asyncio.Queue[dict[str, Any]]", reason: Reason, error: Exception
    ) -> None:
        failure = ProviderError(self.name, reason, f"{type(error).__name__} {error}")
        failure.__cause__ = error
        messages.put_nowait({"type": "failed", "error": failure})

    def _load(self) -> "type[Communicate]":
        """Import edge-tts with a private copy of the one module that connects.

        That module takes proxies from the environment by rules of its own, so its sessions are
        changed not to, and it has no parameter for the address. Its globals are shared by the
        process, hence the copy.
        """
        if self._communicate is None:
            import functools
            import importlib.util
            import types

            import aiohttp
            import miniaudio  # noqa: F401 - loaded here, off the event loop, for the first fragment's sake

            spec = importlib.util.find_spec("edge_tts.communicate")
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            patched = types.SimpleNamespace(**vars(aiohttp))
            patched.ClientSession = functools.partial(_session, aiohttp.ClientSession)
            vars(module)["aiohttp"] = patched
            if self._config.endpoint is not None:
                vars(module)["WSS_URL"] = self._config.endpoint
            self._communicate = module.Communicate
        return self._communicate


def _session(make: "Callable[..., ClientSession]", **options: Any) -> "ClientSession":
    return make(**{**options, "trust_env": False})


def _of_status(status: int) -> Reason:
    if status in (401, 403):
        return "unauthorized"
    if status == 429:
        return "rate_limited"
    return "server_error" if status >= 500 else "bad_request"


async def _stop(pump: "asyncio.Task[None]") -> None:
    """Cancel the pump and wait until its socket is closed.

    aiohttp sends a close frame on a cancelled socket and waits up to ten seconds for the answer;
    the second cancel ends that wait.
    """
    pump.cancel()
    _, waiting = await asyncio.wait([pump], timeout=_GOODBYE_S)
    if waiting:
        pump.cancel()
        await asyncio.wait([pump])
