import importlib.util

import pytest

from vtuber_cli import settings


def test_every_declared_service_exists_and_has_a_port_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    loaded = settings.load()
    assert {spec.name for spec in loaded.services} >= {
        "gateway",
        "input-handler",
        "dialog-engine",
        "output-handler",
    }
    assert (
        len({spec.port for spec in loaded.services} | {settings.VALKEY_PORT})
        == len(loaded.services) + 1
    )
    for spec in loaded.services:
        assert importlib.util.find_spec(f"{spec.module}.__main__") is not None
    assert loaded.profile["SYNC_TTS_BARGE_IN"] == "true"
    assert (loaded.redis_url, loaded.port) == (None, None)


@pytest.mark.parametrize(("said", "port"), [("8080", 8080), (" 8080 ", 8080), ("", None)])
def test_port_in_the_shell_is_the_pages_and_not_every_process(
    monkeypatch: pytest.MonkeyPatch, said: str, port: int | None
) -> None:
    monkeypatch.setenv("PORT", said)
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere:6379/0")
    loaded = settings.load()
    assert loaded.port == port
    assert "PORT" not in loaded.inherited
    assert loaded.redis_url == "redis://elsewhere:6379/0"


@pytest.mark.parametrize(
    "said", ["many", "80a0", "0", "70000", "-1", "8080.0", "８０８０", "9" * 5000]
)
def test_a_port_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("PORT", said)
    with pytest.raises(ValueError, match=r"^PORT=.*: a port is a number from 1 to 65535"):
        settings.load()


def test_a_variable_that_is_nearly_a_setting_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KY", "sk-…")
    assert "OPENAI_API_KY is not a setting: did you mean OPENAI_API_KEY?" in settings.load().notes


def test_one_variable_of_one_service_can_be_set() -> None:
    loaded = settings.load(
        [
            "input-handler.DIALOG_ENGINE_URL=http://127.0.0.1:9000?a=b",
            "gateway.allowed_origins=http://a.b",
        ]
    )
    env = {spec.name: spec.env for spec in loaded.services}
    assert env["input-handler"]["DIALOG_ENGINE_URL"] == "http://127.0.0.1:9000?a=b"
    assert env["gateway"]["ALLOWED_ORIGINS"] == "http://a.b"


@pytest.mark.parametrize("change", ["", "gateway", "gateway.X", "=x", ".X=1", "gateway.=1"])
def test_a_change_that_is_none_is_refused_with_an_example(change: str) -> None:
    with pytest.raises(ValueError, match=r"write SERVICE\.NAME=VALUE"):
        settings.load([change])


def test_a_change_of_an_unknown_service_names_the_known_ones() -> None:
    with pytest.raises(
        ValueError,
        match="there is no service engine; the services are output-handler, dialog-engine",
    ):
        settings.load(["engine.X=1"])


@pytest.mark.parametrize(
    ("said", "there"), [(None, True), ("true", True), ("false", False), ("0", False)]
)
def test_the_legacy_chain_can_be_left_out(
    monkeypatch: pytest.MonkeyPatch, said: str | None, there: bool
) -> None:
    monkeypatch.delenv("LEGACY_ENABLED", raising=False)
    if said is not None:
        monkeypatch.setenv("LEGACY_ENABLED", said)
    loaded = settings.load()
    names = {spec.name for spec in loaded.services}
    assert {name in names for name in ("memory", "chat-ai", "tts")} == {there}
    assert names >= {"long-term-memory", "ltm-worker", "analytics-worker"}, "events need them"
    assert "asr" in names, "microphones need it"
    assert all(
        spec.fallback == (spec.name in {"memory", "chat-ai", "tts", "asr"})
        for spec in loaded.services
    )


def test_the_workers_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS_ENABLED", "false")
    names = {spec.name for spec in settings.load().services}
    assert not names & {"long-term-memory", "ltm-worker", "analytics-worker"}
    assert "memory" in names


@pytest.mark.parametrize(("legacy", "there"), [("true", True), ("false", False)])
def test_without_microphones_asr_is_a_part_of_the_legacy_chain(
    monkeypatch: pytest.MonkeyPatch, legacy: str, there: bool
) -> None:
    monkeypatch.setenv("MICROPHONE_ENABLED", "false")
    monkeypatch.setenv("LEGACY_ENABLED", legacy)
    assert ("asr" in {spec.name for spec in settings.load().services}) is there


def test_a_service_can_run_more_than_once_each_with_a_name_and_a_port_of_its_own() -> None:
    loaded = settings.load(["dialog-engine.LLM_MODEL=1"], ["dialog-engine=3", "output-handler=2"])
    engines = [spec for spec in loaded.services if spec.service == "dialog-engine"]
    assert [(spec.name, spec.ordinal, spec.env["LLM_MODEL"]) for spec in engines] == [
        ("dialog-engine", 0, "1"),
        ("dialog-engine-1", 1, "1"),
        ("dialog-engine-2", 2, "1"),
    ]
    assert len({spec.port for spec in loaded.services}) == len(loaded.services)


@pytest.mark.parametrize(
    "scale",
    [
        "",
        "dialog-engine",
        "dialog-engine=0",
        "dialog-engine=10",
        "gateway=2",
        "engine=2",
        "dialog-engine=-1",
    ],
)
def test_a_scale_that_is_none_is_refused_with_what_may_be_said(scale: str) -> None:
    with pytest.raises(
        ValueError,
        match="write SERVICE=1 to SERVICE=9; the service is one of dialog-engine, output-handler",
    ):
        settings.load(scales=[scale])
