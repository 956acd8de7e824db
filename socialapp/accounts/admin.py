"""Users for operators: who they are, and whether they may log in."""

from django.contrib import admin

from socialapp.accounts.commands import SetAccess
from socialapp.accounts.models import RefreshToken, User
from socialapp.cqrs.admin import CommandAdmin, ReadOnlyAdmin


@admin.register(User)
class UserAdmin(CommandAdmin):
    list_display = ["username", "name", "email", "is_active", "is_staff", "post_count", "follower_count", "date_joined"]
    list_filter = ["is_active", "is_staff", "date_joined"]
    search_fields = ["username", "name", "=email", "=id"]
    ordering = ["-date_joined"]
    exclude = ["password", "groups", "user_permissions"]
    editable = ("is_active", "is_staff")

    def change_command(self, obj):
        return SetAccess(obj.is_active, obj.is_staff)


@admin.register(RefreshToken)
class RefreshTokenAdmin(ReadOnlyAdmin):
    """Who is logged in, and since when. The digests are of no use to anybody and are not shown."""

    list_display = ["family", "user", "issued_at", "expires_at", "used_at", "revoked_at"]
    list_display_links = None
    list_filter = ["issued_at", "revoked_at"]
    search_fields = ["=family", "user__username"]
    list_select_related = ["user"]
    fields = ["family", "user", "issued_at", "expires_at", "used_at", "revoked_at"]
