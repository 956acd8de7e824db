from django.apps import AppConfig


class IdentityConfig(AppConfig):
    name = "socialapp.identity"
    label = "identity"
