"""Each column of each model is declared as read by the read role or withheld from it."""

import pytest
from django.apps import apps

from config.read_columns import COLUMNS

MODELS = {model._meta.label: model for model in apps.get_models(include_auto_created=True)}


@pytest.mark.parametrize("label", sorted(MODELS))
def test_every_column_has_one_decision(label):
    assert label in COLUMNS, f"{label}: say in config/read_columns.py which columns reads need"
    read, withheld = COLUMNS[label].read.split(), COLUMNS[label].withheld.split()
    assert sorted(read + withheld) == sorted(field.column for field in MODELS[label]._meta.local_concrete_fields)


def test_nothing_else_is_declared():
    assert COLUMNS.keys() == MODELS.keys()
