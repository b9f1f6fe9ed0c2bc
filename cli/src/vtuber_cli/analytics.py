"""`vtuber analytics`: turns, first audio and interruptions of sessions."""

import json
import sys
from typing import Final

from dialog_contracts.events_api import AnalyticsReport, SessionFigures
from vtuber_cli.console import Console
from vtuber_cli.gateway import GatewayUnreachable
from vtuber_cli.gateway_api import GatewayApi, RequestRefused

BARS: Final = "▁▂▃▄▅▆▇█"
BARS_SHOWN: Final = 60


def main(api: GatewayApi, console: Console, session: str | None, *, as_json: bool) -> int:
    """Print the figures of one session or of all; return the exit status."""
    try:
        found = api.get(
            f"/analytics?session={session}" if session else "/analytics", AnalyticsReport
        )
    except (GatewayUnreachable, RequestRefused) as error:
        print(f"vtuber analytics: {error}", file=sys.stderr)
        return 1
    if as_json:
        whole = found.sessions[0].model_dump(mode="json") if session else found.to_wire()
        print(json.dumps(whole))
        return 0
    for figures in found.sessions:
        console.say(_line(figures))
        if session and figures.recent:
            console.say(f"    first audio, turn by turn: {sparkline(figures)}")
    if not found.sessions:
        console.say("  No turn has been counted yet; ENABLE_STREAMS_OUTBOX must be on.")
    return 0


def _line(figures: SessionFigures) -> str:
    return (
        f"  {figures.session:<20} {figures.turns} turns, {figures.interrupted} interrupted, "
        f"{figures.legacy} by the fallback; first audio {_ms(figures.first_audio_p50_ms)} median, "
        f"{_ms(figures.first_audio_p95_ms)} p95; first text {_ms(figures.ttft_p50_ms)} median"
    )


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} ms"


def sparkline(figures: SessionFigures) -> str:
    """Return the first audio of the latest turns as bars; a turn without audio is a dot."""
    values = [turn.first_audio_ms for turn in figures.recent][-BARS_SHOWN:]
    highest = max((value for value in values if value is not None), default=0.0) or 1.0
    return "".join(
        "·" if value is None else BARS[min(len(BARS) - 1, int(value / highest * len(BARS)))]
        for value in values
    )
