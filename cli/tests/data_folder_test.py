import os
from pathlib import Path

import pytest

from vtuber_cli.data_folder import DataFolder
from vtuber_cli.processes import RunError


def refused(path: Path) -> str:
    with pytest.raises(RunError) as refusal:
        DataFolder(path).open()
    said = str(refusal.value)
    assert path.parts[-2] in said
    assert "`vtuber run --data FOLDER" in said
    assert "\n" not in said
    return said


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("what", [".", "logs", "valkey"])
def test_a_file_in_the_place_of_a_folder_is_one_sentence(tmp_path: Path, what: str) -> None:
    path = (tmp_path / ".data" / what).resolve()
    path.parent.mkdir(exist_ok=True)
    path.write_text("in the way")
    assert f"{path} is a file, but must be a folder" in refused(tmp_path / ".data")


def test_a_file_above_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert f"{tmp_path / 'file'} is a file" in refused(tmp_path / "file" / "data")


def test_a_folder_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write everywhere: the kernel's answer is given in its place.
    real = os.open

    def full(path: object, flags: int, mode: int = 0o777) -> int:
        if str(path).endswith(".lock"):
            raise OSError(28, "No space left on device")
        return real(str(path), flags, mode)

    monkeypatch.setattr(os, "open", full)
    assert "cannot be written (No space left on device)" in refused(tmp_path / ".data")


def test_what_was_open_to_others_is_closed_and_models_stay_as_they_are(tmp_path: Path) -> None:
    data = tmp_path / ".data"
    (data / "models" / "whisper").mkdir(parents=True)
    (data / "logs").mkdir()
    (data / "dialog-engine.db").write_text("")
    (data / "logs" / "gateway.log").write_text("")
    for path in (data, data / "models", *data.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    folder = DataFolder(data)
    folder.open()
    folder.close()
    assert [mode(data), mode(data / "logs"), mode(data / "valkey")] == [0o700] * 3
    assert [mode(data / "dialog-engine.db"), mode(data / "logs" / "gateway.log")] == [0o600] * 2
    assert mode(data / "models" / "whisper") == 0o755


def test_a_folder_that_holds_only_models_is_closed_too(tmp_path: Path) -> None:
    data = tmp_path / ".data"
    (data / "models").mkdir(parents=True)
    data.chmod(0o755)
    folder = DataFolder(data)
    folder.open()
    folder.close()
    assert mode(data) == 0o700


def test_a_folder_of_somebodys_own_keeps_its_mode_and_a_new_one_is_closed(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    shared.chmod(0o755)
    folder = DataFolder(shared)
    folder.open()
    folder.close()
    assert mode(shared) == 0o755
    assert mode(shared / "logs") == 0o700
    new = DataFolder(tmp_path / "new")
    new.open()
    new.close()
    assert mode(tmp_path / "new") == 0o700


def test_a_second_run_in_the_same_folder_is_refused_with_the_first_ones_number(
    tmp_path: Path,
) -> None:
    first = DataFolder(tmp_path / ".data")
    first.open()
    assert f"is in use by another `vtuber run` (process {os.getpid()})" in refused(
        tmp_path / ".data"
    )
    first.close()
    second = DataFolder(tmp_path / ".data")
    second.open()
    second.close()


def test_a_folder_of_another_user_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / ".data"
    data.mkdir()
    # Root may go everywhere: the kernel's answers are given in its place.
    monkeypatch.setattr(
        os.path, "exists", lambda path: os.path.isdir(path) and Path(path).parent != data
    )

    def denied(path: Path, *_: object, **__: object) -> None:
        if path.parent == data:
            raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", denied)
    assert "cannot be created (Permission denied)" in refused(data)
