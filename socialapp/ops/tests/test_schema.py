"""The OpenAPI schema is rendered once per process and format, however often it is asked for."""

from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest
from django.test import RequestFactory
from drf_spectacular.generators import SchemaGenerator

from socialapp.ops import schema
from socialapp.ops.schema import Schema


@pytest.fixture
def rendered(monkeypatch) -> list:
    """An element for each time that the schema is made."""
    made, make = [], SchemaGenerator.get_schema
    monkeypatch.setattr(schema, "_rendered", {})
    monkeypatch.setattr(SchemaGenerator, "get_schema", lambda *a, **k: made.append(1) or make(*a, **k))
    return made


def get(accept: str = "application/vnd.oai.openapi+json", query: str = "", **headers: str):
    request = RequestFactory(headers={"host": "127.0.0.1", "accept": accept} | headers).get(f"/api/v1/schema{query}")
    return Schema.as_view()(request)


def test_a_crowd_has_it_made_once(rendered):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: get(), range(24)))
    assert len(rendered) == 1 and len({answer.content for answer in answers}) == 1
    assert "/api/v1/posts" in orjson.loads(answers[0].content)["paths"]


def test_each_format_is_its_own(rendered):
    json, yaml = get(), get("application/vnd.oai.openapi")
    assert json.content.startswith(b"{") and yaml.content.startswith(b"openapi: 3.1.0")
    assert json["Content-Type"].startswith("application/vnd.oai.openapi+json")
    assert json["ETag"] != yaml["ETag"] and len(rendered) == 2


def test_parameters_make_no_other_one(rendered):
    assert len({get(query=f"?version=v{n}&lang=x{n}").content for n in range(20)}) == 1
    assert len({get(f"application/vnd.oai.openapi+json; x={n}").content for n in range(20)}) == 1
    assert len(rendered) == 1


def test_who_has_it_is_told_so(rendered):
    first = get()
    again = get(**{"if-none-match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"") and "public" in first["Cache-Control"]
