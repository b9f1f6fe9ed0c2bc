"""The reference pages say what the code says."""

import sys
from pathlib import Path

import pytest

from checks import references


@pytest.mark.parametrize(
    ("page", "row"),
    [
        ("settings.md", "| `ENGINE_ACCEPT_TIMEOUT_S` (before: `ACCEPTED_WITHIN_S`) |"),
        ("settings.md", "| `VOICE_CHAIN` | `espeak` |"),
        ("metrics.md", "| `dialog_turns_total` | counter | `path`, `outcome` |"),
        ("redis-keys.md", "| `session:{session}:owner` | hash |"),
        ("error-codes.md", "| `barge_in_off` | 409 |"),
        ("error-codes.md", "| `too_many_turns` | 429 |"),
    ],
)
def test_a_page_has_what_the_code_has(page: str, row: str) -> None:
    assert row in references.pages()[page]


def test_a_page_that_differs_fails_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(references, "FOLDER", tmp_path)
    monkeypatch.setattr(sys, "argv", ["references", "--write"])
    references.main()
    monkeypatch.setattr(sys, "argv", ["references", "--check"])
    references.main()
    page = tmp_path / "metrics.md"
    page.write_text(page.read_text().replace("counter", "gauge", 1))
    with pytest.raises(SystemExit):
        references.main()
    assert "metrics.md" in capsys.readouterr().out


def test_no_default_depends_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    before = references.settings_page()
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere:1/0")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:1")
    assert references.settings_page() == before
