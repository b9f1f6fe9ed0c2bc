import pytest

from service_runtime import plugin_loader


def test_a_part_is_found_by_its_modules_name_and_its_own() -> None:
    assert plugin_loader.load_factory("collections:OrderedDict", "LLM_CHAIN")() == {}


@pytest.mark.parametrize(
    "name",
    [
        "",
        "espeek",
        "os:",
        ":getcwd",
        "no_such_package:x",
        "os:no_such_factory",
        "os..path:join",
        ".os:getcwd",
        "os:sep",
    ],
)
def test_what_cannot_be_loaded_is_a_sentence_with_the_setting_and_the_name(name: str) -> None:
    with pytest.raises(ValueError, match="^VOICE_CHAIN: ") as caught:
        plugin_loader.load_factory(name, "VOICE_CHAIN")
    assert repr(name) in str(caught.value)


def test_a_part_that_lacks_something_itself_says_what(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "half_written_part.py").write_text("import a_package_that_is_missing_there\n")
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(ValueError, match="a_package_that_is_missing_there"):
        plugin_loader.load_factory("half_written_part:make", "LLM_CHAIN")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("raise KeyError('at import')", "cannot be loaded: KeyError 'at import'"),
        ("def make(): raise RuntimeError('no licence')", "cannot be made: RuntimeError no licence"),
        ("def make(): return None", "makes a NoneType, which has no stream and no warm"),
        ("def make(needed): return 1", "cannot be made: TypeError"),
        ("x = (", "cannot be loaded: SyntaxError"),
    ],
)
def test_whatever_a_plug_in_does_wrong_is_a_sentence(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    written: str,
    said: str,
) -> None:
    folder = tmp_path_factory.mktemp("modules")
    (folder / f"part_{abs(hash(written))}.py").write_text(written + "\n")
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(ValueError, match="^LLM_CHAIN: ") as caught:
        plugin_loader.make(f"part_{abs(hash(written))}:make", "LLM_CHAIN", ("stream", "warm"))
    assert said in str(caught.value)
