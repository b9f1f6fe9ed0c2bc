"""Which flag moves next, and when a document counts as delivered."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dialog_contracts.http import FlagSet
from dialog_contracts.session_document import SessionDocument, SessionLlm
from dialog_flags.flags import Flag, validate
from vtuber_operator.plan.flag_steps import (
    FlagChange,
    RolloutProgress,
    format_pods,
    next_change,
    rollout_progress,
)
from vtuber_operator.plan.session_documents import RenderedDocument
from vtuber_operator.plan.snapshot import (
    Acknowledgement,
    ClusterSnapshot,
    WrittenDocument,
    flag_set,
)

NOW = 1_760_000_000_000
FILE = "vt.openai.token.1"
CORE, STREAMING, BARGE_IN = Flag.ENABLE_SYNC_CORE, Flag.SYNC_TTS_STREAMING, Flag.SYNC_TTS_BARGE_IN
LEGAL = st.frozensets(st.sampled_from(list(Flag))).filter(lambda on: validate(flag_set(on)) == [])

DRAFT = RenderedDocument.render(
    SessionDocument(
        session_id="live-001",
        flags=FlagSet(generation=1),
        resource="vt/live-001",
        llm=SessionLlm(model="m", api_key_file=FILE),
    )
)
WORLD = ClusterSnapshot(
    now_ms=NOW,
    pods={"a": NOW - 60_000, "b": NOW - 60_000},
    written={"live-001": WrittenDocument(DRAFT.text, NOW - 9_000, 1)},
    acks={
        "a": Acknowledgement(NOW - 9_000, NOW - 1_000),
        "b": Acknowledgement(NOW - 9_000, NOW - 1_000),
    },
)


@given(LEGAL, LEGAL)
def test_from_any_legal_set_to_any_other_one_flag_at_a_time_and_every_set_between_is_legal(
    effective: frozenset[Flag], desired: frozenset[Flag]
) -> None:
    moves = 0
    on = effective
    while (move := next_change(on, desired)) is not None:
        on = on | {move.flag} if move.on else on - {move.flag}
        moves += 1
        assert validate(flag_set(on)) == []
    assert on == desired
    assert moves == len(effective ^ desired), "no flag moves twice"


def test_what_goes_off_goes_before_what_comes_on_and_dependents_first() -> None:
    assert next_change(
        frozenset({CORE, STREAMING, BARGE_IN}), frozenset({Flag.ENABLE_SYNC_CORE})
    ) == FlagChange(BARGE_IN, on=False)
    assert next_change(
        frozenset({CORE, STREAMING}), frozenset({CORE, Flag.ENABLE_STREAMS_OUTBOX})
    ) == FlagChange(STREAMING, on=False)
    assert next_change(frozenset({CORE}), frozenset({CORE})) is None


def test_every_live_pod_has_to_say_it() -> None:
    assert rollout_progress(WORLD, DRAFT) == RolloutProgress(
        written=True, acknowledged=frozenset({"a", "b"})
    )
    assert rollout_progress(WORLD, DRAFT).applied
    behind = replace(WORLD, acks={**WORLD.acks, "b": Acknowledgement(NOW - 9_001, NOW)})
    assert rollout_progress(behind, DRAFT) == RolloutProgress(
        written=True, acknowledged=frozenset({"a"}), behind=("b",)
    )
    assert not rollout_progress(behind, DRAFT).applied
    assert not rollout_progress(replace(WORLD, pods={}), DRAFT).applied, "nobody is not everybody"


def test_one_acknowledgement_ahead_counts_and_a_pod_that_is_not_live_does_not() -> None:
    ahead = replace(
        WORLD,
        acks={
            "a": Acknowledgement(NOW, NOW),
            "b": Acknowledgement(NOW + 5, NOW),
            "gone": Acknowledgement(1, NOW),
        },
    )
    assert rollout_progress(ahead, DRAFT).acknowledged == frozenset({"a", "b"})


def test_an_old_acknowledgement_counts_no_more_and_the_pod_owes_since_then() -> None:
    silent = replace(WORLD, acks={**WORLD.acks, "b": Acknowledgement(NOW - 9_000, NOW - 15_001)})
    far = rollout_progress(silent, DRAFT)
    assert far.behind == ("b",)
    # It was asked 9 s ago: what it said before does not count against it.
    assert far.late_ms == 9_000
    later = replace(
        silent,
        now_ms=NOW + 50_000,
        acks={
            "a": Acknowledgement(NOW - 9_000, NOW + 50_000),
            "b": Acknowledgement(NOW - 9_000, NOW + 30_000),
        },
    )
    assert rollout_progress(later, DRAFT).late_ms == 20_000


def test_a_new_pod_is_late_only_since_it_is_ready() -> None:
    fresh = replace(WORLD, pods={**WORLD.pods, "new": NOW - 2_000})
    assert (rollout_progress(fresh, DRAFT).behind, rollout_progress(fresh, DRAFT).late_ms) == (
        ("new",),
        2_000,
    )


def test_another_text_in_redis_is_not_this_document() -> None:
    other = replace(WORLD, written={"live-001": WrittenDocument(DRAFT.text + " ", NOW - 9_000, 1)})
    for world in (other, replace(WORLD, written={})):
        assert rollout_progress(world, DRAFT) == RolloutProgress(written=False, behind=("a", "b"))
    assert rollout_progress(WORLD, None) == RolloutProgress(written=False, behind=("a", "b"))


def test_a_key_that_a_pod_lacks_is_said_only_of_documents_that_name_it() -> None:
    lacking = replace(
        WORLD,
        acks={**WORLD.acks, "b": Acknowledgement(NOW - 9_000, NOW, frozenset({FILE, "other"}))},
    )
    assert rollout_progress(lacking, DRAFT).missing_keys == ("b",)
    assert rollout_progress(lacking, DRAFT).applied, "flags do not wait for keys"
    elsewhere = replace(
        WORLD, acks={**WORLD.acks, "b": Acknowledgement(NOW - 9_000, NOW, frozenset({"other"}))}
    )
    assert rollout_progress(elsewhere, DRAFT).missing_keys == ()


@given(st.lists(st.from_regex(r"[a-z]{1,5}", fullmatch=True), unique=True))
def test_a_sentence_names_five_pods_and_counts_the_rest(pods: list[str]) -> None:
    sentence = format_pods(pods)
    assert sentence.count(",") <= 4
    assert (f" and {len(pods) - 5} more" in sentence) is (len(pods) > 5)
    assert all(pod in sentence for pod in sorted(pods)[:5])
