"""Requests that are refused: an error of the API as an exception, and what is wrong with a file."""

RETRY_SECONDS = 1


class RequestError(Exception):
    """A request that is answered with an error: a status and a sentence."""

    def __init__(self, status: int, message: str, retry_after: int | None = None, reason: str | None = None) -> None:
        """`retry_after` is in seconds; `reason` is what `/metrics` counts it as, if it does."""
        super().__init__(message)
        self.status, self.message, self.retry_after, self.reason = status, message, retry_after, reason


class DocumentError(Exception):
    """A file that cannot be read."""


def overloaded() -> RequestError:
    """The answer while there is no room for a request."""
    return RequestError(503, "The server is busy; try again", RETRY_SECONDS, reason="queue")


def too_large(message: str) -> RequestError:
    """The answer to a request that exceeds a limit of size."""
    return RequestError(413, message, reason="size")
