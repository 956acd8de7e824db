from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "orders"

    def ready(self):
        from orders import checks  # noqa: F401 it registers itself
        from orders.payments import metrics  # noqa: F401 the same
