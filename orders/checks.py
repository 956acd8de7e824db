"""What `manage.py check --deploy` says about the shop. Who lacks a key does not even start: config/settings/shop.py,
config/settings/production.py."""

from django.conf import settings
from django.core.checks import Error, Tags, register
from django.core.files.storage import FileSystemStorage, default_storage

from socialapp.cqrs import roles


@register(Tags.files, deploy=True)
def somewhere_to_upload(app_configs, **kwargs) -> list[Error]:
    """The first picture of a product would be a 500."""
    if settings.MEDIA_ROOT or not roles.may_write() or not isinstance(default_storage, FileSystemStorage):
        return []
    return [Error("There is no folder for uploads.", "Set MEDIA_ROOT, shared by all write servers.", id="orders.E001")]
