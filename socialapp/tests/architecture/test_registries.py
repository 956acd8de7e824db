"""Every command has one handler, every model an admin page, every URL and model a role."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.urls import URLPattern, URLResolver, get_resolver

from socialapp.cqrs import commands, events

OURS = ("cqrs", "accounts", "posts", "orders", "ops", "identity")
SAFE = {"get", "head", "options"}
# Django's own pages; the gateway sends them to the write pool, whatever the method.
WRITE_POOL_ONLY = ("admin/", "auth/")


def routes(patterns=None, prefix="") -> list[tuple[str, URLPattern]]:
    found = []
    for pattern in patterns if patterns is not None else get_resolver().url_patterns:
        here = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            found += routes(pattern.url_patterns, here)
        else:
            found.append((here, pattern))
    return found


def test_every_command_has_exactly_one_handler():
    declared = commands.all_types()
    assert len(declared) >= 10
    for command in declared:
        assert callable(commands.handler_of(command.cls))


def test_a_second_handler_is_refused():
    taken = commands.all_types()[0].cls
    with pytest.raises(commands.DuplicateRegistration):
        commands.handles(taken)(lambda envelopes, effects: None)


def test_a_handler_is_named_after_its_command():
    for command in commands.all_types():
        snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in command.name).lstrip("_")
        assert commands.handler_of(command.cls).__name__ == snake


def test_commands_are_made_of_primitives():
    with pytest.raises(TypeError, match="when"):

        @commands.command("thing")
        class MeetAt:
            when: object


def test_a_command_without_a_handler_stops_the_start():
    @commands.command("thing", version=99)
    class NobodyDoesThis:
        pass

    try:
        with pytest.raises(RuntimeError, match="NobodyDoesThis"):
            commands.check_handlers()
    finally:
        commands._types.pop(("NobodyDoesThis", 99))


def test_every_event_makes_something_stale_or_is_history_only():
    for declared in events.all_types():
        assert declared.cls in events._stale, f"{declared.name} names no cache key"


def test_every_model_is_in_the_admin():
    for model in apps.get_models():
        if model._meta.app_label in OURS:
            assert model in admin.site._registry, f"{model._meta.label} has no admin page"


def test_every_model_belongs_to_a_known_app():
    known = {*OURS, "auth", "contenttypes", "sessions", "admin"}
    assert {model._meta.app_label for model in apps.get_models()} <= known


def test_every_url_has_a_role():
    """A view's methods say which pool serves it; a plain Django view only reads."""
    for route, pattern in routes():
        if route.startswith(WRITE_POOL_ONLY):
            continue
        view = getattr(pattern.callback, "cls", None)
        methods = {name for name in view.http_method_names if hasattr(view, name)} if view else {"get"}
        assert methods, f"{route} answers nothing"
        reads, writes = methods & SAFE, methods - SAFE
        assert reads | writes == methods
        modules = {base.__module__ for base in view.__mro__ for m in writes if m in vars(base)} if view else set()
        assert all(module.endswith(".write") for module in modules), f"{route}: writes outside of api/write.py"
