"""The only writers of the shop's tables."""

from orders.handlers import addresses, catalogue, stock

__all__ = ["addresses", "catalogue", "stock"]
