from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "socialapp.accounts"
    label = "accounts"
