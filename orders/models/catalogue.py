"""The catalogue: categories, products and their stock."""

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

# Any language: words as they are written.
SEARCHED = SearchVector("name", "description", "sku", config="simple")

SKU = r"[A-Za-z0-9][A-Za-z0-9._-]{0,49}"
CURRENCY = r"[A-Z]{3}"


class Category(models.Model):
    """A node of the tree. path: the slugs from the root down, `clothes/shoes`, by which a subtree is found."""

    id = models.UUIDField(primary_key=True, editable=False)
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="children")
    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=50)
    path = models.CharField(max_length=500, unique=True, editable=False)
    sequence = models.BigIntegerField(default=1, editable=False)

    class Meta:
        verbose_name_plural = "categories"
        indexes = [
            # LIKE 'clothes/%' by an index, whatever the database's collation is.
            models.Index(fields=["path"], name="category_subtree", opclasses=["varchar_pattern_ops"]),
        ]

    def __str__(self):
        return self.path


class Product(models.Model):
    """version: what an edit changes. sequence: rises with every event about the product, sales included."""

    id = models.UUIDField(primary_key=True, editable=False)
    sku = models.CharField("SKU", max_length=50, unique=True, validators=[RegexValidator(rf"^{SKU}\Z")])
    name = models.CharField(max_length=200)
    description = models.TextField(max_length=5000, blank=True)
    price = models.DecimalField(max_digits=12, decimal_places=2, validators=[MinValueValidator(0)])
    currency = models.CharField(max_length=3, default="EUR", validators=[RegexValidator(rf"^{CURRENCY}\Z")])
    stock = models.IntegerField(default=0, editable=False)
    # The operators' list of what to order.
    low_stock = models.PositiveIntegerField(default=5, help_text="At or below this it is on the list of low stock.")
    category = models.ForeignKey(Category, on_delete=models.PROTECT, null=True, blank=True, related_name="products")
    is_sold = models.BooleanField("for sale", default=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    version = models.PositiveIntegerField(default=1, editable=False)
    sequence = models.BigIntegerField(default=1, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(stock__gte=0), name="stock_is_never_below_zero"),
            models.CheckConstraint(condition=Q(price__gte=0), name="price_is_never_below_zero"),
        ]
        indexes = [
            models.Index(fields=["category", "-id"], name="products_of_a_category"),
            models.Index(fields=["price"], name="products_by_price"),
            GinIndex(SEARCHED, name="products_by_words"),
        ]

    def __str__(self):
        return f"{self.sku} {self.name}"


class ProductImage(models.Model):
    """A picture of a product. file: its name in the default storage, random and never used again. Sizes in pixels."""

    file = models.CharField(max_length=100, primary_key=True, editable=False)
    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="images", db_index=False)
    position = models.PositiveSmallIntegerField()
    alt = models.CharField("alternative text", max_length=200, blank=True)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()

    class Meta:
        constraints = [
            # Checked at the end of the transaction, so that pictures can change places.
            models.UniqueConstraint(
                fields=["product", "position"], name="one_image_per_place", deferrable=models.Deferrable.DEFERRED
            )
        ]

    def __str__(self):
        return self.file
