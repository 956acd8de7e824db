"""The catalogue for operators. What they save are commands, as everybody's writes are; stock changes with a reason."""

from django import forms
from django.contrib import admin, messages
from django.db.models import F
from django.http import HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from orders import admin_orders  # noqa: F401 registers the pages of orders
from orders.admin_csv import CSVPages
from orders.admin_images import ImagesPage, shown
from orders.commands import CorrectStock, SaveCategory
from orders.emails import admin as admin_emails  # noqa: F401 registers the pages of emails
from orders.exchange import add_command, edit_command
from orders.models import Address, Category, Product, ProductImage
from socialapp.cqrs.admin import CommandAdmin, ReadOnlyAdmin
from socialapp.cqrs.ids import new_id

LONGEST_REASON = 500


class CatalogueAdmin(CommandAdmin):
    """Adds rows, too. A new one has its id before its command is made."""

    def has_add_permission(self, request):
        return request.user.is_staff

    def get_readonly_fields(self, request, obj=None):
        shown = super().get_readonly_fields(request, obj)
        return [name for name in shown if name in self.get_fields(request, obj)]

    def save_model(self, request, obj, form, change):
        obj.pk = obj.pk or new_id()
        self.run(request, self.change_command(obj) if change else self.add_command(obj), obj)

    def save_related(self, request, form, formsets, change):
        """There are none: a command writes all."""

    def add_command(self, obj):
        raise NotImplementedError


@admin.register(Category)
class CategoryAdmin(CatalogueAdmin):
    list_display = ["path", "name"]
    search_fields = ["name", "path"]
    search_help_text = "A part of a name or of a path"
    ordering = ["path"]
    fields = ["name", "slug", "parent", "path", "id"]
    editable = ("name", "slug", "parent")
    prepopulated_fields = {"slug": ["name"]}
    autocomplete_fields = ["parent"]

    def change_command(self, obj):
        return SaveCategory(obj.name, obj.slug, str(obj.parent_id) if obj.parent_id else None)

    add_command = change_command


class IsLow(admin.SimpleListFilter):
    title = "stock"
    parameter_name = "stock"

    def lookups(self, request, model_admin):
        return [("low", "Low"), ("out", "None left")]

    def queryset(self, request, queryset):
        if self.value() == "low":
            return queryset.filter(is_sold=True, stock__lte=F("low_stock"))
        return queryset.filter(is_sold=True, stock=0) if self.value() == "out" else queryset


class Correction(forms.Form):
    difference = forms.IntegerField(
        min_value=-1_000_000, max_value=1_000_000, help_text="Units: 20 came in, or -1 was broken."
    )
    reason = forms.CharField(max_length=LONGEST_REASON, widget=forms.Textarea(attrs={"rows": 3}))

    def clean_difference(self):
        if not self.cleaned_data["difference"]:
            raise forms.ValidationError("Nothing would change.")
        return self.cleaned_data["difference"]


@admin.register(Product)
class ProductAdmin(ImagesPage, CSVPages, CatalogueAdmin):
    list_display = ["picture", "sku", "name", "price", "currency", "stock", "category", "is_sold"]
    list_filter = [IsLow, "is_sold", "category"]
    list_select_related = ["category"]
    list_display_links = ["sku"]
    search_fields = ["sku", "name"]
    search_help_text = "An id, or a part of a SKU or of a name"
    ordering = ["-id"]
    fields = [
        "sku", "name", "description", "price", "currency", "category", "is_sold", "low_stock", "stock", "pictures",
        "created_at", "version", "id",
    ]  # fmt: skip
    editable = ("sku", "name", "description", "price", "currency", "category", "is_sold", "low_stock")
    autocomplete_fields = ["category"]
    change_form_template = "admin/orders/product/change_form.html"

    def change_command(self, obj):
        return edit_command(obj)

    def add_command(self, obj):
        return add_command(obj)

    def view_on_site(self, obj):
        return reverse("product", args=[obj.pk])

    def get_urls(self):
        correct = self.admin_site.admin_view(self.correct_stock)
        return [path("<uuid:product_id>/stock/", correct, name="orders_product_stock"), *super().get_urls()]

    def correct_stock(self, request, product_id):
        """A page of its own: a number in a form that somebody else's sale has changed meanwhile must not be saved."""
        product = self.get_object(request, str(product_id))
        if product is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(product_id))
        return self.refusable(request, lambda: self._correct_stock(request, product))

    def _correct_stock(self, request, product):
        form = Correction(request.POST or None)
        if request.method == "POST" and form.is_valid():
            self.run(request, CorrectStock(**form.cleaned_data), product)
            difference = form.cleaned_data["difference"]
            self.log_change(request, product, f"Stock {difference:+}: {form.cleaned_data['reason']}")
            self.message_user(request, f"The stock of {product} was changed by {difference:+}.", messages.SUCCESS)
            return HttpResponseRedirect(reverse("admin:orders_product_change", args=[product.pk]))
        context = self.admin_site.each_context(request) | {
            "title": f"Correct the stock of {product}",
            "opts": self.opts,
            "product": product,
            "form": form,
        }
        return TemplateResponse(request, "admin/orders/product/stock.html", context)


@admin.register(Address)
class AddressAdmin(ReadOnlyAdmin):
    list_display = ["name", "line1", "postcode", "city", "country", "user", "is_default"]
    search_fields = ["=user__username"]
    search_ids = ("pk", "user_id")
    search_help_text = "An id of an address or a user, or a user's name"
    list_select_related = ["user"]
    ordering = ["-id"]
    fields = [
        "name", "line1", "line2", "postcode", "city", "region", "country", "user", "is_default", "id", "sequence",
    ]  # fmt: skip


@admin.register(ProductImage)
class ProductImageAdmin(ReadOnlyAdmin):
    """They change on the pages of their products."""

    list_display = ["file", "picture", "product", "position", "alt"]
    search_fields = ["=product__sku"]
    search_ids = ("product_id",)
    search_help_text = "The id of a product, or its SKU"
    list_select_related = ["product"]
    ordering = ["product", "position"]
    fields = ["picture", "product", "position", "alt", "width", "height", "file"]

    @admin.display(description="picture")
    def picture(self, image):
        return shown(image)
