from pathlib import Path

import pytest

from checks import test_mirror
from checks.test_mirror import EXEMPT, problems, untested


def write(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


@pytest.mark.parametrize("member", ["services/one", "services/lib/dialog-one", "operator", "cli"])
def test_a_module_is_tested_in_the_file_of_its_name_and_place(tmp_path: Path, member: str) -> None:
    write(
        tmp_path,
        f"{member}/src/pkg/top.py",
        f"{member}/src/pkg/a/deep.py",
        f"{member}/src/pkg/b/deep.py",
        f"{member}/tests/top_test.py",
        f"{member}/tests/a/deep_test.py",
    )
    assert list(untested(tmp_path)) == [f"{member}/src/pkg/b/deep.py"]


def test_a_test_of_another_member_is_none(tmp_path: Path) -> None:
    write(tmp_path, "services/one/src/one/x.py", "services/two/tests/x_test.py")
    assert list(untested(tmp_path)) == ["services/one/src/one/x.py"]


def test_modules_that_only_start_name_or_stand_in_need_none(tmp_path: Path) -> None:
    names = ("__init__", "__main__", "app", "errors", "testing/server", "a/__init__", "a/errors")
    write(tmp_path, *(f"cli/src/pkg/{name}.py" for name in names))
    write(tmp_path, "cli/src/pkg/testing_ground.py", "cli/src/pkg/page/app.js")
    assert list(untested(tmp_path)) == ["cli/src/pkg/testing_ground.py"]


def test_a_list_is_wrong_in_both_ways() -> None:
    assert problems(["a.py", "b.py"], known=["a.py", "b.py"]) == []
    assert problems(["a.py", "b.py"], known=["b.py", "c.py"]) == [
        "a.py: no test file of its name",
        "c.py: has a test or is gone: take it off the list",
    ]


def test_every_exemption_has_its_kind_and_is_on_one_list() -> None:
    assert set(EXEMPT.values()) <= {"protocol", "constants", "data", "types"}


def test_the_tree_has_none_and_one_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert test_mirror.main() == 0
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(test_mirror, "EXEMPT", {"cli/src/gone.py": "data"})
    assert test_mirror.main() == 1
    said = capsys.readouterr().out
    assert "cli/src/gone.py: has a test or is gone" in said
    assert "dialog_contracts/limits.py: no test file of its name" in said
