import importlib.util

import pytest

from vtuber_cli import settings


def test_every_declared_service_exists_and_has_a_port_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    loaded = settings.load()
    assert {spec.name for spec in loaded.services} >= {"gateway", "input-handler", "dialog-engine", "output-handler"}
    assert len({spec.port for spec in loaded.services} | {settings.VALKEY_PORT}) == len(loaded.services) + 1
    for spec in loaded.services:
        assert importlib.util.find_spec(f"{spec.module}.__main__") is not None
    assert loaded.profile["SYNC_TTS_BARGE_IN"] == "true"
    assert (loaded.redis_url, loaded.port) == (None, None)


@pytest.mark.parametrize(("said", "port"), [("8080", 8080), ("", None), ("many", None)])
def test_port_in_the_shell_is_the_pages_and_not_every_process(
    monkeypatch: pytest.MonkeyPatch, said: str, port: int | None
) -> None:
    monkeypatch.setenv("PORT", said)
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere:6379/0")
    loaded = settings.load()
    assert loaded.port == port
    assert "PORT" not in loaded.inherited
    assert loaded.redis_url == "redis://elsewhere:6379/0"
