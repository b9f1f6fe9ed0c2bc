"""Provider for any server with OpenAI's chat completions.

Examples are OpenAI, DeepSeek, Qwen, vLLM, llama.cpp and Ollama. The modules beside it parse chunks
(`openai_chunks.py`), follow one reply (`openai_reply.py`) and map errors (`openai_errors.py`).
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import structlog

from dialog_contracts.sse import SseParser
from dialog_llm.errors import ProviderError, Reason
from dialog_llm.provider import GenerationOptions, Message, Piece
from dialog_llm.providers.openai_chunks import DONE, explain
from dialog_llm.providers.openai_errors import to_provider_error
from dialog_llm.providers.openai_reply import StreamedReply
from dialog_llm.thought_filter import ThoughtHabit
from dialog_providers import egress
from dialog_providers.egress import EgressRules
from service_runtime.redact import host_of

if TYPE_CHECKING:
    import openai
    from openai import AsyncAPIResponse
    from openai.types.chat import ChatCompletionMessageParam

_log = structlog.get_logger("llm")

# Failures that often do not recur a moment later. A timeout is not among them: it has used up the
# time for retries.
_RETRIED: Final[frozenset[str]] = frozenset({"rate_limited", "server_error", "connection", "empty"})
_EVENT_BYTES: Final = 1_000_000
_WHOLE_BYTES: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class OpenAiConfig:
    """One server, one key, one model."""

    base_url: str
    """URL up to and including the version: https://api.openai.com/v1."""

    api_key: str = field(repr=False)
    """Any text for servers without keys; it is in no repr, log or error."""

    model: str

    connect_timeout_s: float = 3.0
    """Longest TCP and TLS handshake in seconds."""

    first_token_timeout_s: float = 6.0
    """Longest wait for the first piece in seconds, all attempts and pauses included.

    It is below the 8 s after which input-handler sends the turn to the legacy pipeline, so that the
    next provider can still be tried.
    """

    retries: int = 2
    """Further attempts after a failure without a piece."""

    backoff_s: float = 0.3
    """Pause in seconds before the first retry.

    It doubles for each further retry and varies by half, so that sessions do not retry in step.
    """

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """OpenAI's newer models require the second name; other servers know only the first."""

    proxy: str | None = None
    """URL of an HTTP proxy; proxies of the process environment are not used."""

    egress: EgressRules | None = None
    """Rules for an address that a session chose; None for the service's own."""


class OpenAiProvider:
    """An `LlmProvider` over the official client.

    The client's own retries are off, since it cannot know whether a piece was already spoken.
    """

    def __init__(
        self,
        config: OpenAiConfig,
        *,
        name: str = "openai",
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.about = f"{config.model} at {host_of(config.base_url)}"
        self._config = config
        self._jitter = jitter
        self._habit = ThoughtHabit()
        self._client: openai.AsyncOpenAI | None = None
        self._loading = asyncio.Lock()

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions
    ) -> AsyncGenerator[Piece, None]:
        """Yield the reply. Raises ProviderError.

        Before a piece it may have any reason; after one, idle_gap, wall_clock or cut_stream.
        """
        client = await self._loaded()
        now = asyncio.get_running_loop().time
        end = now() + options.wall_clock_s
        first_deadline = min(end, now() + self._config.first_token_timeout_s)
        for attempt in range(self._config.retries + 1):
            produced = False
            try:
                async with aclosing(
                    self._attempt(client, messages, options, first_deadline, end)
                ) as pieces:
                    async for piece in pieces:
                        produced = produced or isinstance(piece, str)
                        yield piece
                return
            except ProviderError as error:
                pause_s = self._pause(error, attempt)
                last_try = attempt == self._config.retries
                if (
                    produced
                    or last_try
                    or error.reason not in _RETRIED
                    or now() + pause_s >= first_deadline
                ):
                    raise
                _log.info(
                    "llm_retry",
                    provider=self.name,
                    reason=error.reason,
                    attempt=attempt + 1,
                    pause_s=round(pause_s, 3),
                )
            await asyncio.sleep(pause_s)

    async def warm(self) -> None:
        """Load the client library and open a connection by listing the models.

        The import takes a second and runs in a thread. Raises ProviderError (unauthorized,
        connection, …); a server without that list is accepted.
        """
        client = await self._loaded()
        import openai

        try:
            async with asyncio.timeout(self._config.first_token_timeout_s):
                await client.models.list()
        except openai.NotFoundError:
            _log.debug("llm_models_not_listed", provider=self.name)
        except TimeoutError as error:
            raise self._error("connection", "no answer to /models") from error
        except (openai.OpenAIError, OSError) as error:
            raise to_provider_error(
                error, self.name, self._config.api_key, produced=False
            ) from self._cause(error)

    async def aclose(self) -> None:
        """Close the client's connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _attempt(
        self,
        client: "openai.AsyncOpenAI",
        messages: Sequence[Message],
        options: GenerationOptions,
        first_deadline: float,
        end: float,
    ) -> AsyncGenerator[Piece, None]:
        import httpx2
        import openai

        thoughts = self._habit.begin()
        reply = StreamedReply(options, first_deadline, end, thoughts)
        now = asyncio.get_running_loop().time
        try:
            async with AsyncExitStack() as call:
                async with asyncio.timeout_at(first_deadline):
                    answer = await call.enter_async_context(
                        self._request(client, messages, options)
                    )
                chunks = _chunks(answer)
                call.push_async_callback(chunks.aclose)
                while True:
                    # Around one chunk only: a timeout held open over a yield would fire in the
                    # consumer's code.
                    async with asyncio.timeout_at(reply.deadline):
                        data = await anext(chunks, None)
                    if data is None:
                        break
                    for piece in reply.add(data, now()):
                        yield piece
        except TimeoutError as error:
            if not reply.complete:
                raise self._error("wall_clock" if now() >= reply.end else reply.limit) from error
        except (openai.OpenAIError, httpx2.HTTPError, OSError, ValueError) as error:
            if not reply.complete:
                raise to_provider_error(
                    error, self.name, self._config.api_key, produced=reply.produced
                ) from self._cause(error)
        self._habit.learn(thoughts)
        for piece in reply.finish():
            yield piece
        if (problem := reply.problem()) is not None:
            raise self._error(*problem)
        if (ended := explain(reply.ending)) is not None:
            yield ended

    def _request(
        self, client: "openai.AsyncOpenAI", messages: Sequence[Message], options: GenerationOptions
    ) -> "AbstractAsyncContextManager[AsyncAPIResponse[Any]]":
        import openai

        limit = options.max_tokens
        prompt: list[ChatCompletionMessageParam] = []
        for message in messages:
            match message.role:
                case "system":
                    prompt.append({"role": "system", "content": message.content})
                case "user":
                    prompt.append({"role": "user", "content": message.content})
                case "assistant":
                    prompt.append({"role": "assistant", "content": message.content})
        # As bytes: the library's own parsing loses whether [DONE] came, and fields that OpenAI's
        # servers do not have.
        return client.chat.completions.with_streaming_response.create(
            model=self._config.model,
            messages=prompt,
            temperature=options.temperature,
            stop=list(options.stop) or openai.omit,
            max_tokens=limit if self._config.max_tokens_field == "max_tokens" else openai.omit,
            max_completion_tokens=limit
            if self._config.max_tokens_field == "max_completion_tokens"
            else openai.omit,
            stream=True,
        )

    async def _loaded(self) -> "openai.AsyncOpenAI":
        async with self._loading:
            if self._client is None:
                # The import takes about a second and would block every session of this process.
                self._client = await asyncio.to_thread(self._make_client)
            return self._client

    def _make_client(self) -> "openai.AsyncOpenAI":
        import openai

        # Reading has no limit here: `stream` limits the first piece, the gaps and the whole reply.
        timeout = openai.Timeout(None, connect=self._config.connect_timeout_s)
        http = openai.DefaultAsyncHttpxClient(
            timeout=timeout,
            proxy=self._config.proxy,
            trust_env=False,
            # A redirect would send the key to another server.
            follow_redirects=False,
        )
        if self._config.egress is not None:
            egress.guard(http, self._config.egress, proxied=self._config.proxy is not None)
        return openai.AsyncOpenAI(
            base_url=self._config.base_url,
            api_key=self._config.api_key or "none",
            max_retries=0,
            timeout=timeout,
            http_client=http,
        )

    def _pause(self, error: ProviderError, attempt: int) -> float:
        if error.retry_after_s is not None:
            return error.retry_after_s
        return self._config.backoff_s * 2.0**attempt * (0.5 + self._jitter())

    def _error(self, reason: Reason, detail: str = "") -> ProviderError:
        return ProviderError(self.name, reason, detail)

    def _cause(self, error: Exception) -> Exception | None:
        """Return the cause to chain.

        It is None where the server's text repeats our key, because tracebacks are logged.
        """
        key = self._config.api_key
        return None if key and key in f"{error!r}{error}" else error


async def _chunks(answer: "AsyncAPIResponse[Any]") -> AsyncGenerator[str, None]:
    """Yield the data of each event, or the whole answer of a server that does not stream.

    Raises ValueError for an event or an answer that is too long.
    """
    if answer.headers.get("content-type", "").partition(";")[0].strip() == "application/json":
        whole = b""
        async for data in answer.iter_bytes():
            whole += data
            if len(whole) > _WHOLE_BYTES:
                raise ValueError(f"an answer of more than {_WHOLE_BYTES} bytes")
        yield whole.decode("utf-8", "replace")
        yield DONE
        return
    parser = SseParser(max_event_bytes=_EVENT_BYTES)
    async for data in answer.iter_bytes():
        for frame in parser.feed(data):
            yield frame.data
    # Some servers omit the blank line after [DONE].
    for frame in parser.feed(b"\n\n"):
        yield frame.data
