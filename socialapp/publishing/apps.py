from django.apps import AppConfig


class PublishingConfig(AppConfig):
    name = "socialapp.publishing"
    label = "publishing"
    verbose_name = "Publishing of events"
