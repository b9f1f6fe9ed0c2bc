"""The boundary to language models.

Providers and plug-ins differ in what they raise and what they send: strings, lists of parts,
thoughts in tags, half characters, leading white space, nothing at all. LlmBoundary turns that into
clean pieces of text or one typed failure, so that the engine handles one form only.

A reply passes through the parsers of `content_parts.py` and `thought_filter.py`. Time limits are
enforced here and not by the provider, because a plug-in may ignore them. Exceptions and
cancellation are handled by `dialog_providers.untrusted_provider`; the choice of another provider
after a failure is in `fallback.py`.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from dialog_llm.content_parts import UnsupportedContent, WholeCharacters, parts_of
from dialog_llm.errors import LlmError, ProviderError, Reason
from dialog_llm.provider import (
    THINKING,
    Ended,
    GenerationOptions,
    LlmProvider,
    Message,
    Piece,
    Thinking,
)
from dialog_llm.thought_filter import ThoughtFilter, ThoughtHabit
from dialog_providers.untrusted_provider import (
    END,
    DeadlineReached,
    UntrustedProvider,
    next_before,
)


class LlmBoundary:
    """An `LlmProvider` around a provider that is not trusted.

    Every exception is a `ProviderError` that names the provider and the cause. The text has no
    thoughts (`THINKING` replaces them), whole characters and no leading white space; a reply that
    is empty after that fails with `empty`. The reply without its thoughts is limited by
    `wall_clock_s`, the thoughts by `thinking_s`.
    """

    def __init__(self, provider: LlmProvider) -> None:
        self._provider = provider
        self._untrusted = UntrustedProvider(provider, ProviderError, LlmError)
        self.name, self.about = self._untrusted.name, self._untrusted.about
        self._habit = ThoughtHabit()

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions
    ) -> AsyncGenerator[Piece, None]:
        """Yield the reply. Raises `ProviderError`."""
        clean = _ReplyCleaner(self._habit.begin())
        now = asyncio.get_running_loop().time
        end = now() + options.wall_clock_s
        thought = said = False
        async with (
            self._untrusted.failures(),
            self._untrusted.items(self._provider.stream(messages, options)) as items,
        ):
            while (item := await self._next(items, end)) is not END:
                for piece in self._cleaned(clean, item):
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
        if not said:
            raise ProviderError(self.name, *clean.why_empty())
        if clean.ended is not None:
            yield clean.ended

    async def warm(self) -> None:
        """Warm the provider. Raises `ProviderError`."""
        await self._untrusted.warm("warm")

    async def aclose(self) -> None:
        """Close the provider; never raises."""
        await self._untrusted.aclose()

    async def _next(self, items: AsyncIterator[object], end: float) -> object:
        try:
            return await next_before(items, end)
        except DeadlineReached as error:
            raise ProviderError(self.name, "wall_clock") from error

    def _cleaned(self, clean: "_ReplyCleaner", item: object) -> list[Piece]:
        try:
            return clean.feed(item)
        except UnsupportedContent as error:
            raise ProviderError(self.name, "bad_content", str(error)) from error


class _ReplyCleaner:
    """Turns a provider's items into pieces: text without thoughts, and `THINKING` for thoughts."""

    def __init__(self, thoughts: ThoughtFilter) -> None:
        self._characters, self.thoughts = WholeCharacters(), thoughts
        self._text_seen = False
        self._blank = False
        self._thought = False
        self.ended: Ended | None = None

    def feed(self, item: object) -> list[Piece]:
        """Return the pieces of an item; raises UnsupportedContent."""
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
        """Return the last characters of the text."""
        return self._text(self.thoughts.feed(self._characters.finish()) + self.thoughts.finish())

    def why_empty(self) -> tuple[Reason, str]:
        """Return the failure of a reply without text."""
        if self.ended is not None and self.ended.reason == "content_filter":
            return "filtered", ""
        detail = "white space" if self._blank else "thoughts" if self._thought else ""
        return "empty", f"nothing but {detail}" if detail else ""

    def _thinking(self) -> list[Piece]:
        self._thought = True
        return [THINKING]

    def _text(self, text: str) -> list[Piece]:
        if not self._text_seen:
            self._blank = self._blank or bool(text)
            text = text.lstrip()
        self._text_seen = self._text_seen or bool(text)
        return [text] if text else []
