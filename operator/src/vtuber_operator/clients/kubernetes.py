"""The operator's own calls to the API server: server-side apply, lists and Events.

Errors are typed and every call has a deadline; callers retry.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from vtuber_operator import metrics
from vtuber_operator.api.spec import GROUP, PLURAL, VERSION
from vtuber_operator.clients import credentials
from vtuber_operator.errors import BY_STATUS, ClusterError, Forbidden, Unreachable

FIELD_MANAGER: Final = "vtuber-operator"
_APPLY: Final = {"Content-Type": "application/apply-patch+yaml"}
SESSIONS_API: Final = f"/apis/{GROUP}/{VERSION}"


def sessions_path(namespace: str | None) -> str:
    """Return the path of the VtuberSessions of a namespace, or of all."""
    return (
        f"{SESSIONS_API}/namespaces/{namespace}/{PLURAL}"
        if namespace
        else f"{SESSIONS_API}/{PLURAL}"
    )


def core_path(plural: str, namespace: str | None) -> str:
    """Return the path of a kind of core/v1."""
    return f"/api/v1/namespaces/{namespace}/{plural}" if namespace else f"/api/v1/{plural}"


class ClusterApi:
    """One session for all calls; credentials are read again after a 401."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None
        self._server = ""

    async def _call(
        self,
        what: str,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        again: bool = True,
    ) -> dict[str, Any]:
        session = self._session
        if session is None:
            info = credentials.credentials()
            self._server = (info.server or "").rstrip("/")
            session = self._session = credentials.open_session(info)
        try:
            async with session.request(
                method,
                self._server + path,
                json=body,
                params=params,
                headers=headers,
                timeout=self._timeout,
            ) as response:
                if response.status == 401 and again:
                    await self.aclose()
                    return await self._call(
                        what, method, path, body=body, params=params, headers=headers, again=False
                    )
                answer = await self._body(response)
                if response.status < 400:
                    return answer if isinstance(answer, dict) else {}
                raise self._error(what, response, answer)
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            metrics.API_FAILURES.labels(call=what, kind="Unreachable").inc()
            raise Unreachable(what, repr(error)) from error

    @staticmethod
    async def _body(response: aiohttp.ClientResponse) -> Any:
        """Return the parsed reply.

        Errors may be plain text: `404 page not found` for an unknown group, a 429 of the server's
        own limits.
        """
        text = await response.text(errors="replace")
        try:
            return json.loads(text) if text else {}
        except ValueError:
            if response.status < 400:
                raise
            return {}

    @staticmethod
    def _error(what: str, response: aiohttp.ClientResponse, answer: Any) -> ClusterError:
        kind = BY_STATUS.get(response.status, Unreachable)
        metrics.API_FAILURES.labels(call=what, kind=kind.__name__).inc()
        message = str(answer.get("message", "")) if isinstance(answer, dict) else ""
        after = response.headers.get("Retry-After", "")
        return kind(
            f"{what} ({response.status})",
            message,
            after_s=float(after) if after.isdigit() else None,
        )

    async def crd_is_there(self) -> bool:
        """Return whether the cluster has the VtuberSession CRD."""
        try:
            known = await self._call("discovery", "GET", SESSIONS_API)
        except ClusterError as error:
            if isinstance(error, Unreachable | Forbidden):
                raise
            return False
        return any(each.get("name") == PLURAL for each in known.get("resources", []))

    async def list_all(self, path: str, selector: str | None = None) -> list[dict[str, Any]]:
        """Return every object below `path`."""
        answer = await self._call(
            "list", "GET", path, params={"labelSelector": selector} if selector else None
        )
        items = answer.get("items") or []
        return [item for item in items if isinstance(item, dict)]

    async def apply_status(
        self, namespace: str, name: str, uid: str, status: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Write the status of one VtuberSession and return the object.

        The uid ensures that it is still the same object.
        """
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "VtuberSession",
            "metadata": {"name": name, "namespace": namespace, "uid": uid},
            "status": status,
        }
        return await self._apply("status", f"{sessions_path(namespace)}/{name}/status", body)

    async def apply_config_map(self, namespace: str, name: str, data: Mapping[str, str]) -> None:
        """Create or replace the ConfigMap by server-side apply."""
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": namespace},
            "data": data,
        }
        await self._apply("config_map", f"{core_path('configmaps', namespace)}/{name}", body)

    async def apply_secret(self, namespace: str, name: str, data: Mapping[str, str]) -> None:
        """Create or replace the Secret by server-side apply.

        `data` is base64 and appears in no error.
        """
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {"name": name, "namespace": namespace},
            "data": data,
        }
        await self._apply("secret", f"{core_path('secrets', namespace)}/{name}", body)

    async def _apply(self, what: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        params = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._call(what, "PATCH", path, body=body, params=params, headers=_APPLY)

    async def post_event(self, namespace: str, event: Mapping[str, Any]) -> None:
        """Create one events.k8s.io/v1 Event."""
        await self._call(
            "event", "POST", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", body=event
        )

    async def aclose(self) -> None:
        """Close the session; the next call opens another one with new credentials."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
