"""The admin's pages of CSV import and export. Mixed into the product's admin."""

import csv
from io import StringIO
from itertools import islice

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import ValidationError
from django.forms import HiddenInput
from django.http import HttpResponseRedirect
from django.urls import reverse
from import_export.admin import ImportExportMixin
from import_export.formats.base_formats import CSV
from import_export.forms import ImportForm

from orders.exchange import MOST_ROWS, Products
from orders.import_files import ImportFiles
from socialapp.cqrs.execute import execute_batch
from socialapp.cqrs.http.freshness import remember
from socialapp.cqrs.problems import Problem

MIB = 1024 * 1024
LARGEST_FILE = 4 * MIB
MOST_TOLD = 10


class Upload(ImportForm):
    """Refuses what the library would trip over, or would silently leave out."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # There is but one.
        self.fields["format"].widget = HiddenInput()
        self.fields["import_file"].widget.attrs["accept"] = ".csv,text/csv"
        self.fields["import_file"].help_text = (
            f"CSV in UTF-8 with commas, at most {MOST_ROWS:,} rows and {LARGEST_FILE // MIB} MiB. "
            "Products are found by their SKU. A column that is left out changes nothing, "
            "and stock is read for new products only."
        )

    def clean_import_file(self):
        file = self.cleaned_data["import_file"]
        if file.size > LARGEST_FILE:
            raise ValidationError(f"A file may have {LARGEST_FILE // MIB} MiB.")
        _check(file.read())
        file.seek(0)
        return file


def _check(content: bytes) -> None:
    try:
        text = content.decode("utf-8-sig")
        # One more than may be imported: the rest is not read.
        rows = filter(None, csv.reader(StringIO(text, newline=""), strict=True))
        header, *rows = islice(rows, MOST_ROWS + 2)
    except UnicodeDecodeError as error:
        raise ValidationError("The file is not UTF-8.") from error
    except (csv.Error, ValueError) as error:
        raise ValidationError(f"The file is not CSV with a row of names first: {error}.") from error
    unknown = [name for name in header if name not in Products.Meta.fields]
    if "sku" not in header or unknown or len(set(header)) < len(header):
        columns = ", ".join(Products.Meta.fields)
        raise ValidationError(f"The first row must name columns: sku, and any others of {columns}.")
    if len(rows) > MOST_ROWS:
        raise ValidationError(f"These are more than {MOST_ROWS:,} rows. Import {MOST_ROWS:,} at a time.")
    # The libraries between here and the database take neither.
    uneven = next((number for number, row in enumerate(rows, 1) if len(row) != len(header)), None)
    if uneven:
        raise ValidationError(f"Row {uneven} has more or fewer cells than there are names.")
    if "\0" in text:
        raise ValidationError("The file holds NUL.")


class CSVPages(ImportExportMixin):
    resource_classes = [Products]
    formats = [CSV]
    import_form_class = Upload
    tmp_storage_class = ImportFiles
    # Else Excel takes it for Latin-1.
    to_encoding = "utf-8-sig"
    skip_export_form = True

    def get_import_resource_kwargs(self, request, **kwargs):
        return {"run": lambda batch: self._run_batch(request, batch)}

    def _run_batch(self, request, batch: dict) -> dict:
        problems, request.consistency_token = execute_batch(
            batch, actor_id=request.user.pk, token=request.consistency_token
        )
        return problems

    def export_action(self, request):
        """What the list shows under the same filters; as there, those that make no sense lead to the list."""
        try:
            return super().export_action(request)
        except IncorrectLookupParameters:
            return HttpResponseRedirect(f"{reverse('admin:orders_product_changelist')}?{ERROR_FLAG}=1")

    def process_import(self, request, **kwargs):
        try:
            response = super().process_import(request, **kwargs)
        except Problem as problem:
            told = f"{problem.detail or problem.title}. What was imported before that stays; it may be imported again."
            self.message_user(request, told, messages.ERROR)
            response = HttpResponseRedirect(reverse("admin:orders_product_import"))
        if request.consistency_token:
            remember(request, response, request.consistency_token)
        return response

    def add_success_message(self, result, request):
        """Something may have changed after the preview: then a command is refused."""
        for error in result.base_errors[:MOST_TOLD]:
            self.message_user(request, f"Not imported: {error.error}", messages.ERROR)
        new, changed, same = (result.totals[kind] for kind in ("new", "update", "skip"))
        told = f"The file had {new} new products, {changed} changed and {same} unchanged ones."
        if result.base_errors:
            self.message_user(request, f"{told} {len(result.base_errors)} were refused.", messages.WARNING)
        else:
            self.message_user(request, f"{told} All were imported.", messages.SUCCESS)
