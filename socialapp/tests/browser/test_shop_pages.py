"""What operators and customers see of the shop beyond the catalogue's forms: pictures, CSV, addresses."""

import secrets

import pytest
from PIL import Image
from selenium.webdriver.support.ui import Select

from socialapp.tests.browser.test_admin import enter
from socialapp.tests.browser.test_browsable_api import confirm_deletion

pytestmark = pytest.mark.browser


def save(visitor):
    visitor.go(visitor.find(".submit-row .default"))


def import_csv(visitor, file, text: str) -> None:
    file.write_text(text)
    visitor.open("/admin/orders/product/import/")
    visitor.find("[name=import_file]").send_keys(str(file))
    save(visitor)


@pytest.fixture
def product(visitor, operator, tmp_path) -> tuple[str, str]:
    """(id, SKU) of a product that came by CSV, after a file that was refused; the operator is on the list."""
    sku = f"LAMP-{secrets.token_hex(4)}"
    enter(visitor, operator)
    import_csv(visitor, tmp_path / "lamps.csv", f"sku,name,price,stock\n{sku},Desk lamp,cheap,5\n")
    assert "'cheap' is no amount." in visitor.text and not visitor.find_all("[name=confirm]")
    import_csv(visitor, tmp_path / "lamps.csv", f"sku,name,price,stock\n{sku},Desk lamp,49.90,5\n")
    assert visitor.find("table.import-preview tr.new").text.split()[:3] == ["New", sku, "Desk"]
    visitor.go(visitor.find("[name=confirm]"))
    assert "1 new products, 0 changed and 0 unchanged" in visitor.find(".messagelist .success").text
    visitor.open(f"/admin/orders/product/?q={sku}")
    visitor.go(visitor.link(sku))
    return visitor.path.split("/")[-3], sku


def pictures_of(api, product_id: str) -> list[dict]:
    return api.get(f"/api/v1/products/{product_id}").json().get("images", [])


def test_pictures_are_added_ordered_and_removed(visitor, product, api, tmp_path):
    product_id, sku = product
    visitor.go(visitor.find("a[href$='/images/']"))
    # noise does not compress: this one is larger than what an API body may be
    Image.effect_noise((1500, 1200), 100).save(tmp_path / "wide.png")
    Image.new("RGB", (300, 600), "teal").save(tmp_path / "tall.jpg")
    assert (tmp_path / "wide.png").stat().st_size > 1024 * 1024
    visitor.find("[name=pictures]").send_keys(f"{tmp_path / 'wide.png'}\n{tmp_path / 'tall.jpg'}")
    save(visitor)
    assert "were saved" in visitor.find(".messagelist .success").text
    assert len(visitor.find_all("table.pictures tbody tr")) == 2
    # the second first, with words of its own
    visitor.write("[name=form-1-alt]", "From the left")
    visitor.write("[name=form-1-ORDER]", "0")
    save(visitor)
    visitor.until(lambda driver: [one["width"] for one in pictures_of(api, product_id)] == [300, 1500])
    first = pictures_of(api, product_id)[0]
    assert (first["alt"], first["height"]) == ("From the left", 600)
    assert api.get(first["url"]).headers["Content-Type"] == "image/webp"
    # one is removed, with its file
    visitor.find("[name=form-0-DELETE]").click()
    save(visitor)
    visitor.until(lambda driver: [one["width"] for one in pictures_of(api, product_id)] == [1500])
    assert api.get(first["url"]).status == 404
    # what is no picture is refused, and says which file
    (tmp_path / "notes.png").write_text("notes")
    visitor.find("[name=pictures]").send_keys(str(tmp_path / "notes.png"))
    save(visitor)
    assert "notes.png: Only PNG, JPEG, WEBP, GIF can be read." in visitor.text
    visitor.open(f"/admin/orders/product/?q={sku}")
    loaded = "return document.querySelector('#result_list img').naturalWidth"
    visitor.until(lambda driver: driver.execute_script(loaded) == 1500)
    assert visitor.errors() == []


def test_an_address_is_added_changed_and_deleted(visitor, user):
    visitor.log_in(user.username)
    visitor.go(visitor.find("a[href$='/api/v1/addresses']"))
    for name, value in {"name": "Ada", "line1": "1 Main St", "city": "London"}.items():
        visitor.write(f"#post-fields [name={name}]", value)
    visitor.go(visitor.find("#post-fields button"))
    assert "HTTP 400 Bad Request" in visitor.text, "a country has to be chosen"
    Select(visitor.find("#post-fields [name=country]")).select_by_visible_text("United Kingdom")
    visitor.go(visitor.find("#post-fields button"))
    assert "HTTP 201 Created" in visitor.text and '"country": "GB"' in visitor.text
    visitor.open("/api/v1/addresses")
    visitor.go(visitor.find(".response-info a[href*='/addresses/']"))
    visitor.write("#patch-fields [name=city]", "York")
    visitor.go(visitor.find("#patch-fields button"))
    assert "HTTP 200 OK" in visitor.text and '"city": "York"' in visitor.text and '"is_default": true' in visitor.text
    confirm_deletion(visitor)
    assert "HTTP 204 No Content" in visitor.text
    visitor.open("/api/v1/addresses")
    assert '"results": []' in visitor.text
