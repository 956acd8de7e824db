"""A search is bounded: by what its words can find, by a time limit, and by how many run at once."""

from contextlib import ExitStack

import orjson
import pytest
from django.db import connections, transaction
from django.test import RequestFactory

from orders.api import read
from orders.api.read import ReadProducts
from socialapp.cqrs import concurrency

pytestmark = pytest.mark.usefixtures("clean_stores")


def get(**query: str) -> tuple[int, dict, dict]:
    """(status, headers, document)."""
    request = RequestFactory(headers={"host": "127.0.0.1"}).get("/api/v1/products", query)
    answer = ReadProducts.as_view()(request)
    return answer.status_code, answer.headers, orjson.loads(answer.content)


@pytest.mark.parametrize(
    "words", ["-ships -made", '-"made of"', "kettle or -ships", "-", '""', "-a or -b", "!!!", "-kettle or kettle -a"]
)
def test_words_that_only_leave_out_are_refused(words):
    status, _, problem = get(q=words)
    assert (status, problem["errors"][0]["field"]) == (400, "q")


@pytest.mark.parametrize("words", ["kettle", "kettle -ships", '"kettle blue"', "kettle or samovar -a", "-a kettle"])
def test_words_to_find_are_searched_for(words):
    assert get(q=words)[0] == 200


def test_more_searches_than_allowed_are_told_to_come_again(monkeypatch, settings):
    monkeypatch.setattr(concurrency, "PATIENCE", 0.01)
    with ExitStack() as held:
        for _ in range(settings.MOST_SEARCHES):
            held.enter_context(read.searches.held())
        for query in ({"q": "kettle"}, {"min_price": "1"}):
            status, headers, problem = get(**query)
            assert (status, problem["code"], headers["Retry-After"]) == (503, "overloaded", "1")
        assert get()[0] == 200, "what the cache can answer is no search"
    assert get(q="kettle")[0] == 200


def test_a_search_that_takes_too_long_is_ended(monkeypatch):
    monkeypatch.setattr(read, "LONGEST_SEARCH", 0.05)
    other = connections["default"].copy("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("LOCK TABLE orders_product IN ACCESS EXCLUSIVE MODE")
            status, headers, problem = get(q="kettle")
            cursor.execute("ROLLBACK")
    finally:
        other.close()
    assert (status, problem["code"], headers["Retry-After"]) == (503, "overloaded", "1")
    with transaction.atomic(), connections["default"].cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() != ("50ms",), "the limit ends with the search"
