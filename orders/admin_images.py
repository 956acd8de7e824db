"""The admin's page of a product's pictures: add, describe, put in order, remove. Mixed into the product's admin."""

from django import forms
from django.contrib import admin, messages
from django.core.files.storage import default_storage
from django.http import HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join

from orders import images
from orders.commands import AddProductImage, ArrangeProductImages
from orders.handlers.images import MOST
from orders.models import Product, ProductImage
from socialapp.cqrs.problems import Problem


def shown(image: ProductImage) -> str:
    return format_html('<img class="thumbnail" src="{}" alt="{}">', default_storage.url(image.file), image.alt)


class PictureInput(forms.FileInput):
    allow_multiple_selected = True


class PicturesField(forms.FileField):
    """Up to MOST files, each read as a picture. Counts of files and pixels are known before one is unpacked."""

    def clean(self, value, initial=None):
        files = [file for file in map(super().clean, value or [None]) if file]
        if len(files) > MOST:
            raise forms.ValidationError(f"At most {MOST} pictures.", code="too_many_images")
        images.require_bearable_together([self._named(images.pixels, file) for file in files])
        return [self._named(images.read, file) for file in files]

    def _named(self, look, file) -> object:
        try:
            return look(file, file.size)
        except forms.ValidationError as error:
            raise forms.ValidationError(f"{file.name}: {error.message}", code=error.code) from error


class Uploads(forms.Form):
    pictures = PicturesField(
        required=False,
        widget=PictureInput(attrs={"accept": "image/png,image/jpeg,image/webp,image/gif"}),
        label="Add pictures",
        help_text="PNG, JPEG, WebP or GIF, up to 10 MiB each and 30 MiB together.",
    )


class Place(forms.Form):
    file = forms.CharField(widget=forms.HiddenInput)
    alt = forms.CharField(
        label="What it shows", max_length=200, required=False, widget=forms.TextInput(attrs={"size": 60})
    )


Places = forms.formset_factory(Place, extra=0, can_order=True, can_delete=True, max_num=MOST, absolute_max=MOST)


class ImagesPage:
    """For a ModelAdmin of products."""

    def get_queryset(self, request):
        return super().get_queryset(request).prefetch_related("images")

    def get_readonly_fields(self, request, obj=None):
        return [*super().get_readonly_fields(request, obj), "pictures"]

    @admin.display(description="", empty_value=" ")
    def picture(self, product):
        first = min(product.images.all(), key=lambda image: image.position, default=None)
        return first and shown(first)

    @admin.display(description="pictures")
    def pictures(self, product):
        if product.pk is None:
            return "Once the product is saved"
        ordered = sorted(product.images.all(), key=lambda image: image.position)
        return format_html_join(" ", "{}", ((shown(image),) for image in ordered)) or "None yet"

    def get_urls(self):
        page = self.admin_site.admin_view(self.images_view)
        return [path("<uuid:product_id>/images/", page, name="orders_product_images"), *super().get_urls()]

    def images_view(self, request, product_id):
        product = self.get_object(request, str(product_id))
        if product is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(product_id))
        return self.refusable(request, lambda: self._images_view(request, product))

    def _images_view(self, request, product: Product):
        present = list(product.images.order_by("position"))
        places = Places(request.POST or None, initial=[{"file": image.file, "alt": image.alt} for image in present])
        uploads = Uploads(request.POST or None, request.FILES or None)
        if request.method == "POST" and places.is_valid() and uploads.is_valid():
            self._arrange(request, product, places)
            self._add(request, product, uploads.cleaned_data["pictures"])
            self.message_user(request, f"The pictures of {product} were saved.", messages.SUCCESS)
            return HttpResponseRedirect(reverse("admin:orders_product_images", args=[product.pk]))
        thumbnails = {image.file: shown(image) for image in present}
        context = self.admin_site.each_context(request) | {
            "title": f"Pictures of {product}",
            "opts": self.opts,
            "product": product,
            "places": places,
            "rows": [(place, thumbnails.get(place["file"].value(), "")) for place in places],
            "uploads": uploads,
            "most": MOST,
        }
        return TemplateResponse(request, "admin/orders/product/images.html", context)

    def _arrange(self, request, product: Product, places) -> None:
        if not places.has_changed():
            return
        kept = [place.cleaned_data for place in places.ordered_forms]
        removed = tuple(place.cleaned_data["file"] for place in places.deleted_forms)
        files, alts = tuple(one["file"] for one in kept), tuple(one["alt"] for one in kept)
        self.run(request, ArrangeProductImages(files, alts, removed), product)
        self.log_change(request, product, f"Pictures arranged, {len(removed)} removed")

    def _add(self, request, product: Product, pictures: list[images.Picture]) -> None:
        for picture in pictures:
            name = picture.store()
            try:
                self.run(request, AddProductImage(name, picture.width, picture.height, product.name), product)
            except Problem:
                default_storage.delete(name)
                raise
            self.log_change(request, product, f"Picture {name} added")
