from collections.abc import Iterator

import pytest
from e2e.harness.store import Store
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_redis.blob_store import BlobStore, BlobTooLarge
from dialog_redis.client import RedisUnavailable


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(tmp_path_factory.mktemp("blobs")) as running:
        yield running


async def test_bytes_come_back_as_they_were_and_not_for_ever(store: Store) -> None:
    blobs = BlobStore(store.url)
    data = bytes(range(256)) * 1000
    name = await blobs.put(data)
    assert await blobs.get(name) == data
    async with Redis.from_url(store.url) as redis:
        assert 0 < await redis.ttl(redis_names.blob(name)) <= redis_names.BLOB_TTL_S
        await redis.delete(redis_names.blob(name))
    assert await blobs.get(name) is None
    await blobs.aclose()


async def test_what_was_heard_is_kept_a_little_longer_and_never_prolonged(store: Store) -> None:
    blobs = BlobStore(store.url)
    name = await blobs.put(b"RIFF")
    async with Redis.from_url(store.url) as redis:
        await blobs.release(name)
        assert 0 < await redis.ttl(redis_names.blob(name)) <= redis_names.RELEASED_BLOB_TTL_S
        await redis.expire(redis_names.blob(name), 5)
        await blobs.release(name)
        assert await redis.ttl(redis_names.blob(name)) <= 5
    await blobs.release("0" * 32)
    await blobs.aclose()


async def test_too_many_bytes_are_refused_with_the_limit(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_names, "BLOB_BYTES", 10)
    blobs = BlobStore(store.url)
    assert await blobs.get(await blobs.put(bytes(10))) == bytes(10)
    with pytest.raises(BlobTooLarge, match="11 bytes") as refused:
        await blobs.put(bytes(11))
    assert (refused.value.body.code, refused.value.body.limit) == ("blob_too_large", 10)
    await blobs.aclose()


@pytest.mark.parametrize(
    "name",
    ["", "/etc/passwd", "../" * 10 + "aa", "A" * 32, "a" * 31, "a" * 33, "a" * 32 + "\n", "*" * 32],
)
async def test_an_id_is_never_a_path(store: Store, name: str) -> None:
    blobs = BlobStore(store.url)
    with pytest.raises(ValueError, match="32 hex digits"):
        await blobs.get(name)
    with pytest.raises(ValueError, match="32 hex digits"):
        await blobs.release(name)
    await blobs.aclose()


async def test_without_redis_it_says_so() -> None:
    blobs = BlobStore("redis://127.0.0.1:9/0")
    for call in (blobs.put(b"x"), blobs.get("a" * 32), blobs.release("a" * 32)):
        with pytest.raises(RedisUnavailable, match="for blob"):
            await call
    await blobs.aclose()
