"""Errors of the operator.

Calls to Redis raise `dialog_redis.client.RedisUnavailable`; the flags then stay as they are.

    OperatorError
    └── ClusterError            a call to the API server failed; `retryable`: it may succeed later
        ├── NotFound            404: the object, its namespace or its kind does not exist
        ├── Conflict            409: another object with this name, or another owner of a field
        ├── Expired             410: the resourceVersion is too old
        ├── Refused             400, 422: the body is invalid, now and later
        ├── Forbidden           401, 403: a verb is missing in the role
        ├── TooMany             429: later, after `retry_after_s` if the server says when
        └── Unreachable         no answer, or 5xx
"""


class OperatorError(Exception):
    """Base class of all errors."""


class ClusterError(OperatorError):
    """A call to the API server failed.

    The message contains the server's own sentence, shortened, and never a body.
    """

    retryable = True

    def __init__(self, what: str, message: str = "", *, after_s: float | None = None) -> None:
        super().__init__(f"{what}: {message[:300]}" if message else what)
        self.retry_after_s = after_s


class NotFound(ClusterError):
    """404: the object does not exist."""

    retryable = False


class Conflict(ClusterError):
    """409: the object is another one, or was changed."""


class Expired(ClusterError):
    """410: the resourceVersion is too old."""


class Refused(ClusterError):
    """400 or 422: the body is invalid."""

    retryable = False


class Forbidden(ClusterError):
    """401 or 403: the role does not allow the call."""


class TooMany(ClusterError):
    """429: the server limits the rate."""


class Unreachable(ClusterError):
    """No answer in time, or 5xx."""


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
