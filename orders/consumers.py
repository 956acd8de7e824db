"""What follows from events of the shop; each consumer is declared in a module of its own."""

from orders.payments import consumer as payments

__all__ = ["payments"]
