"""The border to language models: whatever a provider or a plug-in raises or sends becomes a clean piece of text, or its typed failure."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog

from dialog_llm.contents import ContentRefused, WholeCharacters, parts_of
from dialog_llm.errors import LlmError, ProviderError, Reason
from dialog_llm.provider import THINKING, Ended, GenerationOptions, LlmProvider, Message, Piece, Thinking
from dialog_llm.thoughts import Habit, Thoughts
from service_runtime.strangers import about, asked_to_stop, call_if_there, close_stranger, name_of

_log = structlog.get_logger("llm")

_WARM_WITHIN_S: Final = 30.0
"""Providers of ours give up much earlier, with a better reason; a plug-in that hangs ends here."""


class Border:
    """An `LlmProvider` around another one, which is not trusted.

    Every exception of it is a `ProviderError` that names it and the cause. Its text comes out without thoughts (`THINKING` stands for
    them), with whole characters, without white space in front; a reply of nothing else is empty. Its times are limited: the whole
    reply, thoughts before it not counted, by `wall_clock_s`; the thoughts by `thinking_s`.
    """

    def __init__(self, provider: LlmProvider) -> None:
        self.name, self.about = name_of(provider), about(provider)
        self._provider = provider
        self._habit = Habit()

    async def stream(self, messages: Sequence[Message], options: GenerationOptions) -> AsyncGenerator[Piece, None]:
        """Yield the reply. Raises `ProviderError`."""
        clean = _Clean(self._habit.begin())
        now = asyncio.get_running_loop().time
        end = now() + options.wall_clock_s
        thought = said = False
        async with self._failures():
            source: AsyncIterator[object] = self._provider.stream(messages, options)
            try:
                if inspect.isawaitable(source):
                    # `async def stream` with a `return` in it.
                    source = await source
                pieces = aiter(source)
                while True:
                    try:
                        async with asyncio.timeout_at(end):
                            item = await anext(pieces, _NO_MORE)
                    except TimeoutError as error:
                        if now() < end:
                            raise
                        raise ProviderError(self.name, "wall_clock") from error
                    if item is _NO_MORE:
                        break
                    for piece in clean.feed(item):
                        if isinstance(piece, Thinking):
                            if not thought and not said:
                                thought, end = True, now() + options.thinking_s
                        elif not said:
                            said = True
                            end = now() + options.wall_clock_s if thought else end
                        yield piece
                self._habit.learn(clean.thoughts)
                for piece in clean.finish():
                    said = True
                    yield piece
            finally:
                await close_stranger(source, self.name)
        if not said:
            raise ProviderError(self.name, *clean.why_empty())
        if clean.ended is not None:
            yield clean.ended

    async def warm(self) -> None:
        """See `LlmProvider`. Raises `ProviderError`."""
        async with self._failures():
            try:
                async with asyncio.timeout(_WARM_WITHIN_S) as limit:
                    await call_if_there(self._provider, "warm")
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise ProviderError(self.name, "connection", f"not warm after {_WARM_WITHIN_S:.0f} s") from error

    async def aclose(self) -> None:
        """Close it; what that raises is logged, because nobody could do more about it."""
        try:
            await call_if_there(self._provider, "aclose")
        # The border to providers and plug-ins.
        except Exception as error:  # noqa: BLE001
            _log.warning("llm_close_failed", provider=self.name, error=repr(error)[:200])

    @asynccontextmanager
    async def _failures(self) -> AsyncGenerator[None, None]:
        try:
            yield
        except LlmError:
            raise
        except ContentRefused as error:
            raise ProviderError(self.name, "bad_content", str(error)) from error
        except asyncio.CancelledError as error:
            if asked_to_stop():
                raise
            # Not we: something inside the provider was cancelled.
            raise ProviderError(self.name, "unexpected", "cancelled within the provider") from error
        # The border to providers and plug-ins: whatever it is, it is the provider's failure.
        except Exception as error:
            raise ProviderError(self.name, "unexpected", f"{type(error).__name__} {error}") from error


class _Clean:
    """What came, as pieces: text without thoughts, `THINKING` for those."""

    def __init__(self, thoughts: Thoughts) -> None:
        self._characters, self.thoughts = WholeCharacters(), thoughts
        self._said = False
        self._blank = False
        self._thought = False
        self.ended: Ended | None = None

    def feed(self, item: object) -> list[Piece]:
        """Raises `ContentRefused`."""
        if isinstance(item, Ended):
            self.ended = item
            return []
        if isinstance(item, Thinking):
            return self._thinking()
        made: list[Piece] = []
        for text, is_thought in parts_of(item):
            if is_thought:
                made += self._thinking()
            elif text:
                made += self._text(self.thoughts.feed(self._characters.feed(text)))
                if self.thoughts.thinking:
                    made += self._thinking()
        return made

    def finish(self) -> list[Piece]:
        """The text's last characters."""
        return self._text(self.thoughts.feed(self._characters.finish()) + self.thoughts.finish())

    def why_empty(self) -> tuple[Reason, str]:
        """The failure of a reply without a word."""
        if self.ended is not None and self.ended.reason == "content_filter":
            return "filtered", ""
        detail = "white space" if self._blank else "thoughts" if self._thought else ""
        return "empty", f"nothing but {detail}" if detail else ""

    def _thinking(self) -> list[Piece]:
        self._thought = True
        return [THINKING]

    def _text(self, text: str) -> list[Piece]:
        if not self._said:
            self._blank = self._blank or bool(text)
            text = text.lstrip()
        self._said = self._said or bool(text)
        return [text] if text else []


_NO_MORE = object()
