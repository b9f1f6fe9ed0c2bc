"""Reads objects of a cluster by the kubernetes client, as dictionaries in the API's own form.

Tests type `kubectl` where a user would: to apply, patch, delete, restart, and to see what it prints.
What they only have to know of the cluster they read here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from kubernetes import client, config
from kubernetes.client.exceptions import NotFoundException

Object = dict[str, Any]

TIMEOUT_S: Final = 10
SESSIONS: Final = ("vtuber.dev", "v1alpha1")
DEFINITIONS: Final = ("apiextensions.k8s.io", "v1", "customresourcedefinitions")


@cache
def api(context: str) -> client.ApiClient:
    """The client of a kubeconfig's context; one a process."""
    made: client.ApiClient = config.new_client_from_config(context=context)  # type: ignore[no-untyped-call]
    return made


def _plain(model: Any) -> Object:
    """A model of the client under the API's names."""
    found: Object = model.model_dump(by_alias=True, exclude_none=True, mode="json")
    return found


@dataclass(frozen=True)
class Reader:
    """The objects of one namespace, and those of its cluster.

    One that is missing is a LookupError.
    """

    context: str
    namespace: str

    def pods(self, selector: str = "") -> list[Object]:
        """The pods that a label selector fits."""
        core = client.CoreV1Api(api(self.context))
        found = core.list_namespaced_pod(
            self.namespace, label_selector=selector, _request_timeout=TIMEOUT_S
        )
        return [_plain(pod) for pod in found.items]

    def pod(self, name: str) -> Object:
        """One pod."""
        return self._one(client.CoreV1Api(api(self.context)).read_namespaced_pod, "pod", name)

    def service(self, name: str) -> Object:
        """One Service."""
        read = client.CoreV1Api(api(self.context)).read_namespaced_service
        return self._one(read, "service", name)

    def deployment(self, name: str) -> Object:
        """One Deployment."""
        read = client.AppsV1Api(api(self.context)).read_namespaced_deployment
        return self._one(read, "deployment", name)

    def nodes(self) -> list[Object]:
        """The nodes of the cluster."""
        found = client.CoreV1Api(api(self.context)).list_node(_request_timeout=TIMEOUT_S)
        return [_plain(node) for node in found.items]

    def crd(self, name: str) -> Object:
        """One CustomResourceDefinition."""
        custom = client.CustomObjectsApi(api(self.context))
        try:
            found: Any = custom.get_cluster_custom_object(
                *DEFINITIONS, name, _request_timeout=TIMEOUT_S
            )
        except NotFoundException as error:
            raise LookupError(f"definition {name} does not exist") from error
        return dict(found)

    def sessions(self) -> list[Object]:
        """The VtuberSessions."""
        custom = client.CustomObjectsApi(api(self.context))
        found: Any = custom.list_namespaced_custom_object(
            *SESSIONS, self.namespace, "vtubersessions", _request_timeout=TIMEOUT_S
        )
        return list(found["items"])

    def session(self, name: str) -> Object:
        """One VtuberSession."""
        custom = client.CustomObjectsApi(api(self.context))
        try:
            found: Any = custom.get_namespaced_custom_object(
                *SESSIONS, self.namespace, "vtubersessions", name, _request_timeout=TIMEOUT_S
            )
        except NotFoundException as error:
            raise LookupError(f"VtuberSession {name} is not in {self.namespace}") from error
        return dict(found)

    def _one(self, read: Callable[..., Any], kind: str, name: str) -> Object:
        try:
            return _plain(read(name, self.namespace, _request_timeout=TIMEOUT_S))
        except NotFoundException as error:
            raise LookupError(f"{kind} {name} is not in {self.namespace}") from error
