"""The catalogue as an operator keeps it: a category, a product in it, and its stock with a reason."""

import secrets

import pytest

from socialapp.tests.browser.test_admin import enter

pytestmark = pytest.mark.browser


def test_a_product_is_added_in_a_new_category_and_stocked(visitor, operator, api):
    slug = f"lamps-{secrets.token_hex(4)}"
    enter(visitor, operator)
    # a category
    visitor.open("/admin/orders/category/add/")
    visitor.write("[name=name]", "Lamps")
    visitor.write("[name=slug]", slug)
    visitor.go(visitor.find("[name=_save]"))
    assert "was added successfully" in visitor.find(".messagelist .success").text
    # a product
    visitor.open("/admin/orders/product/add/")
    visitor.write("[name=sku]", slug)
    visitor.write("[name=name]", "Desk lamp")
    visitor.write("[name=price]", "49.90")
    visitor.go(visitor.find("[name=_save]"))
    assert "was added successfully" in visitor.find(".messagelist .success").text
    # its stock, by a difference and a reason
    visitor.open(f"/admin/orders/product/?q={slug}")
    visitor.go(visitor.find("#result_list tbody th a"))
    product = visitor.path.split("/")[-3]
    visitor.go(visitor.find('.object-tools a[href$="/stock/"]'))
    visitor.write("[name=difference]", "0")
    visitor.write("[name=reason]", "delivery 7")
    visitor.go(visitor.find(".submit-row .default"))
    assert "Nothing would change." in visitor.text
    visitor.write("[name=difference]", "12")
    visitor.go(visitor.find(".submit-row .default"))
    assert "changed by +12" in visitor.find(".messagelist .success").text
    # a refused correction says why
    visitor.go(visitor.find('.object-tools a[href$="/stock/"]'))
    visitor.write("[name=difference]", "-13")
    visitor.write("[name=reason]", "stolen")
    visitor.go(visitor.find(".submit-row .default"))
    assert "There are only 12" in visitor.find(".messagelist .error").text
    visitor.until(lambda driver: api.get(f"/api/v1/products/{product}").json().get("stock") == 12)
    shown = api.get(f"/api/v1/products/{product}").json()
    assert (shown["name"], shown["price"]) == ("Desk lamp", {"amount": "49.90", "currency": "EUR"})
    # what is low is on a list
    visitor.open(f"/admin/orders/product/?stock=low&q={slug}")
    assert not visitor.find_all("#result_list tbody th")
    assert visitor.errors() == []
