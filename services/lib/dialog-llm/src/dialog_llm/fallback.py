"""Several language models in order of preference, used as one."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing

import structlog

from dialog_contracts.http import ProviderReport
from dialog_llm.boundary import LlmBoundary
from dialog_llm.errors import AllProvidersFailed, LlmError
from dialog_llm.provider import GenerationOptions, LlmProvider, Message, Piece
from dialog_providers.provider_states import ProviderStates
from dialog_providers.untrusted_provider import about, name_of
from dialog_telemetry import metrics

_log = structlog.get_logger("llm")

# These say that the next call will fail as well, and a dead address costs its whole connect timeout each time.
_COOLING_REASONS = frozenset({"unauthorized", "quota", "connection", "address_refused"})

# These say something of one prompt or one reply, and nothing of the model's being there.
_TEXT_REASONS = frozenset({"empty", "filtered", "wall_clock"})


class FallbackLlm:
    """An `LlmProvider` that asks `providers` in order, each behind its `Border`.

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
        absent: Mapping[str, str] | None = None,
    ) -> None:
        """`absent`: who is named in settings and not among the providers, and why."""
        self.name = name
        self._absent = dict(absent or {})
        self._providers = tuple(
            each if isinstance(each, FallbackLlm | LlmBoundary) else LlmBoundary(each)
            for each in providers
        )
        named = [(each.name, about(each)) for each in self._providers]
        self._why: dict[int, str] = {}
        self._states = ProviderStates(named, cool_down_s=cool_down_s, clock=clock)

    @classmethod
    def from_providers(
        cls, provider: LlmProvider, *, absent: Mapping[str, str] | None = None
    ) -> "FallbackLlm":
        """A chain of this one, under its name; a chain as it is."""
        return (
            provider
            if isinstance(provider, FallbackLlm)
            else cls([provider], name=name_of(provider), absent=absent)
        )

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions
    ) -> AsyncGenerator[Piece, None]:
        """Yield the first working provider's pieces. Raises its `LlmError` after a piece, `AllProvidersFailed` before."""
        failures: list[tuple[str, str]] = []
        last: LlmError | None = None
        cold = self._states.cooling()
        for position, provider in enumerate(self._providers):
            if position in cold:
                self._count_fallback(provider, "cooling_down", failures)
                continue
            produced = False
            try:
                async with aclosing(provider.stream(messages, options)) as pieces:
                    async for piece in pieces:
                        if not produced and isinstance(piece, str):
                            produced = True
                            self._on_answered(position)
                        yield piece
                return
            except LlmError as error:
                self._on_failed(position, error)
                if produced:
                    raise
                last = error
                self._count_fallback(provider, error.reason, failures, detail=str(error))
        raise AllProvidersFailed(failures, last) from last

    async def warm(self) -> None:
        """Warm every provider that is not, all at once. A failing one is logged and stays in the chain: it may be back later.

        Raises `AllProvidersFailed` where none is warm.
        """
        found = await asyncio.gather(*(self._warm(position) for position in self._states.unwarmed))
        failures = [failure for failure in found if failure is not None]
        if len(failures) == len(self._providers):
            raise AllProvidersFailed(
                [(name, error.reason) for name, error in failures], failures[-1][1]
            ) from failures[-1][1]

    async def _warm(self, position: int) -> tuple[str, LlmError] | None:
        provider = self._providers[position]
        try:
            await provider.warm()
        except LlmError as error:
            self._on_failed(position, error)
            _log.warning(
                "llm_warm_failed", provider=provider.name, reason=error.reason, detail=str(error)
            )
            return provider.name, error
        self._on_answered(position)
        return None

    @property
    def any_warm(self) -> bool:
        """Whether one has answered, and did the last time."""
        return len(self._states.unwarmed) < len(self._providers)

    @property
    def all_warm(self) -> bool:
        """Whether every provider has answered, and did the last time."""
        return not self._states.unwarmed

    def in_use(self) -> tuple[str, dict[str, str]]:
        """Who answers now, by the last replies, and of those before it: why they do not, in a word or two each."""
        for position, provider in enumerate(self._providers):
            if position not in self._why:
                name, within = (
                    provider.in_use() if isinstance(provider, FallbackLlm) else (provider.name, {})
                )
                return name, {**self._reasons(position), **within}
        return self.name, self._reasons(len(self._providers))

    def _reasons(self, until: int) -> dict[str, str]:
        return {
            **self._absent,
            **{
                self._providers[at].name: why for at, why in sorted(self._why.items()) if at < until
            },
        }

    def report(self) -> ProviderReport:
        """Who answers, and why not who should."""
        report = self._states.report()
        return report.model_copy(
            update={
                "configured": [*self._absent, *report.configured],
                "why_not": {**self._absent, **report.why_not},
            }
        )

    async def aclose(self) -> None:
        """Close every provider."""
        for provider in self._providers:
            await provider.aclose()

    def _on_answered(self, position: int) -> None:
        self._why.pop(position, None)
        self._states.answered(position)

    def _on_failed(self, position: int, error: LlmError) -> None:
        self._why[position] = error.reason
        if error.reason not in _TEXT_REASONS:
            self._states.failed(position, str(error), cools=error.reason in _COOLING_REASONS)

    def _count_fallback(
        self,
        provider: LlmProvider,
        reason: str,
        failures: list[tuple[str, str]],
        detail: str | None = None,
    ) -> None:
        failures.append((provider.name, reason))
        metrics.LLM_FALLBACKS.labels(provider=provider.name, reason=reason).inc()
        _log.warning("llm_fallback", provider=provider.name, reason=reason, detail=detail)
