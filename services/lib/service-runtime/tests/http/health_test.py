from starlette.applications import Starlette
from starlette.testclient import TestClient

from service_runtime.http.health import HealthCheck


def test_it_is_ready_when_no_requirement_has_a_reason_and_says_each_that_has() -> None:
    reasons: dict[str, str | None] = {"redis": "away", "model": None}
    check = HealthCheck("svc", unsupported=lambda: {"ENABLE_LTM": "not yet"})
    check.require("redis", lambda: reasons["redis"])
    check.require("model", lambda: reasons["model"])
    check.info("viewers", lambda: 3)
    with TestClient(Starlette(routes=check.routes())) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        refused = client.get("/readyz")
        assert refused.status_code == 503
        assert refused.json() == {
            "ready": False,
            "service": "svc",
            "reasons": ["redis: away"],
            "unsupported": {"ENABLE_LTM": "not yet"},
            "details": {"viewers": 3},
        }
        reasons["redis"] = None
        assert client.get("/readyz").status_code == 200
        exposition = client.get("/metrics")
        assert exposition.headers["content-type"].startswith("text/plain")
        assert "dialog_asyncio_tasks" in exposition.text
