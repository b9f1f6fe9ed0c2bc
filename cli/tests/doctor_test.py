import json
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from vtuber_cli import doctor, ports, settings
from vtuber_cli.console import Console
from vtuber_cli.service_addresses import ServiceAddress
from vtuber_cli.testing.answering_server import answering

Saying = Callable[[int, object], int]


@pytest.fixture
def saying() -> Iterator[Saying]:
    with answering() as start:
        yield lambda status, body: start(status, json.dumps(body).encode())


def lines(*candidates: list[ServiceAddress]) -> list[tuple[str, str, str]]:
    return [
        (one.name, one.state, one.message.partition(", ")[2] or one.message)
        for one in doctor.check_services(*candidates)
    ]


ENGINE = {
    "ready": False,
    "reasons": ["voice: no voice could speak (edge: connection)"],
    "details": {
        "models": {
            "configured": ["openai", "rules"],
            "inUse": "rules",
            "whyNot": {"openai": "openai: unauthorized (no)"},
        },
        "voices": {
            "configured": ["edge"],
            "about": {"edge": "XiaoyiNeural"},
            "whyNot": {"edge": "edge: connection (dns)"},
        },
    },
}


def test_services_are_ready_or_say_why_not_or_are_not_there(saying: Saying) -> None:
    found = lines(
        [
            ServiceAddress("gateway", saying(200, {"ready": True})),
            ServiceAddress("dialog-engine", saying(503, ENGINE)),
            ServiceAddress("tts", ports.free(), fallback=True),
        ]
    )
    assert found == [
        ("gateway", "ok", found[0][2]),
        ("dialog-engine", "missing", "not ready: voice: no voice could speak (edge: connection)"),
        ("tts", "missing", "not running: replies work without it, but there is no fallback"),
        ("model in use", "ok", "rules   not openai: unauthorized (no)"),
        ("voice in use", "missing", "no provider answers yet; retrying (edge: connection (dns))"),
    ]


def test_where_nothing_runs_nothing_is_missing() -> None:
    assert [
        state
        for _, state, _ in lines(
            [ServiceAddress("gateway", ports.free()), ServiceAddress("tts", ports.free())]
        )
    ] == ["off"]


def test_the_run_of_this_folder_is_asked_before_the_usual_ports(saying: Saying) -> None:
    here, usual = saying(200, {"ready": True}), saying(200, {"ready": True})
    found = list(
        doctor.check_services([ServiceAddress("gateway", here)], [ServiceAddress("gateway", usual)])
    )
    assert [one.message for one in found] == [f"port {here}"]
    found = list(doctor.check_services([], [ServiceAddress("gateway", usual)]))
    assert [one.message for one in found] == [f"port {usual}"]


def trial(**told: Any) -> dict[str, Any]:
    return {
        "kind": "model",
        "name": "openai",
        "configured": True,
        "first_ms": 100.0,
        "total_ms": 200.0,
        "said": "Hi.",
        **told,
    }


@pytest.mark.parametrize(
    ("told", "state", "words"),
    [
        (trial(about="gpt at host"), "ok", "first word 100 ms, whole 200 ms: “Hi.” (gpt at host)"),
        (trial(first_ms=2_000.0), "slow", "first word 2000 ms"),
        (
            trial(kind="voice", name="edge", audio_ms=2_500),
            "ok",
            "first sound 100 ms, whole 200 ms: 2.5 s of sound",
        ),
        (trial(kind="voice", first_ms=1_200.0, audio_ms=2_500), "slow", "1200 ms"),
        (trial(problem="openai: unauthorized (no)"), "missing", "unauthorized (no)"),
        (trial(problem="not set up: OPENAI_API_KEY"), "off", "not set up"),
        (trial(problem="edge: connection", configured=False), "off", "connection"),
        (trial(first_ms=None), "missing", "no output"),
    ],
)
def test_what_a_provider_did_is_ok_slow_or_missing(
    told: dict[str, Any], state: str, words: str
) -> None:
    (found,) = doctor.check_providers([told])
    assert found.state == state
    assert words in found.message


def test_one_screen_and_one_verdict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "_trial", lambda: iter([trial(problem="openai: quota")]))
    monkeypatch.setattr(doctor, "check_services", lambda *_: iter(()))
    out = StringIO()
    assert (
        doctor.main(tmp_path, attempt=True, as_json=False, console=Console(out, colours=False)) == 1
    )
    assert (
        out.getvalue().splitlines()[-1]
        == "  Missing: model openai. docs/troubleshooting.md says what to do."
    )
    out = StringIO()
    assert doctor.main(tmp_path, attempt=False, as_json=True, console=Console(out)) == 0
    assert {"area": "machine", "name": "data"}.items() <= json.loads(out.getvalue())[-1].items()


def test_a_folder_that_cannot_be_written_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert [one.state for one in doctor._machine(tmp_path / "file") if one.name == "data"] == [
        "missing"
    ]


def test_settings_are_told_without_keys_and_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in settings.PROVIDER_SETTINGS:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    assert settings.of_providers() == {
        "LLM_CHAIN": "openai,rules (usual)",
        "OPENAI_API_KEY": "not set",
        "VOICE_CHAIN": "espeak (usual)",
    }
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("https_proxy", "http://user:secret@proxy:3128/")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://me:secret@api.example/v1?key=secret")
    told = settings.of_providers()
    assert (told["OPENAI_API_KEY"], told["HTTPS_PROXY"]) == ("set", "http://proxy:3128")
    assert told["OPENAI_BASE_URL"] == "https://api.example"
    assert "secret" not in str(told)
