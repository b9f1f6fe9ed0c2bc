import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import Counter

from dialog_providers import session_cache
from dialog_providers.secret_files import SecretFiles
from dialog_providers.session_cache import SessionProviderCache

PASSED_OVER = Counter("test_passed_over", "For this test.", ["provider", "reason"])


@dataclass(frozen=True)
class Wish:
    provider: str
    api_key_file: str | None = None


class Provider:
    closed = False

    def __init__(self, name: str, key: str | None = None) -> None:
        self.name, self.key = name, key

    async def aclose(self) -> None:
        self.closed = True


def made(
    folder: Path | None = None,
) -> "tuple[SessionProviderCache[Wish, Provider], Provider, list[Provider]]":
    own, all_made = Provider("own"), []

    def make(wish: Wish, key: str | None) -> Provider:
        all_made.append(Provider(wish.provider, key))
        return all_made[-1]

    providers: SessionProviderCache[Wish, Provider] = SessionProviderCache(
        own,
        make=make,
        chain=lambda both: Provider("+".join(one.name for one in both)),
        keys=SecretFiles(folder),
        fallbacks=PASSED_OVER,
    )
    return providers, own, all_made


async def test_no_wish_no_provider_and_the_same_wish_the_same_one() -> None:
    providers, own, all_made = made()
    assert providers.get(None) is own
    assert providers.get(Wish("rules")) is providers.get(Wish("rules"))
    assert providers.get(Wish("rules")).name == "rules+own", "the own one stands behind it"
    assert len(all_made) == 1
    await providers.aclose()
    assert all_made[0].closed
    assert not own.closed


async def test_a_missing_key_is_counted_and_the_own_one_answers_until_it_is_there(
    tmp_path: Path,
) -> None:
    providers, own, all_made = made(tmp_path)
    before = PASSED_OVER.labels(provider="openai", reason="key_missing")._value.get()
    assert providers.get(Wish("openai", "key.1")) is own
    assert PASSED_OVER.labels(provider="openai", reason="key_missing")._value.get() == before + 1
    (tmp_path / "key.1").write_text("sk-1\n")
    assert providers.get(Wish("openai", "key.1")).name == "openai+own"
    assert all_made[0].key == "sk-1"
    await providers.aclose()


async def test_what_no_session_asks_for_any_more_is_closed_after_its_last_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_cache, "MAX_CACHED", 1)
    monkeypatch.setattr(session_cache, "RETIRED_AFTER_S", 0)
    providers, _, all_made = made()
    providers.get(Wish("a"))
    providers.get(Wish("b"))
    async with asyncio.timeout(1):
        while not all_made[0].closed:
            await asyncio.sleep(0)
    assert not all_made[1].closed
    await providers.aclose()
    assert all_made[1].closed
