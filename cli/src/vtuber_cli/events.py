"""`vtuber events`: what waits in outboxes and streams, what has failed, and trying it again."""

import json
import sys
import time
from collections.abc import Sequence

from dialog_contracts.events_api import (
    EventsBacklog,
    FailedEvents,
    OutboxBacklog,
    ReplayReceipt,
    ReplayRequest,
)
from vtuber_cli.console import Console
from vtuber_cli.gateway import GatewayUnreachable
from vtuber_cli.gateway_api import GatewayApi, RequestRefused


def backlog(api: GatewayApi, console: Console, *, as_json: bool) -> int:
    """Print the backlog of each engine and each stream; return the exit status."""
    try:
        found = api.get("/events/backlog", EventsBacklog)
    except (GatewayUnreachable, RequestRefused) as error:
        return _failed(error)
    if as_json:
        print(json.dumps(found.to_wire()))
        return 0
    for outbox in found.outboxes:
        console.say(_outbox_line(outbox, console))
    for stream in found.streams:
        dead = console.paint(f", {stream.dead} dead", "red") if stream.dead else ""
        console.say(f"  {stream.stream:<18} {stream.unread} unread, {stream.pending} pending{dead}")
    if found.redis is not None:
        console.say(f"  {console.paint('Streams:', 'yellow')} {found.redis}")
    if not found.outboxes:
        console.say("  No engine has reported yet.")
    return 0


def dead(api: GatewayApi, console: Console, *, as_json: bool) -> int:
    """Print the events that could not be delivered or applied; return the exit status."""
    try:
        found = api.get("/events/dead", FailedEvents)
    except (GatewayUnreachable, RequestRefused) as error:
        return _failed(error)
    if as_json:
        print(json.dumps(found.to_wire()))
        return 0
    for event in found.events:
        place = f"engine {event.ordinal}" if event.where == "parked" else event.stream
        console.say(f"  {event.id}  {event.type:<20} {place}: {event.reason}")
    if found.redis is not None:
        console.say(f"  {console.paint('Dead letters:', 'yellow')} {found.redis}")
    if not found.events:
        console.say("  No event has failed.")
    else:
        console.say("  Try them again: vtuber events replay --all, or with their ids")
    return 0


def replay(api: GatewayApi, console: Console, ids: Sequence[str] | None, *, as_json: bool) -> int:
    """Have failed events tried again, all of them if `ids` is None; return the exit status."""
    try:
        receipt = api.post(
            "/events/replay",
            ReplayRequest(ids=list(ids) if ids is not None else None),
            ReplayReceipt,
        )
    except (GatewayUnreachable, RequestRefused) as error:
        return _failed(error)
    if as_json:
        print(json.dumps(receipt.to_wire()))
    else:
        console.say(f"  {receipt.parked} parked and {receipt.dead} dead events are tried again.")
        for problem in receipt.unreachable:
            console.say(f"  {console.paint('Not reached:', 'red')} {problem}")
    return 1 if receipt.unreachable else 0


def _outbox_line(outbox: OutboxBacklog, console: Console) -> str:
    age = (
        f", the oldest {max(0.0, time.time() - outbox.oldest_ms / 1000):.0f} s"
        if outbox.oldest_ms is not None
        else ""
    )
    parked = console.paint(f", {outbox.parked} parked", "red") if outbox.parked else ""
    note = ""
    if not outbox.live:
        ago = max(0.0, time.time() - outbox.at_ms / 1000)
        note = console.paint(f"  no engine; last report {ago:.0f} s ago", "yellow")
    elif outbox.problem is not None:
        note = f"  {console.paint(outbox.problem, 'yellow')}"
    return f"  engine {outbox.ordinal:<11} {outbox.waiting} waiting{age}{parked}{note}"


def _failed(error: Exception) -> int:
    print(f"vtuber events: {error}", file=sys.stderr)
    return 1
