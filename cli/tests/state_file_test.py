import json
from pathlib import Path

from vtuber_cli import state_file


def test_it_is_written_as_a_whole_and_again(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    for legacy in (False, True):
        assert state_file.write(path, {"legacy": legacy}) is None
        assert json.loads(path.read_text()) == {"legacy": legacy}
    assert path.stat().st_mode & 0o077 == 0
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]


def test_where_it_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "state.json"
    assert state_file.write(path, {}) == f"{path} cannot be written: No such file or directory"
