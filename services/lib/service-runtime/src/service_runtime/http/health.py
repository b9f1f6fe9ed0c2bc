"""`/healthz`, `/readyz` and `/metrics`, the same in every service."""

import asyncio
from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dialog_contracts.http import Readiness
from dialog_telemetry import metrics


class HealthCheck:
    """The content of `/readyz`.

    Components report through callables, so that no state is stored here.
    """

    def __init__(self, service: str, *, unsupported: Callable[[], dict[str, str]] = dict) -> None:
        self._service = service
        self._unsupported = unsupported
        self._requirements: dict[str, Callable[[], str | None]] = {}
        self._details: dict[str, Callable[[], object]] = {}

    def require(self, name: str, check: Callable[[], str | None]) -> None:
        """Report not ready while `check` returns a reason."""
        self._requirements[name] = check

    def info(self, name: str, read: Callable[[], object]) -> None:
        """Add a detail that does not affect readiness."""
        self._details[name] = read

    def readiness(self) -> Readiness:
        """Return the present state."""
        reasons = [
            f"{name}: {reason}"
            for name, check in self._requirements.items()
            if (reason := check()) is not None
        ]
        return Readiness(
            ready=not reasons,
            service=self._service,
            reasons=reasons,
            unsupported=self._unsupported(),
            details={name: read() for name, read in self._details.items()},
        )

    def routes(self) -> list[Route]:
        """Return the routes `/healthz`, `/readyz` and `/metrics`."""

        async def healthz(_: Request) -> Response:
            return JSONResponse({"status": "ok"})

        async def readyz(_: Request) -> Response:
            state = self.readiness()
            return JSONResponse(state.to_wire(), status_code=200 if state.ready else 503)

        async def exposition(_: Request) -> Response:
            metrics.ASYNCIO_TASKS.set(len(asyncio.all_tasks()))
            return Response(generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST})

        return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", exposition)]
