from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "socialapp.accounts"
    label = "accounts"

    def ready(self):
        from socialapp.accounts import revoking
        from socialapp.identity.revocations import revocations

        revocations.read_rows_with(revoking.recent)
