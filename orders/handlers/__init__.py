"""The only writers of the shop's tables."""

from orders.handlers import catalogue, stock

__all__ = ["catalogue", "stock"]
