"""What a caller is told when a request can't be done."""


class Problem(Exception):
    """`code` is for programs and stays the same; `message` is for people."""

    status = 400
    code = "bad_request"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code


class Unauthenticated(Problem):
    status, code = 401, "not_logged_in"


class PaymentDeclined(Problem):
    status, code = 402, "card_declined"


class NotFound(Problem):
    status, code = 404, "not_found"


class Conflict(Problem):
    status, code = 409, "conflict"


class TooLarge(Problem):
    status, code = 413, "too_large"


class Invalid(Problem):
    status, code = 422, "invalid"


class TooMany(Problem):
    status, code = 429, "too_many_attempts"


class Unavailable(Problem):
    """Something the service stands on is away. The request may be sent again unchanged."""

    status, code = 503, "unavailable"
