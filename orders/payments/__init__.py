"""Payment: the gateways, and who asks them when. What becomes of an order is decided in handlers/payments.py."""
