import pytest

from dialog_contracts.events_api import EventsBacklog, ReplayReceipt, ReplayRequest
from vtuber_cli.gateway import GatewayUnreachable
from vtuber_cli.gateway_api import GatewayApi, RequestRefused
from vtuber_cli.ports import free
from vtuber_cli.testing.answering_server import AnsweringServer


def api(port: int) -> GatewayApi:
    return GatewayApi(f"http://127.0.0.1:{port}")


def test_bodies_are_parsed(answering_server: AnsweringServer) -> None:
    port = answering_server(200, b'{"outboxes":[],"streams":[]}')
    assert api(port).get("/events/backlog", EventsBacklog).outboxes == []
    port = answering_server(200, b'{"parked":1,"dead":2}')
    assert api(port).post("/events/replay", ReplayRequest(), ReplayReceipt).dead == 2


@pytest.mark.parametrize(
    ("body", "said"),
    [(b'{"code":"admin_only","message":"not you"}', "not you"), (b"<html>", "status 401")],
)
def test_a_refusal_is_the_gateways_sentence(
    answering_server: AnsweringServer, body: bytes, said: str
) -> None:
    with pytest.raises(RequestRefused, match=said):
        api(answering_server(401, body)).get("/events/dead", EventsBacklog)


def test_another_form_and_no_gateway_are_said(answering_server: AnsweringServer) -> None:
    with pytest.raises(RequestRefused, match="another version"):
        api(answering_server(200, b"[]")).get("/events/backlog", EventsBacklog)
    with pytest.raises(GatewayUnreachable, match="Is it running"):
        api(free()).get("/events/backlog", EventsBacklog)
