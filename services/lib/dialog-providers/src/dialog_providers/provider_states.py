"""States of the providers in a fallback list.

A state says whether the provider answered, why it failed, and until when it cools down.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dialog_contracts.http import ProviderReport
from service_runtime.redact import redact


@dataclass(slots=True)
class _State:
    name: str
    about: str
    cooling_until: float | None = None
    answered: bool = False
    failure: str | None = None


class ProviderStates:
    """States by position in the list.

    A provider whose failure will probably persist is not tried for `cool_down_s` seconds of
    `clock`.
    """

    def __init__(
        self, named: Sequence[tuple[str, str]], *, cool_down_s: float, clock: Callable[[], float]
    ) -> None:
        """`named` holds the name and the description (model and address) of each provider."""
        self._states = [_State(name, about) for name, about in named]
        self._cooldown_s, self._clock = cool_down_s, clock

    def cooling(self) -> frozenset[int]:
        """Return the positions of providers that are cooling down.

        The result is empty when all of them are: trying a provider that probably fails is better
        than no answer.
        """
        now = self._clock()
        cold = {
            at
            for at, state in enumerate(self._states)
            if state.cooling_until is not None and now < state.cooling_until
        }
        return frozenset() if len(cold) == len(self._states) else frozenset(cold)

    def answered(self, place: int) -> None:
        """Record that the provider works, and end its cooldown."""
        state = self._states[place]
        state.answered, state.failure, state.cooling_until = True, None, None

    def failed(self, place: int, why: str, *, cools: bool) -> None:
        """Record the reason of a failure; with `cools`, start the cooldown."""
        state = self._states[place]
        state.failure = redact(why)
        if cools:
            state.cooling_until = self._clock() + self._cooldown_s

    @property
    def unwarmed(self) -> list[int]:
        """Positions of providers that have not answered, or whose last call failed."""
        return [
            at
            for at, state in enumerate(self._states)
            if not state.answered or state.failure is not None
        ]

    def report(self) -> ProviderReport:
        """Return the report for `/readyz`."""
        using = next(
            (state for state in self._states if state.answered and state.failure is None), None
        )
        return ProviderReport(
            configured=[state.name for state in self._states],
            in_use=using.name if using is not None else None,
            about={state.name: state.about for state in self._states if state.about},
            why_not={
                state.name: state.failure for state in self._states if state.failure is not None
            },
        )
