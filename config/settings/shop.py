"""The shop."""

from datetime import timedelta

from django.core.exceptions import ImproperlyConfigured

from config.settings.env import ROLE, env

# How long an order that is not paid keeps its units of stock from others.
ORDER_HOLD = timedelta(seconds=env.int("ORDER_HOLD", default=1800))

# Who charges: "sandbox" moves no money and is for trying things out.
PAYMENT_GATEWAY = env.str("PAYMENT_GATEWAY", default="sandbox")
if PAYMENT_GATEWAY not in ("sandbox", "stripe"):
    raise ImproperlyConfigured(f"PAYMENT_GATEWAY is {PAYMENT_GATEWAY!r}; it must be sandbox or stripe")


def secret(name: str, *, needed: bool) -> str:
    return env.str(name) if needed else env.str(name, default="")


# Each only where it is used: workers charge, the write pool hears what Stripe says by itself.
STRIPE_SECRET_KEY = secret("STRIPE_SECRET_KEY", needed=PAYMENT_GATEWAY == "stripe" and ROLE == "worker")
STRIPE_WEBHOOK_SECRET = secret("STRIPE_WEBHOOK_SECRET", needed=PAYMENT_GATEWAY == "stripe" and ROLE == "write")

# Signs what the sandbox says by itself; without one it says nothing.
SANDBOX_WEBHOOK_SECRET = env.str("SANDBOX_WEBHOOK_SECRET", default="")
