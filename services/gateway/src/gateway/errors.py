"""Errors of the gateway.

ServiceError
├── OriginRefused (403 origin_refused)   a page of another site, and not on the list
├── RateLimited (429 rate_limited)
└── ServiceAway (503 service_away)       the service behind does not answer
"""

from service_runtime.errors import Refused, TooMany, Unavailable


class OriginRefused(Refused):
    """The browser says that a foreign page is calling."""

    default_code = "origin_refused"


class RateLimited(TooMany):
    """More than this address may begin."""

    default_code = "rate_limited"


class ServiceAway(Unavailable):
    """The connection to a service behind the gateway failed."""

    default_code = "service_away"
