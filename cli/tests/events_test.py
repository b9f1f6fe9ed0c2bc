import io
import json

import pytest

from vtuber_cli import events
from vtuber_cli.console import Console
from vtuber_cli.gateway_api import GatewayApi
from vtuber_cli.ports import free
from vtuber_cli.testing.answering_server import AnsweringServer

BACKLOG = {
    "outboxes": [
        {"ordinal": 0, "waiting": 3, "parked": 1, "oldestMs": 1, "problem": "down", "atMs": 1},
        {"ordinal": 1, "waiting": 9, "parked": 0, "atMs": 1, "live": False},
    ],
    "streams": [
        {"stream": "events.ltm", "group": "ltm_worker", "unread": 2, "pending": 1, "dead": 4}
    ],
}


def said(answer: object, server: AnsweringServer, verb: str = "backlog") -> tuple[int, str]:
    api = GatewayApi(f"http://127.0.0.1:{server(200, json.dumps(answer).encode())}")
    out = io.StringIO()
    console = Console(out)
    if verb == "replay":
        return events.replay(api, console, None, as_json=False), out.getvalue()
    run = events.backlog if verb == "backlog" else events.dead
    return run(api, console, as_json=False), out.getvalue()


def test_the_backlog_names_engines_that_are_gone(answering_server: AnsweringServer) -> None:
    status, text = said(BACKLOG, answering_server)
    assert status == 0
    first, second, stream = text.splitlines()
    assert "engine 0" in first
    assert "3 waiting" in first
    assert "1 parked" in first
    assert "down" in first
    assert "engine 1" in second
    assert "no engine; last report" in second
    assert stream.split() == ["events.ltm", "2", "unread,", "1", "pending,", "4", "dead"]


def test_json_is_what_the_gateway_answered(
    answering_server: AnsweringServer, capsys: pytest.CaptureFixture[str]
) -> None:
    port = answering_server(200, json.dumps(BACKLOG).encode())
    assert events.backlog(GatewayApi(f"http://127.0.0.1:{port}"), Console(), as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["outboxes"][1]["live"] is False
    assert found["streams"] == BACKLOG["streams"]


def test_the_dead_are_listed_with_their_reasons(answering_server: AnsweringServer) -> None:
    dead = {
        "id": "1-0", "where": "dead", "stream": "events.ltm", "eventId": "e", "type": "T",
        "reason": "turn: too small", "payload": "{}",
    }  # fmt: skip
    status, text = said({"events": [dead]}, answering_server, "dead")
    assert status == 0
    assert "1-0" in text
    assert "events.ltm: turn: too small" in text
    assert "No event has failed" in said({"events": []}, answering_server, "dead")[1]


def test_a_replay_that_did_not_reach_everything_says_so(
    answering_server: AnsweringServer,
) -> None:
    assert said({"parked": 1, "dead": 2}, answering_server, "replay") == (
        0,
        "  1 parked and 2 dead events are tried again.\n",
    )
    answer = {"parked": 0, "dead": 0, "unreachable": ["the engine at x: TimeoutError"]}
    status, text = said(answer, answering_server, "replay")
    assert status == 1
    assert "the engine at x" in text


def test_without_a_gateway_it_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    api = GatewayApi(f"http://127.0.0.1:{free()}")
    assert events.backlog(api, Console(), as_json=False) == 1
    assert "Is it running? `make run`" in capsys.readouterr().err
