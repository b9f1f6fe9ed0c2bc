"""Entries of an event stream as consumers see them, and what a consumer can do with one."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from dialog_contracts.outbox import MAX_EVENT_BYTES, PAYLOADS, OutboxEvent
from service_runtime.http.errors import field_error


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. `deliveries` is how often it was delivered to any consumer, 1 the first time."""

    id: str
    fields: dict[str, str]
    deliveries: int = 1

    def event(self) -> OutboxEvent:
        """Return the event; raises Rejected if it is too large or not valid."""
        raw = self.fields.get("payload", "")
        if len(raw) > MAX_EVENT_BYTES:
            raise Rejected(f"payload: has {len(raw)} bytes, at most {MAX_EVENT_BYTES} are allowed")
        try:
            event = OutboxEvent.from_json(raw.encode("utf-8", "surrogateescape"))
            PAYLOADS[event.type].model_validate(event.payload)
        except ValidationError as error:
            raise Rejected(field_error(error).body.message) from error
        return event


class Rejected(Exception):
    """The entry can never be processed; the text is the reason."""


class EffectUnavailable(Exception):
    """What the effect needs does not answer now; the entries are not at fault."""


@dataclass(frozen=True, slots=True)
class Applied:
    """Result of one entry: None if it was applied, otherwise why it can never be."""

    rejected: str | None = None


Apply = Callable[[Sequence[Entry]], Awaitable[Sequence[Applied]]]
"""Applies entries, and returns a result for each.

It applies each eventId once, however often it gets it. Raises EffectUnavailable, and any other
exception for a failure of the entries.
"""
