from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "orders"

    def ready(self):
        from orders.payments import checks, metrics  # noqa: F401 they register themselves
