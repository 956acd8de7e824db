"""Orders as people use them in a browser: a customer on the API's pages, an operator in the admin."""

import json

import pytest

from orders.tests.conftest import eventually, shelve  # noqa: F401 fixtures
from socialapp.tests.browser.test_admin import enter
from socialapp.tests.browser.test_browsable_api import confirm_deletion

pytestmark = pytest.mark.browser

ORDERS = "/api/v1/orders"


@pytest.fixture
def tea(shelve) -> str:  # noqa: F811
    return shelve({"name": "Tea of the house", "price": "3.35"})[0]


def test_an_order_is_placed_on_a_page_and_its_history_is_there(visitor, operator, user, tea, eventually):  # noqa: F811
    visitor.log_in(user.username)
    # placed
    visitor.open(ORDERS)
    assert '"total": 0' in visitor.text
    body = {"items": [{"product_id": tea, "quantity": 2}], "payment_method": {"type": "card", "token": "timeout"}}
    visitor.write("#post-json textarea", json.dumps(body))
    visitor.go(visitor.find("#post-json button"))
    assert "HTTP 201 Created" in visitor.text
    order = visitor.find(".response-info a[href*='/orders/']").get_attribute("href")
    # listed, and read
    visitor.open(ORDERS)
    assert '"total": 1' in visitor.text and "Tea of the house" in visitor.text
    visitor.go(visitor.find(f"a[href$='{order[-36:]}']"))
    assert '"status": "pending"' in visitor.text
    # changed, beginning with what there is; what is being paid stays
    eventually(lambda: user.get(order[order.index(ORDERS) :]).json()["payment"]["status"] == "unknown")
    visitor.driver.refresh()
    body = json.loads(visitor.find("#put-json textarea").get_attribute("value"))
    assert body == {"items": [{"product_id": tea, "quantity": 2}], "version": 3}
    visitor.go(visitor.find("#put-json button"))
    assert "payment_in_progress" in visitor.text
    visitor.open(order)
    fields = {"name": "Ann", "line1": "Lane 1", "city": "Town", "country": "DE"}
    home = user.post("/api/v1/addresses", fields).json()["id"]
    visitor.write("#put-json textarea", json.dumps({"address_id": home, "version": 3}))
    visitor.go(visitor.find("#put-json button"))
    assert '"city": "Town"' in visitor.text and '"version": 4' in visitor.text
    # cancelled
    confirm_deletion(visitor)
    assert '"status": "cancelled"' in visitor.text
    visitor.go(visitor.link("Events"))
    assert visitor.text.index("OrderPlaced") < visitor.text.index("OrderCancelled")
    # what an operator sees of it
    visitor.driver.delete_all_cookies()
    enter(visitor, operator)
    visitor.open(f"/admin/orders/order/{order[-36:]}/change/")
    steps = [step.text for step in visitor.find_all(".order-timeline ol > li")]
    assert ["Order placed" in steps[0], "Order cancelled" in steps[-1]] == [True, True]
    assert "2 × Tea of the house" in steps[0] and f"by {user.username}, the customer" in steps[0]
    assert "pending → cancelled" in steps[-1] and "by the customer" in steps[-1]
    # But for the refusal.
    assert [error for error in visitor.errors() if "409" not in error] == []
