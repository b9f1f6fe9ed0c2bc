import importlib

import pytest

from vtuber_cli import settings
from vtuber_cli.known_settings import RUN_SETTINGS, closest_setting, of_service, warnings

ORDINARY = """
HOME PATH USER LANG LC_ALL TERM SHELL PWD OLDPWD HOSTNAME HOST HOSTTYPE LOGNAME MAIL EDITOR PAGER DISPLAY TMPDIR TZ SHLVL
PYTHONPATH PYTHONUNBUFFERED VIRTUAL_ENV SSH_AUTH_SOCK XDG_RUNTIME_DIR http_proxy HTTPS_PROXY NO_PROXY OPENAI_ORG_ID
OPENAI_API_TYPE OPENAI_API_VERSION OMP_NUM_THREADS KUBECONFIG DOCKER_HOST REDIS_HOST REDIS_PORT DATABASE_URL LOGLEVEL_X
"""


@pytest.fixture
def known() -> set[str]:
    return {
        *RUN_SETTINGS,
        *(name for spec in settings.load().services for name in of_service(spec.module)),
    }


def test_names_are_those_of_the_services_own_settings() -> None:
    names = of_service("input_handler")
    assert {
        "DIALOG_ENGINE_URL",
        "DIALOG_ENGINE_URLS",
        "ENABLE_SYNC_CORE",
        "REDIS_URL",
        "PORT",
    } <= names
    assert "OPENAI_API_KEY" in of_service("tts")
    assert "OPENAI_API_KEY" not in of_service("gateway")


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("OPENAI_API_KY", "OPENAI_API_KEY"),
        ("openai_apikey", "OPENAI_API_KEY"),
        ("OPENAI_API_BASE", "OPENAI_BASE_URL"),
        ("LLM_MODLE", "LLM_MODEL"),
        ("VOICE_CHAINS", "VOICE_CHAIN"),
        ("REDIS_URI", "REDIS_URL"),
        ("ENABLE_SYNCCORE", "ENABLE_SYNC_CORE"),
        ("VTUBER_ULR", "VTUBER_URL"),
    ],
)
def test_what_is_nearly_a_setting_is_told_which_one(
    known: set[str], written: str, wanted: str
) -> None:
    assert warnings([written], known) == [f"{written} is not a setting: did you mean {wanted}?"]


def test_settings_and_ordinary_variables_are_not_remarked_on(known: set[str]) -> None:
    assert warnings([*known, *ORDINARY.split(), *(name.lower() for name in known)], known) == []


def test_a_short_name_is_near_to_too_many(known: set[str]) -> None:
    assert closest_setting("PORTS", known) is None


def renamed() -> list[tuple[str, str, str]]:
    """Module, new and old name of each setting that answers to two names."""
    found = []
    for spec in settings.load().services:
        module = importlib.import_module(f"{spec.module}.settings")
        for each in vars(module).values():
            if not isinstance(each, type) or each.__module__ != module.__name__:
                continue
            for name, field in getattr(each, "model_fields", {}).items():
                choices = getattr(field.validation_alias, "choices", ())
                found += [(spec.module, name, old) for old in choices if old != name]
    return found


def test_a_renamed_setting_answers_to_both_names(monkeypatch: pytest.MonkeyPatch) -> None:
    names = renamed()
    assert ("input_handler", "max_concurrent_turns", "turns_at_once") in names
    for module, new, old in names:
        of_module = vars(importlib.import_module(f"{module}.settings"))
        [kind] = [
            each
            for each in of_module.values()
            if isinstance(each, type) and new in getattr(each, "model_fields", {})
        ]
        default = getattr(kind(), new)
        if isinstance(default, tuple):
            continue
        other = default - 1 if default > 2 else default + 1
        for name in (old, new):
            with monkeypatch.context() as environment:
                environment.setenv(name.upper(), str(other))
                assert getattr(kind(), new) == other, (module, name)
