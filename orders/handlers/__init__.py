"""The only writers of the shop's tables."""

from orders.handlers import addresses, catalogue, changing, emails, images, payments, placing, stock, transitions

__all__ = ["addresses", "catalogue", "changing", "emails", "images", "payments", "placing", "stock", "transitions"]
