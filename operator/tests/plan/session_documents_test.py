"""What a document says of a spec, and how a key's file is named."""

import re
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from dialog_contracts.session_document import KeyFile, SessionDocument
from vtuber_operator.api.spec import SpecLlm
from vtuber_operator.api.status import Reason
from vtuber_operator.plan.session_documents import RenderedDocument, document_of, key_file, keys_of
from vtuber_operator.plan.snapshot import Resource, SecretSeen

REF = {"secretKeyRef": {"name": "openai", "key": "token"}}
LLM = {
    "provider": "openai",
    "model": "gpt",
    "baseUrl": "https://api.example/v1",
    "temperature": 0.5,
    "apiKey": REF,
}
SECRETS = {("vt", "openai"): SecretSeen(frozenset({"token"}), "42")}
IN_FORCE = {
    "generation": 7,
    "flags": [
        {
            "name": "SYNC_TTS_STREAMING",
            "desired": True,
            "effective": True,
            "phase": "TurningOn",
            "since": "2026-01-01T00:00:00Z",
        }
    ],
}


def resource(status: dict[str, Any] | None = None, **spec: Any) -> Resource:
    body = {
        "metadata": {"namespace": "vt", "name": "one"},
        "spec": {"sessionId": "live-001", **spec},
    }
    return Resource.from_body({**body, "status": IN_FORCE if status is None else status})


def document(
    made: Resource, secrets: dict[tuple[str, str], SecretSeen] = SECRETS
) -> SessionDocument:
    found = document_of(made, keys_of(made, secrets))
    assert found is not None
    return found


def test_flags_are_those_in_force_and_not_those_that_are_wanted() -> None:
    made = document(resource(flags={"ENABLE_LTM": True, "ENABLE_STREAMS_OUTBOX": True}))
    on = {name for name, value in made.flags.model_dump().items() if value is True}
    assert (on, made.flags.generation, made.resource) == ({"SYNC_TTS_STREAMING"}, 7, "vt/one")


def test_nothing_is_delivered_before_the_first_status_or_while_another_has_the_session() -> None:
    taken = {
        "type": "Stalled",
        "status": "True",
        "reason": "SessionTaken",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    for made in (
        resource({}),
        resource({**IN_FORCE, "conditions": [taken]}),
        replace(resource(), session_id=None),
    ):
        assert document_of(made, keys_of(made, {})) is None


def test_a_spec_that_nobody_can_read_leaves_flags_and_nothing_else() -> None:
    made = document(resource(llm=LLM, flags={"ENABLE_LTM": "perhaps"}))
    assert made.flags.SYNC_TTS_STREAMING
    assert made.llm is None


def test_a_section_is_taken_over_with_the_file_instead_of_the_reference() -> None:
    made = document(
        resource(
            llm=LLM,
            voice={"provider": "edge", "voiceZh": "zh-CN-XiaoyiNeural"},
            persona={"lang": "zh"},
        )
    )
    assert made.llm is not None
    assert made.llm.to_wire() == {
        "provider": "openai",
        "model": "gpt",
        "baseUrl": "https://api.example/v1",
        "temperature": 0.5,
        "apiKeyFile": "vt.openai.token.42",
    }
    assert made.voice is not None
    assert made.voice.to_wire() == {"provider": "edge", "voiceZh": "zh-CN-XiaoyiNeural"}
    assert made.persona is not None
    assert made.persona.to_wire() == {"lang": "zh"}
    assert RenderedDocument.render(made).files == {"vt.openai.token.42"}
    assert "secretKeyRef" not in made.to_json()
    # Every field of the spec is one of the document, but for the reference.
    assert SpecLlm.model_fields.keys() - {"api_key"} == type(made.llm).model_fields.keys() - {
        "api_key_file"
    }


def test_a_key_that_is_not_there_leaves_out_its_section_and_no_other() -> None:
    for secrets, reason in (
        ({}, Reason.SECRET_MISSING),
        ({("other", "openai"): SECRETS["vt", "openai"]}, Reason.SECRET_MISSING),
        ({("vt", "openai"): SecretSeen(frozenset({"TOKEN"}), "42")}, Reason.KEY_MISSING),
    ):
        made = resource(llm=LLM, voice={"provider": "edge"})
        keys = keys_of(made, secrets)
        assert (keys.files, keys.reason) == ({}, reason)
        assert "spec.llm.apiKey" in str(keys.problem)
        assert "openai" in str(keys.problem)
        found = document(made, secrets)
        assert found.llm is None
        assert found.voice is not None


def test_without_a_reference_no_key_is_waited_for() -> None:
    keyless = resource(llm={"provider": "openai", "model": "m", "baseUrl": "http://llama:8080/v1"})
    assert keys_of(keyless, {}).reason is Reason.NO_KEYS
    made = document(keyless, {})
    assert made.llm is not None
    assert made.llm.api_key_file is None
    both = resource(llm=LLM, voice={"provider": "openai", "apiKey": REF})
    assert keys_of(both, SECRETS).reason is Reason.KEYS_READY
    assert {ref.file for ref in keys_of(both, SECRETS).files.values()} == {"vt.openai.token.42"}, (
        "one file for both"
    )


NAME = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", fullmatch=True)
NAMESPACE = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
KEY = st.from_regex(r"[A-Za-z0-9._-]{1,253}", fullmatch=True)
VERSION = st.integers(1, 2**63).map(str)


@given(NAMESPACE, NAME, KEY, VERSION)
def test_every_key_has_a_file_that_a_secret_and_a_document_accept(
    namespace: str, secret: str, key: str, version: str
) -> None:
    file = key_file(namespace, secret, key, version)
    assert TypeAdapter(KeyFile).validate_python(file) == file
    assert re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", file), "a Secret's own rule"
    assert file.startswith(namespace)
    assert file != key_file(namespace, secret, key, f"{version}1"), "a rotated key has another file"
