"""A small API server with the failures of a real one.

It has discovery, lists, watches with bookmarks, server-side apply and Events.
"""

import asyncio
import itertools
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import web

KINDS: Final = {
    "vtubersessions": ("vtuber.dev", "v1alpha1", "VtuberSession"),
    "pods": ("", "v1", "Pod"),
    "secrets": ("", "v1", "Secret"),
    "configmaps": ("", "v1", "ConfigMap"),
    "namespaces": ("", "v1", "Namespace"),
}
Ref = tuple[str, str, str]
"""Plural, namespace and name."""


class ApiServer:
    """Objects in memory.

    `calls` are the verbs that were used. `failures` are statuses to return instead, one per call.
    """

    def __init__(self) -> None:
        self.objects: dict[Ref, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.calls: set[tuple[str, str, str, str]] = set()
        """Group, resource, verb and name (empty where the request has none)."""
        self.patched: list[tuple[str, dict[str, Any]]] = []
        self.failures: dict[tuple[str, str], list[int]] = defaultdict(list)
        self.has_crd = True
        self.url = ""
        self._versions = itertools.count(100)
        self._history: list[tuple[int, str, str, dict[str, Any]]] = []
        self._forgotten = 0
        self._watches: list[web.StreamResponse] = []
        self._changed = asyncio.Condition()

    # Actions of a user.

    async def apply(
        self, plural: str, body: dict[str, Any], namespace: str = "vt"
    ) -> dict[str, Any]:
        """Create the object or replace its spec, data, labels and (for a pod) status."""
        meta = body["metadata"]
        ref = (plural, namespace, meta["name"])
        old = self.objects.get(ref)
        generation = 1
        if old is not None:
            generation = old["metadata"]["generation"] + (old.get("spec") != body.get("spec"))
        version = next(self._versions)
        group, api, kind = KINDS[plural]
        made = {
            **(old or {}),
            **body,
            "apiVersion": f"{group}/{api}" if group else api,
            "kind": kind,
            "metadata": {
                "creationTimestamp": f"2026-01-01T00:{version // 60 % 60:02d}:{version % 60:02d}Z",
                **(old["metadata"] if old is not None else {"uid": f"uid-{version}"}),
                **meta,
                "namespace": namespace,
                "generation": generation,
                "resourceVersion": str(version),
            },
        }
        self.objects[ref] = made
        await self._notify(version, "MODIFIED" if old is not None else "ADDED", plural, made)
        return made

    async def delete(self, plural: str, name: str, namespace: str = "vt") -> None:
        """Delete the object."""
        gone = self.objects.pop((plural, namespace, name))
        version = next(self._versions)
        gone = {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(version)}}
        await self._notify(version, "DELETED", plural, gone)

    def session(self, name: str, namespace: str = "vt") -> dict[str, Any]:
        """Return a VtuberSession as it is now."""
        return self.objects["vtubersessions", namespace, name]

    def ready(self, name: str) -> str:
        """Return the status of Ready for its present generation, or an empty string."""
        found = self.session(name)
        for condition in found.get("status", {}).get("conditions", []):
            if (
                condition["type"] == "Ready"
                and condition["observedGeneration"] == found["metadata"]["generation"]
            ):
                return str(condition["status"])
        return ""

    # Failures.

    def break_watches(self) -> None:
        """Abort every open watch, as a load balancer does."""
        for watch in self._watches:
            if watch._req is not None and watch._req.transport is not None:
                watch._req.transport.abort()

    def forget_history(self) -> None:
        """Compact the history: a watch that resumes from before gets 410."""
        self._forgotten = next(self._versions)
        self._history = []

    async def _notify(self, version: int, change: str, plural: str, body: dict[str, Any]) -> None:
        async with self._changed:
            self._history.append((version, change, plural, body))
            self._changed.notify_all()

    # Replies.

    def _count(self, plural: str, verb: str, name: str = "") -> web.Response | None:
        group = KINDS.get(plural.partition("/")[0], ("events.k8s.io", "", ""))[0]
        self.calls.add((group, plural, verb, name))
        waiting = self.failures[verb, plural]
        if not waiting:
            return None
        status = waiting.pop(0)
        return web.json_response(
            {"kind": "Status", "code": status, "message": f"made to fail with {status}"},
            status=status,
        )

    def _matching(self, plural: str, request: web.Request) -> list[dict[str, Any]]:
        return [
            body
            for (kind, _, _), body in self.objects.items()
            if kind == plural and _selected(body, request)
        ]

    async def _objects(self, request: web.Request) -> web.StreamResponse:
        plural = request.match_info["plural"]
        if plural not in KINDS or (plural == "vtubersessions" and not self.has_crd):
            return _unknown()
        watch = "watch" in request.query
        failed = self._count(plural, "watch" if watch else "list")
        if failed is not None:
            return failed
        if watch:
            return await self._watch(plural, request)
        items = self._matching(plural, request)
        return web.json_response(
            {
                "kind": "List",
                "metadata": {"resourceVersion": str(next(self._versions))},
                "items": items,
            }
        )

    async def _watch(self, plural: str, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/json"})
        await response.prepare(request)
        since = int(request.query.get("resourceVersion", "0"))
        loop = asyncio.get_running_loop()
        ends = loop.time() + int(request.query.get("timeoutSeconds", "60"))
        self._watches.append(response)
        try:
            if since < self._forgotten:
                gone = {"kind": "Status", "code": 410, "message": "too old resource version"}
                await response.write(json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")
                return response
            while (left := ends - loop.time()) > 0:
                for version, change, kind, body in list(self._history):
                    if version > since and kind == plural and _selected(body, request):
                        await response.write(
                            json.dumps({"type": change, "object": body}).encode() + b"\n"
                        )
                    since = max(since, version)
                async with self._changed:
                    try:
                        async with asyncio.timeout(min(left, 1.0)):
                            await self._changed.wait()
                    except TimeoutError:
                        continue
            bookmark = {"kind": KINDS[plural][2], "metadata": {"resourceVersion": str(since)}}
            await response.write(
                json.dumps({"type": "BOOKMARK", "object": bookmark}).encode() + b"\n"
            )
        except ConnectionError:
            pass
        finally:
            self._watches.remove(response)
        return response

    async def _patch(self, request: web.Request) -> web.Response:
        plural, namespace, name = (
            request.match_info[part] for part in ("plural", "namespace", "name")
        )
        sub = request.match_info.get("sub", "")
        failed = self._count(f"{plural}/{sub}" if sub else plural, "patch", "" if sub else name)
        if failed is not None:
            return failed
        assert request.headers["content-type"] == "application/apply-patch+yaml"
        assert request.query["fieldManager"] == "vtuber-operator"
        body = await request.json()
        self.patched.append((plural, body))
        ref = (plural, namespace, name)
        if sub:
            old = self.objects.get(ref)
            if old is None:
                return web.json_response({"message": f'"{name}" not found'}, status=404)
            if body["metadata"].get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]:
                return web.json_response({"message": "uid mismatch"}, status=409)
            version = next(self._versions)
            made = {
                **old,
                "status": body["status"],
                "metadata": {**old["metadata"], "resourceVersion": str(version)},
            }
            self.objects[ref] = made
            await self._notify(version, "MODIFIED", plural, made)
            return web.json_response(made)
        if ref not in self.objects:
            self._count(plural, "create", name)
        return web.json_response(await self.apply(plural, body, namespace))

    async def _event(self, request: web.Request) -> web.Response:
        failed = self._count("events", "create")
        if failed is not None:
            return failed
        self.events.append(await request.json())
        return web.json_response(self.events[-1], status=201)

    async def _discovery(self, request: web.Request) -> web.Response:
        path = request.path
        if path == "/api":
            return web.json_response({"versions": ["v1"]})
        group = {
            "name": "vtuber.dev",
            "versions": [{"version": "v1alpha1"}],
            "preferredVersion": {"version": "v1alpha1"},
        }
        if path == "/apis":
            return web.json_response({"groups": [group] if self.has_crd else []})
        wanted = "" if path == "/api/v1" else "vtuber.dev"
        if wanted and not self.has_crd:
            return _unknown()
        resources = [
            {
                "name": plural,
                "singularName": kind.lower(),
                "kind": kind,
                "namespaced": plural != "namespaces",
                "verbs": _VERBS,
            }
            for plural, (name, _, kind) in KINDS.items()
            if name == wanted
        ]
        return web.json_response({"resources": resources})

    @asynccontextmanager
    async def running(self, kubeconfig: Path) -> AsyncIterator["ApiServer"]:
        """Serve on a free port, and write a kubeconfig for it."""
        app = web.Application(client_max_size=8 * 1024 * 1024)
        app.add_routes(
            [
                *(
                    web.get(path, self._discovery)
                    for path in ("/api", "/apis", "/api/v1", "/apis/vtuber.dev/v1alpha1")
                ),
                web.post("/apis/events.k8s.io/v1/namespaces/{namespace}/events", self._event),
                web.get("/api/v1/{plural}", self._objects),
                web.get("/api/v1/namespaces/{namespace}/{plural}", self._objects),
                web.get("/apis/vtuber.dev/v1alpha1/{plural}", self._objects),
                web.get("/apis/vtuber.dev/v1alpha1/namespaces/{namespace}/{plural}", self._objects),
                web.patch("/api/v1/namespaces/{namespace}/{plural}/{name}", self._patch),
                web.patch(
                    "/apis/vtuber.dev/v1alpha1/namespaces/{namespace}/{plural}/{name}/{sub}",
                    self._patch,
                ),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        config = {
            "apiVersion": "v1",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {"server": self.url}}],
            "users": [{"name": "test", "user": {"token": "test"}}],
        }
        await asyncio.to_thread(kubeconfig.write_text, json.dumps(config), encoding="utf-8")
        try:
            yield self
        finally:
            self.break_watches()
            await runner.cleanup()


_VERBS: Final = ["get", "list", "watch", "patch", "create", "update", "delete"]


def _unknown() -> web.Response:
    """Return the plain-text reply of an API server to an unknown group or kind."""
    return web.Response(status=404, text="404 page not found\n")


def _selected(body: dict[str, Any], request: web.Request) -> bool:
    namespace = request.match_info.get("namespace")
    labels = body["metadata"].get("labels") or {}
    wanted = [
        part.split("=", 1) for part in request.query.get("labelSelector", "").split(",") if part
    ]
    return namespace in (None, body["metadata"]["namespace"]) and all(
        labels.get(key) == value for key, value in wanted
    )


def pod(name: str, *, ready: bool = True) -> dict[str, Any]:
    """Return a pod that uses flags."""
    condition = {
        "type": "Ready",
        "status": "True" if ready else "False",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    return {
        "metadata": {"name": name, "labels": {"vtuber.dev/flags": "true"}},
        "status": {"conditions": [condition]},
    }


def session(name: str, *flags: str, **spec: Any) -> dict[str, Any]:
    """Return a VtuberSession for the session of its own name."""
    wanted = {"ENABLE_SYNC_CORE": True, **dict.fromkeys(flags, True)}
    return {"metadata": {"name": name}, "spec": {"sessionId": name, "flags": wanted, **spec}}
