"""Nothing that a process reads from a store or a queue can run code: only JSON is decoded, never pickle."""

import ast
import pickle

import pytest
from django.conf import settings
from django.core.cache import caches
from kombu.exceptions import ContentDisallowed
from kombu.serialization import loads

from config.celery import app
from socialapp.tests.architecture.test_sizes import modules, relative

RUNS_CODE = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "jsonpickle"}


def imported(path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    return plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize("path", [p for p in modules() if "tests" not in p.parts], ids=relative)
def test_no_module_imports_a_format_that_runs_code(path):
    assert not {name.partition(".")[0] for name in imported(path)} & RUNS_CODE


@pytest.mark.parametrize("alias", settings.CACHES)
def test_no_cache_unpickles(alias):
    client = caches[alias].client
    assert client.encode({"a": [1, "x"]}) == b'{"a": [1, "x"]}'
    with pytest.raises(ValueError, match="decode|Expecting"):
        client.decode(pickle.dumps({"a": 1}))


def test_sessions_are_json_too():
    assert settings.SESSION_ENGINE == "socialapp.identity.sessions"
    assert settings.SESSION_SERIALIZER == "django.contrib.sessions.serializers.JSONSerializer"


def test_celery_takes_and_makes_json_only():
    conf = app.conf
    assert set(conf.accept_content) == set(conf.result_accept_content) == {"json"}
    assert {conf.task_serializer, conf.result_serializer, conf.event_serializer} == {"json"}
    with pytest.raises(ContentDisallowed):
        loads(pickle.dumps({}), "application/x-python-serialize", "binary", accept=conf.accept_content)
