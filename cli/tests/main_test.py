import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import vtuber_cli
from vtuber_cli.__main__ import READER_LEFT, main


def typed(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["vtuber", *words])
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_without_a_command_the_commands_are_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(monkeypatch) == 0
    said = capsys.readouterr().out
    assert all(command in said for command in ("run ", "say ", "talk ", "models ", "flags "))


def test_it_says_its_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"vtuber {version('vtuber-cli')}\n"


def test_a_reader_that_leaves_early_sees_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        command = [sys.executable, "-m", "vtuber_cli", "doctor"]
        done = subprocess.run(
            command, stdout=write, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (READER_LEFT, "")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("run", "--port", "70000"), "argument --port: a port is a number from 1 to 65535"),
        (("run", "--port", "0"), "argument --port: a port is a number from 1 to 65535"),
        (("run", "--port", "80a0"), "argument --port: a port is a number from 1 to 65535"),
        (
            ("run", "--set", "gateway.FOO=1"),
            "gateway has no setting FOO; its settings are ADMIN_TOKEN, ALLOWED_HOSTS, ALLOWED_ORIGINS, ",
        ),
        (
            ("run", "--set", "gateway.PORT=1"),
            "a run sets PORT of its processes itself; use `--port`",
        ),
        (
            ("run", "--set", "tts.VOICE_CHIAN=edge"),
            "tts has no setting VOICE_CHIAN; did you mean VOICE_CHAIN? Its settings are ",
        ),
        (("say", "hi", "--url", "ftp://a"), "--url: 'ftp://a' is not an address of a gateway"),
        (("say", "hi", "--session", "a b"), "--session: 1 to 64 of A-Z a-z 0-9 _ -"),
        (
            ("flags", "off", "live-001", "SYNC"),
            "there is no flag SYNC; the flags are ENABLE_SYNC_CORE, SYNC_TTS_STREAMING, ",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence_that_says_what_can(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    sentence: str,
) -> None:
    assert typed(monkeypatch, *words) == 2
    said = capsys.readouterr().err
    assert sentence in said.splitlines()[-1]
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("value", "sentence"),
    [("http://127.0.0.1:9", "no answer from http://127.0.0.1:9 "), ("no way", "VTUBER_URL: ")],
)
def test_the_gateways_address_may_be_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str, sentence: str
) -> None:
    monkeypatch.setenv("VTUBER_URL", value)
    assert typed(monkeypatch, "say", "hi") in (1, 2)
    assert sentence in capsys.readouterr().err.splitlines()[-1]


def test_models_are_fetched_where_nothing_is_installed() -> None:
    folder = Path(vtuber_cli.__file__).parents[1]
    # Without site-packages, as in the building of an image.
    command = [sys.executable, "-S", "-m", "vtuber_cli", "models", "--check", "--data", "/nowhere"]
    done = subprocess.run(
        command,
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "missing" in done.stdout
