"""Addresses of the shop. Each view is composed of its reads and its writes, and every pool knows all of them."""

from django.urls import path

from orders.api import read, read_history, read_orders, write


class Products(read.ReadProducts):
    """What is sold, newest first."""


class ProductDetail(read.ReadProduct):
    """One product."""

    name = "Product"


class Categories(read.ReadCategories):
    """The tree of categories, parents before their children."""


class Orders(read_orders.ReadOrders, write.WriteOrders):
    """My orders, newest first. Place one."""


class OrderDetail(read_orders.ReadOrder, write.WriteOrder):
    """One order. PUT changes it, DELETE cancels it."""

    name = "Order"


class OrderEvents(read_history.ReadOrderEvents):
    """What has happened to an order, and what it was at some time."""

    name = "Events"


class Addresses(read.ReadAddresses, write.WriteAddresses):
    """My addresses, the default first. Add one."""


class AddressDetail(read.ReadAddress, write.WriteAddress):
    """One address of mine."""

    name = "Address"


class PaymentWebhook(write.WritePaymentNotice):
    """What the payment gateway says by itself, signed by it: `Stripe-Signature`, or `Sandbox-Signature`, which is the
    HMAC-SHA256 of the body in hex. What is not about one of our payments is answered 200, too."""

    name = "Payment webhook"


urlpatterns = [
    path("products/<uuid:product_id>", ProductDetail.as_view(), name="product"),
    path("products", Products.as_view(), name="products"),
    path("orders", Orders.as_view(), name="orders"),
    path("orders/<uuid:order_id>", OrderDetail.as_view(), name="order"),
    path("orders/<uuid:order_id>/events", OrderEvents.as_view(), name="order_events"),
    path("payments/webhook", PaymentWebhook.as_view(), name="payment-webhook"),
    path("categories", Categories.as_view(), name="categories"),
    path("addresses", Addresses.as_view(), name="addresses"),
    path("addresses/<uuid:address_id>", AddressDetail.as_view(), name="address"),
]
