"""The shop."""

from datetime import timedelta

from config.settings.env import env

# How long an order that is not paid keeps its units of stock from others.
ORDER_HOLD = timedelta(seconds=env.int("ORDER_HOLD", default=1800))

# Who charges: "sandbox" moves no money and is for trying things out.
PAYMENT_GATEWAY = env.str("PAYMENT_GATEWAY", default="sandbox")
