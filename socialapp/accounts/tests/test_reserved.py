"""Names that nobody registers."""

import pytest
from rest_framework.exceptions import ValidationError

from socialapp.accounts.api.schemas import Registration
from socialapp.accounts.reserved import is_reserved
from socialapp.tests.client import PASSWORD

RESERVED = [
    "admin", "root", "support", "moderator", "staff", "help", "security", "api", "www", "postmaster", "operator",
    "ADMIN", "Admin", "_admin_", "ad_min", "adm1n", "R00t",
    "5upport", "he1p", "heIp", "adrnin", "vvvvvv", "me_", "socia1app",
]  # fmt: skip
FREE = ["ada", "rooty", "administrate", "helper", "steam", "marnie", "Lovelace", "user_1", "mei", "romeo"]


@pytest.mark.parametrize("name", RESERVED)
def test_a_reserved_name_is_refused(name):
    schema = Registration(data={"username": name, "password": PASSWORD})
    with pytest.raises(ValidationError) as refusal:
        schema.is_valid(raise_exception=True)
    assert refusal.value.get_codes()["username"] == ["reserved"]


@pytest.mark.parametrize("name", FREE)
def test_other_names_are_free(name):
    assert not is_reserved(name)
    assert Registration(data={"username": name, "password": PASSWORD}).is_valid()
