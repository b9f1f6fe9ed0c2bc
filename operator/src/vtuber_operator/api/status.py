"""`status` of a VtuberSession: the flags in force and the state of the rollout.

It is the operator's only persistent state (ADR 8), and tools read it by the kstatus conventions.
"""

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from dialog_flags.flags import Flag
from vtuber_operator.api.spec import SpecModel

Time = Annotated[
    str, StringConstraints(max_length=32), Field(json_schema_extra={"format": "date-time"})
]
Sentence = Annotated[str, StringConstraints(max_length=1_024)]
Generation = Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})]

CONDITION_TYPES: Final = (
    "Ready",
    "Reconciling",
    "Stalled",
    "FlagsApplied",
    "SecretsReady",
    "Suspended",
)


class Phase(StrEnum):
    """State of the resource in one word."""

    PENDING = "Pending"
    PROGRESSING = "Progressing"
    READY = "Ready"
    SUSPENDED = "Suspended"
    STALLED = "Stalled"


class FlagPhase(StrEnum):
    """State of one flag in one word."""

    OFF = "Off"
    WAITING = "Waiting"
    SUSPENDED = "Suspended"
    TURNING_ON = "TurningOn"
    ON = "On"
    TURNING_OFF = "TurningOff"


class Reason(StrEnum):
    """Every reason that a condition can have.

    docs/vtubersession.md explains each of them; a test compares the two.
    """

    READY = "Ready"
    PROGRESSING = "Progressing"
    DONE = "Done"
    ACKNOWLEDGED = "Acknowledged"
    WAITING_FOR_PODS = "WaitingForPods"
    NO_LIVE_PODS = "NoLivePods"
    PODS_NOT_ACKNOWLEDGING = "PodsNotAcknowledging"
    REDIS_DOWN = "RedisDown"
    NO_KEYS = "NoKeys"
    KEYS_READY = "KeysReady"
    SECRET_MISSING = "SecretMissing"  # noqa: S105 - a reason, no password
    KEY_MISSING = "KeyMissing"
    KEY_NOT_MOUNTED = "KeyNotMounted"
    FLAG_UNSUPPORTED = "FlagUnsupported"
    SUSPENDED = "Suspended"
    NOT_SUSPENDED = "NotSuspended"
    NOT_STALLED = "NotStalled"
    SESSION_TAKEN = "SessionTaken"
    INVALID_SPEC = "InvalidSpec"


class EventReason(StrEnum):
    """Reasons of Events that are not reasons of a condition.

    Documented in docs/vtubersession.md too.
    """

    FLAG_ON = "FlagOn"
    FLAG_OFF = "FlagOff"


class Condition(SpecModel):
    """One condition, as in metav1.Condition."""

    type: Annotated[str, StringConstraints(max_length=64)] = Field(
        description="What the condition is about."
    )
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    observed_generation: int = Field(
        default=0,
        ge=0,
        json_schema_extra={"format": "int64"},
        description="metadata.generation that it was evaluated for.",
    )
    last_transition_time: Time = Field(description="When the status of the condition last changed.")
    reason: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="Why, in one word."
    )
    message: Sentence = Field(description="Why, in a sentence.")


class FlagStatus(SpecModel):
    """State of one flag: desired value, effective value, and acknowledgements."""

    name: Flag = Field(description="The flag's name.")
    desired: bool = Field(description="What spec.flags asks for.")
    effective: bool = Field(description="The value in the document that pods use.")
    phase: FlagPhase = Field(description="Where the flag is between the two.")
    acknowledged_pods: int = Field(
        default=0,
        ge=0,
        description="Live pods that use the present document; refreshed every few seconds.",
    )
    live_pods: int = Field(
        default=0,
        ge=0,
        description="Pods that must acknowledge: Ready, with the label vtuber.dev/flags.",
    )
    since: Time = Field(description="When the flag entered its phase.")


class Status(SpecModel):
    """Observed state of the session."""

    observed_generation: int = Field(
        default=0,
        ge=0,
        json_schema_extra={"format": "int64"},
        description="The metadata.generation that this status belongs to.",
    )
    phase: Phase = Field(default=Phase.PENDING, description="The state in one word.")
    step: Annotated[str, StringConstraints(max_length=64)] = Field(
        default="",
        description="Flags in force of flags wanted, and the one being changed, e.g. 2/3 SYNC_TTS_STREAMING.",
    )
    generation: Generation = Field(
        default=0,
        description="Generation of the flags in force: Unix ms of their change. Turns and samples carry it.",
    )
    effective: Annotated[str, StringConstraints(max_length=64)] = Field(
        default="", description="The flags in force in short, e.g. CORE,STREAMING,BARGE_IN."
    )
    flags: Annotated[list[FlagStatus], Field(max_length=16)] = Field(
        default=[],
        description="The flags one by one.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    conditions: Annotated[list[Condition], Field(max_length=16)] = Field(
        default=[],
        description="Ready, Reconciling, Stalled, FlagsApplied, SecretsReady and Suspended.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )

    def on(self) -> frozenset[Flag]:
        """Return the flags in force."""
        return frozenset(flag.name for flag in self.flags if flag.effective)

    def condition(self, kind: str) -> Condition | None:
        """Return the condition of this type, or None before it was first written."""
        return next((condition for condition in self.conditions if condition.type == kind), None)


SHORT: Final[dict[Flag, str]] = {
    Flag.ENABLE_SYNC_CORE: "CORE",
    Flag.SYNC_TTS_STREAMING: "STREAMING",
    Flag.SYNC_TTS_BARGE_IN: "BARGE_IN",
    Flag.ENABLE_STREAMS_OUTBOX: "OUTBOX",
    Flag.ENABLE_LTM: "LTM",
}
"""Names in `status.effective`."""
