import io
import json

import pytest

from dialog_contracts.events_api import SessionFigures
from vtuber_cli import analytics
from vtuber_cli.console import Console
from vtuber_cli.gateway_api import GatewayApi
from vtuber_cli.ports import free
from vtuber_cli.testing.answering_server import AnsweringServer

FIGURES = {
    "session": "live-001", "turns": 3, "interrupted": 1, "legacy": 0, "ttft_p50_ms": 40.0,
    "first_audio_p50_ms": 120.0, "first_audio_p95_ms": 230.4,
    "recent": [
        {"turn": turn, "ts": 1, "path": "sync", "interrupted": False, "first_audio_ms": ms}
        for turn, ms in ((1, 100.0), (2, None), (3, 230.4))
    ],
}  # fmt: skip


def api(server: AnsweringServer, *sessions: object) -> GatewayApi:
    return GatewayApi(
        f"http://127.0.0.1:{server(200, json.dumps({'sessions': list(sessions)}).encode())}"
    )


def test_a_session_as_json_has_its_figures(
    answering_server: AnsweringServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert analytics.main(api(answering_server, FIGURES), Console(), "live-001", as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["turns"], found["interrupted"], found["first_audio_p95_ms"]) == (3, 1, 230.4)


def test_a_session_without_turns_has_them_too(
    answering_server: AnsweringServer, capsys: pytest.CaptureFixture[str]
) -> None:
    none = {"session": "new", "turns": 0, "interrupted": 0, "legacy": 0}
    assert analytics.main(api(answering_server, none), Console(), "new", as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["turns"], found["interrupted"], found["first_audio_p95_ms"]) == (0, 0, None)


def test_people_get_a_line_a_session_and_a_chart_of_one(
    answering_server: AnsweringServer,
) -> None:
    out = io.StringIO()
    assert (
        analytics.main(api(answering_server, FIGURES), Console(out), "live-001", as_json=False) == 0
    )
    line, chart = out.getvalue().splitlines()
    assert "3 turns, 1 interrupted" in line
    assert "120 ms median, 230 ms p95" in line
    assert chart.endswith("▄·█")
    out = io.StringIO()
    assert analytics.main(api(answering_server), Console(out), None, as_json=False) == 0
    assert "ENABLE_STREAMS_OUTBOX" in out.getvalue()


def test_bars_are_bounded() -> None:
    turns = [
        {"turn": turn, "ts": 1, "path": "sync", "interrupted": False, "first_audio_ms": 0.0}
        for turn in range(1, 200)
    ]
    figures = SessionFigures.model_validate({**FIGURES, "recent": turns})
    assert analytics.sparkline(figures) == "▁" * analytics.BARS_SHOWN


def test_without_a_gateway_it_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free()}"
    assert analytics.main(GatewayApi(url), Console(), None, as_json=False) == 1
    assert "Is it running? `make run`" in capsys.readouterr().err
