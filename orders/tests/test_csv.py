"""Products as CSV: what comes in by commands, what goes out, and what is refused."""

import csv
import secrets
from io import StringIO

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st
from tablib import Dataset

from orders import admin_csv, import_files
from orders.commands import EditProduct
from orders.exchange import BATCH, MOST_ROWS, Products, Words, edit_command
from orders.import_files import Expired, ImportFiles
from orders.models import Category, Product
from socialapp.cqrs import events, valkey
from socialapp.cqrs.execute import execute, execute_batch
from socialapp.cqrs.http.problems import to_problem
from socialapp.cqrs.ids import new_id

pytestmark = pytest.mark.usefixtures("clean_stores")

HEADER = ("sku", "name", "price", "category", "stock")


def import_rows(rows: list[tuple], headers=HEADER, *, dry_run: bool = False):
    resource = Products(run=lambda batch: execute_batch(batch, actor_id=None)[0])
    return resource.import_data(Dataset(*rows, headers=headers), dry_run=dry_run)


def exported(*skus: str) -> list[dict]:
    queryset = Product.objects.filter(sku__in=skus).select_related("category").order_by("sku")
    return list(csv.DictReader(StringIO(Products().export(queryset).csv)))


def errors_of(result) -> list[dict]:
    return [row.error_dict for row in result.invalid_rows]


@pytest.fixture
def sku() -> str:
    return f"S-{secrets.token_hex(4)}"


def test_a_new_row_is_added_with_its_stock_and_an_old_one_edited_without(sku, add_category):
    path = Category.objects.get(pk=add_category()).path
    import_rows([(sku, "Kettle", "12.5", path, "7")])
    product = Product.objects.get(sku=sku)
    assert (product.name, str(product.price), product.category.path, product.stock) == ("Kettle", "12.50", path, 7)
    result = import_rows([(sku, "Kettle with a lid", "13", "", "999")])
    product.refresh_from_db()
    assert (product.name, str(product.price), product.stock) == ("Kettle with a lid", "13.00", 7)
    assert product.category is None
    assert result.totals["update"] == 1
    history = [type(one.event).__name__ for one in events.read("aggregate_id = %s", [product.pk])]
    assert history == ["ProductAdded", "ProductEdited"]


def test_a_dry_run_says_the_same_and_changes_nothing(sku):
    result = import_rows([(sku, "Kettle", "12.50", "", "7")], dry_run=True)
    assert result.totals["new"] == 1 and not result.has_errors() and not result.has_validation_errors()
    assert not Product.objects.filter(sku=sku).exists()


def test_what_has_not_changed_is_left_alone_and_so_are_columns_that_are_left_out(sku, add_product):
    product = add_product(sku=sku, description="As it was", stock=3)
    result = import_rows([(sku, "12.5")], ("sku", "price"))
    assert result.totals["skip"] == 1
    import_rows([(sku, "99")], ("sku", "price"))
    row = Product.objects.get(pk=product)
    assert (str(row.price), row.name, row.description, row.version) == ("99.00", "A thing", "As it was", 2)


def test_errors_are_told_by_row_and_column(sku):
    rows = [
        (sku, "Kettle", "cheap", "no/such", "many"),
        ("two words", "Kettle", "1", "", "1"),
        (f"{sku}-a", "", "-1", "", "1"),
        (f"{sku}-b", "Kettle", "1", "", "1"),
        (f"{sku}-b", "Kettle", "1", "", "1"),
    ]
    result = import_rows(rows, dry_run=True)
    assert [row.number for row in result.invalid_rows] == [1, 2, 3, 5]
    found = [set(row.field_specific_errors) for row in result.invalid_rows]
    assert found == [{"price", "category", "stock"}, {"sku"}, {"name", "price"}, {"sku"}]


def test_many_rows_go_in_batches_and_a_refusal_is_one_rows_own(sku, add_category):
    category = Category.objects.get(pk=add_category())
    rows = [(f"{sku}-{number:04}", "Kettle", "1", category.path, "1") for number in range(BATCH + 20)]
    import_rows(rows)
    assert Product.objects.filter(sku__startswith=sku).count() == BATCH + 20
    # when one's SKU is taken between preview and import
    taken, other = Product.objects.filter(sku__startswith=sku).order_by("pk")[:2]
    batch = {taken.pk: edit_command(other), other.pk: EditProduct(f"{sku}-x", "Changed", "2", "EUR")}
    problems, _ = execute_batch(batch, actor_id=None)
    assert {pk: problem.code for pk, problem in problems.items()} == {taken.pk: "taken"}
    assert Product.objects.get(pk=other.pk).name == "Changed"


def test_a_product_that_appears_after_the_preview_is_told_of(sku, add_product):
    resource = Products(run=None)
    resource.run = lambda batch: (add_product(sku=sku), execute_batch(batch, actor_id=None)[0])[1]
    rows = [(sku, "Kettle", "1", "", "1"), (f"{sku}-b", "Kettle", "1", "", "1")]
    result = resource.import_data(Dataset(*rows, headers=HEADER))
    assert [str(error.error) for error in result.base_errors] == [f"{sku}: There is a product {sku} already."]
    assert Product.objects.filter(sku=f"{sku}-b").exists()


def test_what_is_exported_can_be_imported_again(sku, add_product, add_category):
    category = add_category()
    path = Category.objects.get(pk=category).path
    name = '=HYPERLINK("http://evil.example")'
    add_product(sku=sku, name=name, description="two\nlines, ünïcode", category_id=str(category))
    (row,) = exported(sku)
    assert row == {
        "sku": sku, "name": f"'{name}", "description": "two\nlines, ünïcode", "price": "12.50", "currency": "EUR",
        "category": path, "is_sold": "yes", "low_stock": "5", "stock": "0",
    }  # fmt: skip
    result = import_rows([tuple(row.values())], tuple(row))
    assert result.totals["skip"] == 1 and not result.has_validation_errors()


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(str.strip))
def test_formulas_are_escaped_and_come_back(text):
    cell = Words().render(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert Words().clean(cell) == text


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"\xff\xfe", "UTF-8"),
        (b"", "row of names"),
        (b'sku,name\nS,"open', "not CSV"),
        (b"name\nKettle", "must name columns"),
        (b"sku,prise\nS,1", "must name columns"),
        (b"sku,sku\nS,S", "must name columns"),
        (b"sku;name\nS;Kettle", "must name columns"),
        (b"sku,name\nS", "Row 1 has"),
        (b"sku,name\nS,\x00", "NUL"),
        (b"sku\n" + b"S\n" * (MOST_ROWS + 1), "more than 2,000 rows"),
    ],
)
def test_a_file_that_is_none_is_refused(content, complaint):
    with pytest.raises(ValidationError, match=complaint):
        admin_csv._check(content)


def test_a_good_file_is_let_in():
    admin_csv._check('\ufeffsku,name\r\nS,"Kettle, ünïcode"\r\n\r\n'.encode())


def test_a_batch_is_one_transaction_with_a_token(sku, add_product):
    ids = [add_product() for _ in range(3)]
    batch = {pk: EditProduct(f"{sku}-{number}", "Together", "1", "EUR") for number, pk in enumerate(ids)}
    problems, token = execute_batch(batch | {new_id(): EditProduct(sku, "Nothing", "1", "EUR")}, actor_id=None)
    assert [problem.code for problem in problems.values()] == ["not_found"]
    assert not token.pending and token.positions()
    xids = {one.xid for one in events.read("aggregate_id = ANY(%s) AND type = 'ProductEdited'", [ids])}
    assert len(xids) == 1
    execute(EditProduct(f"{sku}-9", "Alone", "1", "EUR"), actor_id=None, resource_id=ids[0], token=token)


@pytest.fixture
def media(tmp_path, settings):
    settings.MEDIA_ROOT = str(tmp_path)
    return tmp_path / import_files.FOLDER


def kept(content: bytes) -> str:
    files = ImportFiles()
    files.save(content)
    return files.name


def test_a_file_waits_on_disk_and_not_in_the_memory_of_the_broker(media):
    before = valkey.state().dbsize()
    name = kept(b"x" * admin_csv.LARGEST_FILE)
    assert valkey.state().dbsize() == before
    assert ImportFiles(name=name).read() == b"x" * admin_csv.LARGEST_FILE
    assert (media.stat().st_mode & 0o777, (media / name).stat().st_mode & 0o777) == (0o700, 0o600)
    ImportFiles(name=name).remove()
    with pytest.raises(Expired):
        ImportFiles(name=name).read()


def test_an_unusable_folder_is_not_taken_for_a_valkey(media):
    media.write_text("a file where the folder should be")
    with pytest.raises(OSError) as raised:
        kept(b"a")
    problem = to_problem(raised.value)
    assert (problem.status, problem.detail) == (503, "A file of the server could not be read or written.")


def test_a_file_expires_and_makes_room(media, monkeypatch):
    names = [kept(b"a") for _ in range(import_files.MOST + 5)]
    assert len(list(media.iterdir())) == import_files.MOST
    assert ImportFiles(name=names[-1]).read() == b"a"
    monkeypatch.setattr(import_files, "LIFETIME", -60)
    with pytest.raises(Expired):
        ImportFiles(name=names[-1]).read()
    kept(b"b")
    assert len(list(media.iterdir())) == 1


@pytest.mark.parametrize("name", [None, "", "../secret", "/etc/passwd", "a" * 31, "A" * 32, "a" * 31 + "/"])
def test_a_name_that_was_never_given_is_expired(media, name):
    for use in (ImportFiles.read, ImportFiles.remove):
        with pytest.raises(Expired):
            use(ImportFiles(name=name))


def test_a_preview_shows_each_cell_before_and_after(sku, add_product):
    add_product(sku=sku, name="Kettle & lid", price="12.50")
    result = import_rows([(sku, "Kettle <b>", "12.5", "", "1"), (f"{sku}-b", "New", "1", "", "1")], dry_run=True)
    edited, added = (row.diff for row in result.rows)
    assert "<del>Kettle &amp; lid</del> <ins>Kettle &lt;b&gt;</ins>" in edited and "<span>12.50</span>" in edited
    assert "<ins>New</ins>" in added and not [cell for cell in added if "<del>" in cell]


def test_no_cell_is_compared_letter_by_letter(sku, add_product, monkeypatch):
    add_product(sku=sku, description="a" * 5000)
    monkeypatch.setattr("import_export.resources.diff_match_patch", lambda: pytest.fail("compared letter by letter"))
    (row,) = import_rows([(sku, "b" * 5000)], ("sku", "description"), dry_run=True).rows
    assert f"<del>{'a' * 5000}</del> <ins>{'b' * 5000}</ins>" in row.diff
