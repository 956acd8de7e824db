"""Event consumers in the hands of an operator: how far they are, and another try for what was parked."""

import pytest
from selenium.webdriver.support.ui import Select

from socialapp.tests.browser.test_admin import enter

pytestmark = pytest.mark.browser

# As if `cache` had failed at the last event; it can digest it now.
PARK = """
from socialapp.cqrs.models import *
position = Event.objects.latest("position").position
ParkedEvent.objects.create(consumer="cache", event_position=position, error="ConnectionError('gone')")
print(position)
"""


@pytest.fixture
def parked(operator, user, manage) -> str:
    """The position of an event that `cache` has parked."""
    user.create_post("parked")
    return manage("shell", "-v0", "-c", PARK).strip()


def test_a_parked_event_is_tried_again(visitor, operator, parked):
    enter(visitor, operator)
    visitor.open(f"/admin/cqrs/parkedevent/?q={parked}")
    visitor.find("#result_list tbody [name=_selected_action]").click()
    Select(visitor.find("[name=action]")).select_by_value("retry_selected")
    visitor.go(visitor.find("#changelist-form .actions button"))
    assert "1 will be tried again" in visitor.find(".messagelist .success").text
    visitor.until(lambda driver: not rows(visitor, f"/admin/cqrs/parkedevent/?q={parked}"))
    visitor.open("/admin/cqrs/consumeroffset/")
    assert "post-counts" in visitor.find("#result_list").text
    assert visitor.errors() == []


def rows(visitor, path) -> list:
    visitor.open(path)
    return visitor.find_all("#result_list tbody tr")
