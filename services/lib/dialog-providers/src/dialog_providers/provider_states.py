"""How the providers of a chain are: who answered last, who did not and why, and who is left out for a while."""

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
    """By place in the chain. A provider that failed in a way that will not be over soon is cold for `cool_down_s` of `clock`."""

    def __init__(
        self, named: Sequence[tuple[str, str]], *, cool_down_s: float, clock: Callable[[], float]
    ) -> None:
        """`named`: name, and what may be said of it (a model and where it is), of each."""
        self._states = [_State(name, about) for name, about in named]
        self._cooldown_s, self._clock = cool_down_s, clock

    def cooling(self) -> frozenset[int]:
        """Who is left out now; nobody where that would be all: a doubtful answer beats none."""
        now = self._clock()
        cold = {
            at
            for at, state in enumerate(self._states)
            if state.cooling_until is not None and now < state.cooling_until
        }
        return frozenset() if len(cold) == len(self._states) else frozenset(cold)

    def answered(self, place: int) -> None:
        """It works."""
        state = self._states[place]
        state.answered, state.failure, state.cooling_until = True, None, None

    def failed(self, place: int, why: str, *, cools: bool) -> None:
        """It does not, for this reason."""
        state = self._states[place]
        state.failure = redact(why)
        if cools:
            state.cooling_until = self._clock() + self._cooldown_s

    @property
    def unwarmed(self) -> list[int]:
        """Those that have not answered, or did not the last time."""
        return [
            at
            for at, state in enumerate(self._states)
            if not state.answered or state.failure is not None
        ]

    def report(self) -> ProviderReport:
        """What a person wants to know."""
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
