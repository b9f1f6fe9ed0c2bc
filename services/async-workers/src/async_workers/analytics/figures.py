"""Percentiles of turns."""

from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the value that `share` (0 to 1) of the values do not exceed; None without values.

    It is one of the values (nearest rank).
    """
    if not values:
        return None
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * round(share * 1000) // 1000))
    return round(ordered[min(rank, len(ordered)) - 1], 1)
