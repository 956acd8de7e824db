"""Problem documents (RFC 9457): the one way in which anything here says no. Domains subclass `Problem`."""

from collections.abc import Sequence


class Problem(Exception):
    """A refusal with its HTTP status; `code` is stable, `detail` is for people.

    `errors` lists {"field", "code", "message"}; `headers` are added to the answer.
    """

    status = 400
    code = "bad_request"
    title = "Bad request"

    def __init__(
        self,
        detail: str = "",
        *,
        errors: Sequence[dict] = (),
        headers: dict | None = None,
        status: int | None = None,
        code: str | None = None,
        title: str | None = None,
    ):
        super().__init__(detail or self.title)
        self.detail = detail
        self.errors = list(errors)
        self.headers = headers or {}
        self.status = status or self.status
        self.code = code or self.code
        self.title = title or self.title

    def document(self) -> dict:
        document = {
            "type": f"urn:socialapp:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail or self.title,
            "code": self.code,
        }
        return document | {"errors": self.errors} if self.errors else document

    @classmethod
    def from_document(cls, document: dict) -> "Problem":
        return cls(
            document["detail"],
            errors=document.get("errors", ()),
            status=document["status"],
            code=document["code"],
            title=document["title"],
        )


class NotFound(Problem):
    status, code, title = 404, "not_found", "Not found"


class Gone(Problem):
    status, code, title = 410, "gone", "Gone"


class AccountGone(Problem):
    """The actor has an access token, but no account: it was deleted, or lost in a failover."""

    status, code, title = 401, "account_gone", "Your account is not there any more"


class Forbidden(Problem):
    status, code, title = 403, "forbidden", "Forbidden"


class Stale(Problem):
    status, code, title = 412, "stale", "The resource has changed since it was read"


class Overtaken(Problem):
    """A command that is applied late, without an expected version, would undo a change that was accepted after it."""

    status, code, title = 409, "stale", "A later change has been applied already"


class Invalid(Problem):
    status, code, title = 422, "invalid", "The request cannot be carried out"


KEY_REUSED = "An Idempotency-Key stands for one request; use a new one for another."


class IdempotencyKeyReused(Problem):
    status, code, title = 422, "idempotency_key_reused", "The idempotency key was used for another request"


class TooLarge(Problem):
    status, code, title = 413, "too_large", "The body is too large"


class WrongPool(Problem):
    status, code, title = 421, "wrong_pool", "This server only reads"


class Unavailable(Problem):
    """Nothing was changed; the same request may be sent again after `Retry-After` seconds."""

    status, code, title = 503, "unavailable", "Temporarily unavailable"

    def __init__(self, detail: str = "", *, retry_after: int = 1, **kwargs):
        super().__init__(detail, headers={"Retry-After": str(retry_after)}, **kwargs)


class Overloaded(Unavailable):
    code, title = "overloaded", "Too many writes are waiting"
