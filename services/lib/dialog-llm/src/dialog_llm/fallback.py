"""Several language models in order of preference, used as one.

A model may be unreachable, overloaded or out of quota. FallbackLlm then tries the next one, but
only while no text has been produced: after the first piece the user may have heard the beginning of
an answer, and another model would contradict it. Each fallback is logged and counted with its
reason.

Retrying every provider on every turn would cost a dead address its whole connect timeout each time.
So a provider whose failure will probably persist (unreachable, key rejected, quota, address not
allowed) is not tried during a cooldown; the states are in `dialog_providers.provider_states`. Each
provider is isolated by an LlmBoundary (`boundary.py`).
"""

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

# With these reasons the next call will fail as well, and a dead address costs its whole connect
# timeout each time.
_COOLING_REASONS = frozenset({"unauthorized", "quota", "connection", "address_refused"})

# These reasons concern one prompt or one reply; the model itself is available.
_TEXT_REASONS = frozenset({"empty", "filtered", "wall_clock"})


class FallbackLlm:
    """An `LlmProvider` that tries `providers` in order, each behind an LlmBoundary.

    It falls back only while nothing has been produced; later errors propagate. A provider that was
    unreachable or refused our key is not tried for `cool_down_s` seconds of `clock`; when all are
    cooling down, all are tried, because an attempt that probably fails is better than no answer.
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
        """`absent` maps providers that settings name but that are not configured to the reason."""
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
        """Return a FallbackLlm with this one provider, under its name.

        A FallbackLlm is returned unchanged.
        """
        return (
            provider
            if isinstance(provider, FallbackLlm)
            else cls([provider], name=name_of(provider), absent=absent)
        )

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions
    ) -> AsyncGenerator[Piece, None]:
        """Yield the pieces of the first provider that works.

        Raises its `LlmError` after a piece, and `AllProvidersFailed` before one.
        """
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
        """Warm all providers that are not warm, concurrently.

        One that fails is logged and stays in the list, since it may recover. Raises
        `AllProvidersFailed` where none is warm.
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
        """Whether at least one provider answered its last call."""
        return len(self._states.unwarmed) < len(self._providers)

    @property
    def all_warm(self) -> bool:
        """Whether every provider answered its last call."""
        return not self._states.unwarmed

    def in_use(self) -> tuple[str, dict[str, str]]:
        """Return the provider that answers now, by the last replies.

        The second value maps the providers before it to the reason why they do not answer.
        """
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
        """Return the report for `/readyz`, including providers that are not configured."""
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
        _log.warning("llm_fell_through", provider=provider.name, reason=reason, detail=detail)
