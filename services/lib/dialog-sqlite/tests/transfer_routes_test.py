import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from dialog_contracts.backup import BACKUP_TYPE
from dialog_sqlite.database import Database
from dialog_sqlite.transfer import DatabaseTransfer
from dialog_sqlite.transfer_routes import backup_routes
from service_runtime import api
from service_runtime.http.health import HealthCheck
from service_runtime.testing.local_server import serving


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Database]:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_words.sql").write_text("CREATE TABLE words(word TEXT)")
    made = Database(tmp_path / "words.db", folder, name="words")
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def client(file: Database) -> AsyncIterator[httpx.AsyncClient]:
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def parts() -> AsyncIterator[None]:
        yield

    app = api.create("words", HealthCheck("words"), parts)
    app.include_router(backup_routes(DatabaseTransfer(file)))
    async with (
        serving(app) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as made,
    ):
        yield made


def piece(offset: int, data: bytes) -> dict[str, object]:
    return {"offset": offset, "data": base64.b64encode(data).decode()}


async def test_a_backup_goes_out_and_comes_back(client: httpx.AsyncClient) -> None:
    answer = await client.get("/backup")
    assert (answer.status_code, answer.headers["content-type"]) == (200, BACKUP_TYPE)
    data = answer.content
    upload = (await client.post("/backup/uploads")).json()["upload"]
    at = 0
    while at < len(data):
        sent = await client.post(
            f"/backup/uploads/{upload}", json=piece(at, data[at : at + 40_000])
        )
        at = sent.json()["size"]
    digest = {"sha256": hashlib.sha256(data).hexdigest()}
    answer = await client.post(f"/backup/uploads/{upload}/restore", json=digest)
    assert answer.json() == {"size": len(data)}


async def test_what_is_wrong_is_named(client: httpx.AsyncClient) -> None:
    upload = (await client.post("/backup/uploads")).json()["upload"]
    busy = await client.post("/backup/uploads")
    assert (busy.status_code, busy.json()["code"]) == (409, "restore_running")
    gap = await client.post(f"/backup/uploads/{upload}", json=piece(7, b"x"))
    assert (gap.status_code, gap.json()["field"]) == (422, "offset")
    large = await client.post(f"/backup/uploads/{upload}", json=piece(0, b"x" * 47_000))
    assert (large.status_code, large.json()["field"]) == (422, "data")
    await client.post(f"/backup/uploads/{upload}", json=piece(0, b"no database" * 99))
    digest = {"sha256": hashlib.sha256(b"no database" * 99).hexdigest()}
    refused = await client.post(f"/backup/uploads/{upload}/restore", json=digest)
    assert (refused.status_code, refused.json()["code"]) == (422, "not_a_backup")
