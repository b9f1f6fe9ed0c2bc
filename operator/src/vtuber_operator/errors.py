"""Errors of the operator.

OperatorError
├── ClusterError            the API server did not do what was asked; `retryable` says whether the same call may do later
│   ├── NotThere            404: the object, its namespace or its kind is gone
│   ├── Conflict            409: another object of that name, or another owner of a field
│   ├── Expired             410: the resourceVersion is too old
│   ├── Refused             400, 422: the body is not accepted; the same body never will be
│   ├── Forbidden           401, 403: a verb is missing in the role
│   ├── TooMany             429: later; `after_s` when the server says when
│   └── Unreachable         no answer, or 5xx
└── RedisAway               Redis did not answer; flags stay as they are
"""


class OperatorError(Exception):
    """Base of all."""


class ClusterError(OperatorError):
    """A call to the API server failed. The message holds the server's own sentence, cut short, never a body."""

    retryable = True

    def __init__(self, what: str, message: str = "", *, after_s: float | None = None) -> None:
        super().__init__(f"{what}: {message[:300]}" if message else what)
        self.retry_after_s = after_s


class NotFound(ClusterError):
    """404."""

    retryable = False


class Conflict(ClusterError):
    """409."""


class Expired(ClusterError):
    """410."""


class Refused(ClusterError):
    """400 or 422."""

    retryable = False


class Forbidden(ClusterError):
    """401 or 403."""


class TooMany(ClusterError):
    """429."""


class Unreachable(ClusterError):
    """No answer in time, or 5xx."""


class RedisUnavailable(OperatorError):
    """Redis did not answer in time, or with an error."""


BY_STATUS: dict[int, type[ClusterError]] = {
    400: Refused,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Expired,
    422: Refused,
    429: TooMany,
}
