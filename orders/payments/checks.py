"""What `manage.py check --deploy` says about payment. Who lacks a key does not even start: config/settings/shop.py."""

from django.conf import settings
from django.core.checks import Tags, Warning, register


@register(Tags.security, deploy=True)
def real_money(app_configs, **kwargs) -> list[Warning]:
    if settings.PAYMENT_GATEWAY != "sandbox":
        return []
    hint = "Set PAYMENT_GATEWAY=stripe, and STRIPE_SECRET_KEY for workers, STRIPE_WEBHOOK_SECRET for the write pool."
    return [
        Warning("The sandbox gateway takes no money: whoever pays with `approve` has paid.", hint, id="orders.W001")
    ]
