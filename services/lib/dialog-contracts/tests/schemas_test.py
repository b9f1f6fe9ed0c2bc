from pathlib import Path

import pytest

from dialog_contracts import schemas


def test_the_committed_files_are_as_the_models_are() -> None:
    assert schemas.drift(schemas.FOLDER) == []


def test_generated_text_is_stable_sorted_and_ends_with_a_newline() -> None:
    first = schemas.generated()
    assert first == schemas.generated()
    for text in first.values():
        assert text.endswith("}\n")
    keys = [
        line.split('"')[1] for line in first["openapi.json"].splitlines() if line.startswith('  "')
    ]
    assert keys == sorted(keys)
    assert keys


def test_write_mends_what_check_finds_and_removes_strangers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "schemas"
    assert schemas.main(["--write"], folder) == 0
    assert schemas.main(["--check"], folder) == 0
    assert capsys.readouterr().err == ""

    (folder / "start.json").write_text("{}\n")
    (folder / "stop.json").unlink()
    (folder / "gone.json").write_text("{}\n")
    assert schemas.main(["--check"], folder) == 1
    said = capsys.readouterr().err
    assert "start.json is not as the models are" in said
    assert "stop.json is missing" in said
    assert "gone.json belongs to no message" in said
    assert "make fmt" in said

    assert schemas.main(["--write"], folder) == 0
    assert schemas.drift(folder) == []


def test_the_command_wants_to_know_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        schemas.main([])
    assert ended.value.code == 2
    assert "--write" in capsys.readouterr().err
