"""Errors of the gateway.

ServiceError
├── RateLimited            429 rate_limited
├── AdminOnly              401 admin_only
└── UpstreamUnavailable    503 service_away: the service behind does not answer
"""

from service_runtime.http.errors import ServiceError, TooMany, Unavailable


class RateLimited(TooMany):
    """The address exceeds a limit of requests or sockets."""

    default_code = "rate_limited"


class AdminOnly(ServiceError):
    """401: the endpoint is for administrators."""

    status, default_code = 401, "admin_only"


class UpstreamUnavailable(Unavailable):
    """The connection to a service behind the gateway failed."""

    default_code = "service_away"
