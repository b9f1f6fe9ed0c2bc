"""What a spec may say: the same for the API server, the operator and the document that pods get."""

import itertools
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import from_regex, text
from pydantic import TypeAdapter, ValidationError

from dialog_contracts.http import FlagSet
from dialog_contracts.session_document import KeyFile, SessionDocument
from dialog_flags.flags import Flag, validate
from vtuber_operator.api.spec import (
    FLAG_DEFAULTS,
    Rollout,
    SecretKeyRef,
    SecretName,
    SessionName,
    Spec,
    SpecFlags,
    SpecLlm,
    SpecModel,
    SpecPersona,
    SpecVoice,
    flag_rules,
)

SESSIONS = ["live-001", "*", "x" * 64, "A_b"]


def holds(rule: str, spec: dict[str, Any]) -> bool:
    """What the API server's CEL says of a rule: has, !, &&, || and == only."""
    python = re.sub(r"has\(self\.(\w+)\)", r"('\1' in self)", rule)
    python = re.sub(r"self\.(\w+)", r"self['\1']", python)
    for sign, word in (("&&", " and "), ("||", " or "), ("!", " not ")):
        python = python.replace(sign, word)
    return bool(eval(python, {"__builtins__": {}}, {"self": spec}))


def accepts(kind: Any, value: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def rules_of(model: type[SpecModel]) -> list[dict[str, str]]:
    extra = model.model_config["json_schema_extra"]
    assert isinstance(extra, dict)
    rules: Any = extra["x-kubernetes-validations"]
    return list(rules)


def test_every_flag_is_a_field_with_the_default_that_pods_have() -> None:
    assert set(SpecFlags.model_fields) == set(Flag)
    assert SpecFlags().model_dump() == {
        name: value for name, value in FlagSet().to_wire().items() if name in set(Flag)
    }
    assert SpecFlags().on() == {flag for flag in Flag if FLAG_DEFAULTS[flag]}


def test_the_rules_refuse_exactly_what_the_operator_would_find_invalid() -> None:
    for values in itertools.product((None, False, True), repeat=len(Flag)):
        given_flags = {
            str(flag): value for flag, value in zip(Flag, values, strict=True) if value is not None
        }
        refused = [rule["message"] for rule in flag_rules() if not holds(rule["rule"], given_flags)]
        on = SpecFlags.model_validate(given_flags).on()
        found = validate(FlagSet.model_validate({str(flag): flag in on for flag in Flag}))
        assert len(refused) == len(found), given_flags
        assert {line.split()[0] for line in refused} == {line.split()[0] for line in found}


def test_a_rule_names_the_field_that_is_wrong_and_the_way_out() -> None:
    for rule in flag_rules():
        flag = rule["fieldPath"].removeprefix(".")
        assert Flag(flag)
        assert rule["message"].startswith(f"{flag} needs ")
        assert rule["message"].endswith(f"or turn {flag} off")


@pytest.mark.parametrize("model", [SpecLlm, SpecVoice])
@pytest.mark.parametrize("field", ["baseUrl", "model", "apiKey"])
@pytest.mark.parametrize("provider", [None, "openai", "espeak", "rules"])
def test_what_only_openai_has_is_refused_for_others(
    model: type[SpecModel], field: str, provider: str | None
) -> None:
    spec = {} if provider is None else {"provider": provider}
    rules = rules_of(model)
    assert all(holds(rule["rule"], spec) for rule in rules), "an absent field is no error"
    (broken,) = [rule for rule in rules if field in rule["rule"]]
    assert holds(broken["rule"], {**spec, field: "x"}) is (provider == "openai")
    assert field in broken["message"]


@pytest.mark.parametrize("session_id", SESSIONS)
def test_a_session_that_a_spec_may_name_has_a_document(session_id: str) -> None:
    assert Spec(session_id=session_id).for_every_session is (session_id == "*")
    SessionDocument(session_id=session_id, flags=FlagSet(), resource="vt/one")


@given(
    text(alphabet="aZ0_-*/. \n", max_size=5) | from_regex(r"[A-Za-z0-9_-]{60,70}", fullmatch=True)
)
def test_a_spec_names_no_session_that_has_no_document(session_id: str) -> None:
    valid = session_id == "*" or re.fullmatch(r"[A-Za-z0-9_-]{1,64}", session_id) is not None
    assert accepts(SessionName, session_id) is valid


@given(text(alphabet="aZ0_-./\n", max_size=6))
def test_a_reference_is_a_name_of_kubernetes_and_never_a_path(name: str) -> None:
    if accepts(SecretName, name):
        assert name == name.lower()
        assert name[0].isalnum()
        assert name[-1].isalnum()
        assert "/" not in name
    if accepts(SecretKeyRef, {"name": "openai", "key": name}):
        assert "/" not in name
        assert name.isprintable()


@pytest.mark.parametrize(
    ("model", "field", "first", "last"),
    [
        (Rollout, "ackDeadlineSeconds", 5, 3_600),
        (SpecLlm, "maxTokens", 1, 8_000),
        (SpecLlm, "temperature", 0, 2),
    ],
)
def test_a_number_is_limited_at_both_ends(
    model: type[SpecModel], field: str, first: int, last: int
) -> None:
    for value in (first, last):
        assert model.model_validate({field: value}).model_dump(by_alias=True)[field] == value
    for value in (first - 1, last + 1):
        with pytest.raises(ValidationError) as refused:
            model.model_validate({field: value})
        assert refused.value.errors()[0]["loc"] == (field,)


@pytest.mark.parametrize(
    ("model", "document"), [(SpecPersona, "persona"), (SpecLlm, "llm"), (SpecVoice, "voice")]
)
def test_a_section_at_its_limits_fits_into_the_document(
    model: type[SpecModel], document: str
) -> None:
    longest = {
        "instructions": "x" * 4_000,
        "lang": "zh-Hant-TW",
        "provider": "openai",
        "baseUrl": "https://" + "x" * 504,
        "model": "m" * 128,
        "maxTokens": 8_000,
        "temperature": 2,
        "voiceZh": "v" * 128,
        "voiceEn": "v" * 128,
    }
    section = model.model_validate(longest).model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
    assert len(section) >= 2
    base = {"sessionId": "a", "flags": {}, "resource": "vt/one"}
    SessionDocument.model_validate({**base, document: section})


def test_fields_of_a_newer_version_are_no_error_and_a_key_is_never_in_a_spec() -> None:
    spec = Spec.model_validate(
        {
            "sessionId": "a",
            "future": 1,
            "llm": {
                "apiKey": {"secretKeyRef": {"name": "openai", "key": "token", "value": "sk-secret"}}
            },
        }
    )
    assert "sk-secret" not in spec.model_dump_json()
    assert spec.llm is not None
    assert spec.llm.api_key is not None
    ref = spec.llm.api_key.secret_key_ref
    assert not accepts(KeyFile, f"../{ref.key}")


def test_a_spec_of_a_session_alone_turns_on_the_defaults_and_waits_a_minute() -> None:
    spec = Spec.model_validate({"sessionId": "live-001"})
    assert (spec.persona, spec.llm, spec.voice) == (None, None, None)
    assert (spec.rollout.suspend, spec.rollout.ack_deadline_seconds) == (False, 60)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(spec, "session_id", "other")  # noqa: B010 - the checker knows it too
