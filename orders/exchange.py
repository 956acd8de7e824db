"""Products as rows of CSV, both ways. What a row says becomes commands, which whoever imports runs in batches."""

import re
from collections.abc import Callable
from uuid import UUID

from django.core.exceptions import ValidationError
from django.utils.encoding import force_str
from django.utils.html import format_html
from import_export import resources, widgets
from import_export.fields import Field
from import_export.instance_loaders import CachedInstanceLoader

from orders.commands import AddProduct, EditProduct
from orders.models import Category, Product
from orders.money import amount
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.problems import Problem

# Of one import: 5,000 edits took 11 s on a busy machine, and the gateway waits for 15 s.
MOST_ROWS = 2000
# Rows of one transaction.
BATCH = 500
# What a spreadsheet reads as a formula (OWASP, CSV injection), with any number of our apostrophes in front.
FORMULA = re.compile(r"'*[=+\-@\t\r]")

Run = Callable[[dict[UUID, object]], dict[UUID, Problem]]


def edit_command(product: Product) -> EditProduct:
    """All that an edit may change, as the row has it."""
    category = str(product.category_id) if product.category_id else None
    return EditProduct(
        product.sku, product.name, str(product.price), product.currency, product.description, category,
        product.is_sold, product.low_stock,
    )  # fmt: skip


def add_command(product: Product) -> AddProduct:
    edit = edit_command(product)
    return AddProduct(
        edit.sku, edit.name, edit.price, edit.currency, edit.description, edit.category_id, edit.is_sold,
        edit.low_stock, product.stock,
    )  # fmt: skip


class Words(widgets.CharWidget):
    """Text; in front of a formula an apostrophe, which import takes off again.

    The library's setting takes the first sign away for good, and knows only "=".
    """

    def render(self, value, obj=None, **kwargs):
        text = value or ""
        return f"'{text}" if FORMULA.match(text) else text

    def clean(self, value, row=None, **kwargs):
        text = super().clean(value, row, **kwargs).strip()
        return text[1:] if text.startswith("'") and FORMULA.match(text) else text


class Price(widgets.Widget):
    def clean(self, value, row=None, **kwargs):
        try:
            return amount(value)
        except Problem as problem:
            raise ValueError(problem.detail) from problem


class Units(widgets.Widget):
    def clean(self, value, row=None, **kwargs):
        if not re.fullmatch(r"[0-9]{1,9}", value):
            raise ValueError(f"{value[:30]!r} is no whole number.")
        return int(value)


class YesNo(widgets.Widget):
    WORDS = {"yes": True, "no": False, "true": True, "false": False, "1": True, "0": False}

    def render(self, value, obj=None, **kwargs):
        return "yes" if value else "no"

    def clean(self, value, row=None, **kwargs):
        try:
            return self.WORDS[value.lower()]
        except KeyError as error:
            raise ValueError(f"{value[:30]!r} is neither yes nor no.") from error


class CategoryPath(widgets.Widget):
    """By its path; each is looked up once in a run."""

    def __init__(self):
        super().__init__()
        self.found: dict[str, Category | None] = {}

    def render(self, value, obj=None, **kwargs):
        return value.path if value else ""

    def clean(self, value, row=None, **kwargs):
        if not value:
            return None
        if value not in self.found:
            self.found[value] = Category.objects.filter(path=value).first()
        if self.found[value] is None:
            raise ValueError(f"There is no category {value[:100]!r}.")
        return self.found[value]


class WholeCells(resources.Diff):
    """What the preview shows of a change: each cell before and after it. The library compares them letter by letter,
    which takes 0.25 s for two descriptions, and up to 1 s."""

    def as_html(self):
        pairs = zip(self.left, self.right, strict=True)
        return [_changed("" if self.new else force_str(before), force_str(after)) for before, after in pairs]


def _changed(before: str, after: str) -> str:
    if before == after:
        return format_html("<span>{}</span>", after)
    removed = format_html("<del>{}</del> ", before) if before else ""
    return format_html("{}<ins>{}</ins>", removed, after)


class Products(resources.ModelResource):
    """By SKU. A column that is left out leaves what it would say as it is; stock is read for new products only.

    run(commands by product id) -> problems by product id; without it there can be dry runs and exports only.
    """

    sku = Field("sku", "sku", Words())
    name = Field("name", "name", Words())
    description = Field("description", "description", Words())
    price = Field("price", "price", Price())
    currency = Field("currency", "currency", Words())
    category = Field("category", "category", CategoryPath())
    is_sold = Field("is_sold", "is_sold", YesNo())
    low_stock = Field("low_stock", "low_stock", Units())
    stock = Field("stock", "stock", Units())

    class Meta:
        model = Product
        name = "Products"
        fields = COLUMNS = (
            "sku", "name", "description", "price", "currency", "category", "is_sold", "low_stock", "stock",
        )  # fmt: skip
        import_id_fields = ("sku",)
        instance_loader_class = CachedInstanceLoader
        skip_unchanged = True
        report_skipped = False
        use_transactions = False
        use_bulk = True
        batch_size = BATCH

    def __init__(self, run: Run | None = None, **kwargs):
        super().__init__(**kwargs)
        self.run = run
        self.seen: set[str] = set()

    @classmethod
    def get_diff_class(cls):
        return WholeCells

    def get_queryset(self):
        return Product.objects.select_related("category")

    def init_instance(self, row=None):
        return Product(pk=new_id())

    def before_import_row(self, row, **kwargs):
        sku = self.fields["sku"].clean(row)
        if sku in self.seen:
            raise ValidationError({"sku": f"{sku} was there before, in an earlier row."})
        self.seen.add(sku)

    def import_field(self, field, instance, row, is_m2m=False, **kwargs):
        if field.attribute != "stock" or instance._state.adding:
            super().import_field(field, instance, row, is_m2m, **kwargs)

    def validate_instance(self, instance, import_validation_errors=None, validate_unique=True):
        """By the fields' own rules. Django's full_clean would ask the database five times per row."""
        errors = dict(import_validation_errors or {})
        try:
            instance.clean_fields(exclude={*errors, "category"})
        except ValidationError as error:
            errors = error.update_error_dict(errors)
        if errors:
            raise ValidationError(errors)

    def bulk_create(self, using_transactions, dry_run, raise_errors, batch_size=None, result=None):
        self._apply(self.create_instances, add_command, dry_run, result)

    def bulk_update(self, using_transactions, dry_run, raise_errors, batch_size=None, result=None):
        self._apply(self.update_instances, edit_command, dry_run, result)

    def _apply(self, products: list[Product], command_of: Callable, dry_run: bool, result) -> None:
        batch, products[:] = {product.pk: product for product in products}, []
        if dry_run or not batch:
            return
        problems = self.run({pk: command_of(product) for pk, product in batch.items()})
        for pk, problem in problems.items():
            self.handle_import_error(result, ValueError(f"{batch[pk].sku}: {problem.detail or problem.title}"))
