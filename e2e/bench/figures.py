"""Medians and tails of a list of times."""

from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank; `share` from 0 to 1."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


def named(name: str, milliseconds: Sequence[float]) -> dict[str, float]:
    """`name_p50_ms`, `_p95_ms` and `_p99_ms`."""
    return {
        f"{name}_p{round(share * 100)}_ms": round(percentile(milliseconds, share), 2)
        for share in (0.5, 0.95, 0.99)
    }
