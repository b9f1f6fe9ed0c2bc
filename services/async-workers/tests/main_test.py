import sys

import pytest

from async_workers import __main__


@pytest.mark.parametrize("arguments", [[], ["memory"]])
def test_a_worker_must_be_named(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["async-workers", *arguments])
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert ended.value.code == 2
    assert "name one of analytics, ltm" in capsys.readouterr().err
