"""Every view finds out in one way who asks, and that way knows what was revoked."""

import ast

from rest_framework.settings import api_settings

from socialapp.tests.architecture.test_registries import routes
from socialapp.tests.architecture.test_sizes import modules, relative

# Who may verify tokens: others would take one that was revoked.
VERIFIERS = {"socialapp/identity/authentication.py", "socialapp/identity/signing.py"}


def test_every_view_uses_the_one_way_or_none():
    for route, pattern in routes():
        view = getattr(pattern.callback, "cls", None)
        ways = list(getattr(view, "authentication_classes", ()))
        assert ways in ([], api_settings.DEFAULT_AUTHENTICATION_CLASSES), route


def test_nobody_else_verifies_tokens():
    found = {
        relative(path)
        for path in modules()
        if "tests" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Name | ast.Attribute)
        and "verify_access" in (getattr(node, "id", ""), getattr(node, "attr", ""))
    }
    assert found <= VERIFIERS and found
