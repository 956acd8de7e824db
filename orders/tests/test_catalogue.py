"""Categories, products and stock: what operators change, inside this process on the real primary."""

from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest
from django.db import connection, connections

from orders import fragments
from orders.commands import CorrectStock, EditProduct, SaveCategory
from orders.models import Category, Product
from orders.queries import Wanted, list_products
from socialapp.cqrs import events
from socialapp.cqrs.execute import execute
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.problems import Gone, NotFound, Problem

pytestmark = pytest.mark.usefixtures("clean_stores")


def path_of(category_id) -> str:
    return Category.objects.get(pk=category_id).path


def edit(product_id, **changes):
    row = Product.objects.get(pk=product_id)
    category = str(row.category_id) if row.category_id else None
    fields = {"sku": row.sku, "name": row.name, "price": str(row.price), "currency": row.currency}
    return execute(EditProduct(**fields | {"category_id": category} | changes), actor_id=None, resource_id=product_id)


def correct(product_id, difference, reason="counted"):
    return execute(CorrectStock(difference, reason), actor_id=None, resource_id=product_id)


def shown(product_id) -> dict:
    return orjson.loads(fragments.products.get(product_id).body)


def listed(path: str) -> set[str]:
    return set(fragments.products_of_category.get(f"/{path}", limit=100, cursor=None).identifiers)


def test_a_product_is_shown_as_it_was_added_and_edited(add_product, add_category):
    category = add_category("Shoes")
    product = add_product(name="Boot", price="99.9", category_id=str(category), stock=3)
    assert shown(product)["price"] == {"amount": "99.90", "currency": "EUR"}
    assert shown(product)["category"]["path"] == path_of(category)
    assert shown(product)["stock"] == 3
    edit(product, name="High boot", price="120")
    assert (shown(product)["name"], shown(product)["price"]["amount"]) == ("High boot", "120.00")
    assert Product.objects.get(pk=product).version == 2


def test_what_is_no_longer_for_sale_is_gone_and_in_no_list(add_product):
    product = add_product()
    assert str(product) in listed("")
    edit(product, is_sold=False)
    with pytest.raises(Gone):
        fragments.products.get(product)
    assert str(product) not in listed("")


def test_a_list_holds_what_is_below_its_category(add_product, add_category):
    clothes = add_category("Clothes")
    shoes = add_category("Shoes", clothes)
    product = add_product(category_id=str(shoes))
    assert str(product) in listed(path_of(clothes)) and str(product) in listed(path_of(shoes))
    # when it moves to the category above
    edit(product, category_id=str(clothes))
    assert str(product) in listed(path_of(clothes)) and str(product) not in listed(path_of(shoes))


def test_moving_a_category_takes_everything_below_along(add_product, add_category):
    old, new = add_category("Old"), add_category("New")
    inner = add_category("Inner", old)
    product = add_product(category_id=str(inner))
    before, slug = path_of(inner), Category.objects.get(pk=inner).slug
    assert str(product) in listed(before) and str(product) not in listed(path_of(new))
    execute(SaveCategory("Inner", slug, str(new)), actor_id=None, resource_id=inner)
    assert path_of(inner) == f"{path_of(new)}/{slug}"
    assert shown(product)["category"]["path"] == path_of(inner)
    assert str(product) in listed(path_of(new)) and str(product) not in listed(path_of(old))
    with pytest.raises(NotFound):
        listed(before)


def test_a_category_cannot_be_moved_into_itself(add_category):
    outer = add_category("Outer")
    inner = add_category("Inner", outer)
    with pytest.raises(Problem, match="inside itself"):
        execute(SaveCategory("Outer", "outer", str(inner)), actor_id=None, resource_id=outer)
    assert path_of(inner).startswith(path_of(outer))


def test_names_that_are_taken_and_things_that_are_not_there_are_refused(add_product, add_category):
    category, product = add_category(), add_product()
    with pytest.raises(Problem) as taken:
        add_product(sku=Product.objects.get(pk=product).sku)
    assert (taken.value.status, taken.value.code) == (409, "taken")
    with pytest.raises(Problem, match="already"):
        add_category(slug=Category.objects.get(pk=category).slug)
    with pytest.raises(NotFound):
        add_product(category_id=str(new_id()))
    with pytest.raises(NotFound):
        add_category(parent_id=new_id())
    with pytest.raises(NotFound):
        correct(new_id(), 1)


@pytest.mark.parametrize("price", ["-1", "1.005", "NaN", "Infinity", "1e12", "twelve", ""])
def test_what_is_no_price_is_refused(add_product, price):
    with pytest.raises(Problem):
        add_product(price=price)


def test_stock_is_corrected_with_a_reason_and_never_below_zero(add_product):
    product = add_product(stock=5)
    correct(product, -2, "two were broken")
    with pytest.raises(Problem, match="only 3"):
        correct(product, -4)
    assert shown(product)["stock"] == 3
    history = events.read("aggregate_id = %s", [product])
    assert [type(one.event).__name__ for one in history] == ["ProductAdded", "StockCorrected"]
    assert (history[1].event.difference, history[1].event.stock, history[1].event.reason) == (-2, 3, "two were broken")


def test_corrections_side_by_side_all_count(add_product):
    products = [add_product(stock=10) for _ in range(3)]

    def one(number: int) -> None:
        try:
            correct(products[number % 3], -1)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(24)))
    assert [Product.objects.get(pk=product).stock for product in products] == [2, 2, 2]
    assert [Product.objects.get(pk=product).sequence for product in products] == [9, 9, 9]


def test_the_database_itself_allows_no_stock_below_zero(add_product):
    product = add_product(stock=1)
    with pytest.raises(Exception, match="stock_is_never_below_zero"), connection.cursor() as cursor:
        cursor.execute("UPDATE orders_product SET stock = -1 WHERE id = %s", [product])


def test_products_are_found_by_words_and_prices(add_product):
    cheap = add_product(name="Kettle grün", price="10", description="boils water")
    dear = add_product(name="Samovar grün", price="99.99", description="boils water slowly")

    def found(**wanted) -> set:
        return set(list_products(Wanted(**wanted), before=None, limit=100, using="default")) & {cheap, dear}

    assert found(words="boils water") == {cheap, dear}
    assert found(words="boils -slowly") == {cheap}
    assert found(words="grün samovar") == {dear}
    assert found(min_price=10, max_price=99) == {cheap}
    assert found(words="nothing of the kind") == set()
