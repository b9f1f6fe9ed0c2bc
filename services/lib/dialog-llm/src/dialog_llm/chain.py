"""Several language models in order of preference, used as one."""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

import structlog

from dialog_llm.errors import AllProvidersFailed, LlmError
from dialog_llm.provider import GenerationOptions, LlmProvider, Message
from dialog_telemetry import metrics

_log = structlog.get_logger("llm")

# These say that the next call will fail as well, and a dead address costs its whole connect timeout each time.
_COOLING_REASONS = frozenset({"unauthorized", "quota", "connection"})


class LlmChain:
    """An `LlmProvider` that asks `providers` in order.

    It falls through to the next one only while nothing has been produced: after the first piece somebody has heard the
    beginning of an answer, and another model would contradict it, so errors then propagate. Every fall-through is logged
    and counted with its reason. A provider that was unreachable or refused our key is left out for `cool_down_s` seconds
    of `clock`; when all are cooling down, they are all tried anyway, because a doubtful answer beats none.
    """

    def __init__(
        self,
        providers: Sequence[LlmProvider],
        *,
        name: str = "chain",
        cool_down_s: float = 20.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._providers = tuple(providers)
        self._cool_down_s = cool_down_s
        self._clock = clock
        self._cold_until: dict[int, float] = {}

    async def stream(self, messages: Sequence[Message], options: GenerationOptions) -> AsyncGenerator[str, None]:
        """Yield the first working provider's pieces. Raises its `LlmError` after a piece, `AllProvidersFailed` before."""
        failures: list[tuple[str, str]] = []
        last: LlmError | None = None
        now = self._clock()
        cold = {position for position, until in self._cold_until.items() if now < until}
        ignore_cold = len(cold) == len(self._providers)
        for position, provider in enumerate(self._providers):
            if position in cold and not ignore_cold:
                self._fell_through(provider, "cooling_down", failures)
                continue
            produced = False
            try:
                async with aclosing(provider.stream(messages, options)) as pieces:
                    async for piece in pieces:
                        if not produced:
                            produced = True
                            self._cold_until.pop(position, None)
                        yield piece
                return
            except LlmError as error:
                if error.reason in _COOLING_REASONS:
                    self._cold_until[position] = self._clock() + self._cool_down_s
                if produced:
                    raise
                last = error
                self._fell_through(provider, error.reason, failures, detail=str(error))
        raise AllProvidersFailed(failures, last) from last

    async def warm(self) -> None:
        """Warm every provider, one after the other. A failing one is logged and stays in the chain: it may be back later."""
        for provider in self._providers:
            try:
                await provider.warm()
            except LlmError as error:
                _log.warning("llm_warm_failed", provider=provider.name, reason=error.reason, detail=str(error))

    async def aclose(self) -> None:
        """Close every provider."""
        for provider in self._providers:
            await provider.aclose()

    def _fell_through(
        self, provider: LlmProvider, reason: str, failures: list[tuple[str, str]], detail: str | None = None
    ) -> None:
        failures.append((provider.name, reason))
        metrics.LLM_FELL_THROUGH.labels(provider=provider.name, reason=reason).inc()
        _log.warning("llm_fell_through", provider=provider.name, reason=reason, detail=detail)
