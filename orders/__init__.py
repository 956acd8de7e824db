"""The shop: the consistent half. A write is one transaction, and it fails closed."""
