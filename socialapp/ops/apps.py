from django.apps import AppConfig


class OpsConfig(AppConfig):
    name = "socialapp.ops"
    label = "ops"
