"""The shop's tables. Rows change through commands only, see handlers/."""

from orders.models.address import Address
from orders.models.catalogue import CURRENCY, SEARCHED, SKU, Category, Product, ProductImage
from orders.models.email import OrderEmail
from orders.models.order import MOST_OF_ONE, Order, OrderAddress, OrderItem, Payment, PaymentAttempt, Status
from orders.models.sandbox import SandboxCharge

__all__ = [
    "CURRENCY",
    "MOST_OF_ONE",
    "SEARCHED",
    "SKU",
    "Address",
    "Category",
    "Order",
    "OrderAddress",
    "OrderEmail",
    "OrderItem",
    "Payment",
    "PaymentAttempt",
    "Product",
    "ProductImage",
    "SandboxCharge",
    "Status",
]
