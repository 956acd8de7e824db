"""The project's apps as peers have them: their tables, and nothing of what they register with the kernel."""

from django.apps import AppConfig


class Orders(AppConfig):
    name = "orders"
