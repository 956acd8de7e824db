"""What `manage.py check --deploy` says about the shop. Who lacks a key does not even start: config/settings/shop.py."""

from django.conf import settings
from django.core.checks import Error, Tags, Warning, register
from django.core.files.storage import FileSystemStorage, default_storage

from socialapp.cqrs import roles


@register(Tags.security, deploy=True)
def real_money(app_configs, **kwargs) -> list[Warning]:
    if settings.PAYMENT_GATEWAY != "sandbox":
        return []
    hint = "Set PAYMENT_GATEWAY=stripe, and STRIPE_SECRET_KEY for workers, STRIPE_WEBHOOK_SECRET for the write pool."
    return [
        Warning("The sandbox gateway takes no money: whoever pays with `approve` has paid.", hint, id="orders.W001")
    ]


@register(Tags.files, deploy=True)
def somewhere_to_upload(app_configs, **kwargs) -> list[Error]:
    """The first picture of a product would be a 500."""
    if settings.MEDIA_ROOT or not roles.may_write() or not isinstance(default_storage, FileSystemStorage):
        return []
    return [Error("There is no folder for uploads.", "Set MEDIA_ROOT, shared by all write servers.", id="orders.E001")]
