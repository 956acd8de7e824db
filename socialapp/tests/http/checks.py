"""What every refusal has to look like (RFC 9457, and the contract's `code` and `errors`)."""

from socialapp.tests.client import Answer

MEDIA_TYPE = "application/problem+json"
MEMBERS = {"type", "title", "status", "detail", "code"}


def refused(answer: Answer, *statuses: int, code: str | None = None) -> dict:
    """The problem document of an answer that must be a refusal."""
    assert answer.status in statuses if statuses else 400 <= answer.status < 500, (answer.status, answer.body[:300])
    assert answer.headers["Content-Type"] == MEDIA_TYPE, answer.body[:300]
    assert "no-store" in answer.headers["Cache-Control"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    document = answer.json()
    check_document(document, answer.status)
    assert code in (None, document["code"]), document
    return document


def check_document(document: dict, status: int) -> None:
    assert document.keys() - {"errors"} == MEMBERS
    assert document["status"] == status
    assert all(isinstance(document[name], str) and document[name] for name in MEMBERS - {"status"})
    for error in document.get("errors", []):
        assert error.keys() == {"field", "code", "message"}
        assert all(isinstance(value, str) for value in error.values())


def sensible(answer: Answer, *, empty: bool = False) -> None:
    """An answer is a success, a redirect, or a problem document; never a failure of the server."""
    if answer.status < 400:
        return
    assert answer.status < 500, (answer.status, answer.body[:300])
    assert answer.headers["Content-Type"] == MEDIA_TYPE, answer.body[:300]
    if not empty:
        check_document(answer.json(), answer.status)
