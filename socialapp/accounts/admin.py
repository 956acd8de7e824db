"""Users for operators: who they are, and whether they may log in."""

from django.contrib import admin
from django.contrib.auth.models import Group
from django.urls import reverse

from socialapp.accounts import revoking
from socialapp.accounts.commands import SetAccess
from socialapp.accounts.models import EmailVerification, RefreshToken, Revocation, Session, User
from socialapp.cqrs.admin import CommandAdmin, ReadOnlyAdmin

# Who is staff is all there is to permissions; a group would promise more.
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(CommandAdmin):
    """Staff may look; access is given and taken by superusers."""

    list_display = ["username", "name", "email", "is_active", "is_staff", "post_count", "date_joined"]
    list_filter = ["is_active", "is_staff", "date_joined"]
    search_fields = ["username", "name", "=email"]
    search_help_text = "An id, a part of a name, or an e-mail address"
    ordering = ["-date_joined"]
    fields = [
        "username", "name", "email", "email_verified_at", "bio", "is_active", "is_staff", "is_superuser", "date_joined",
        "last_login", "post_count", "follower_count", "following_count", "id", "sequence",
    ]  # fmt: skip
    editable = ("is_active", "is_staff")

    def has_change_permission(self, request, obj=None):
        return request.user.is_superuser

    def change_command(self, obj):
        return SetAccess(obj.is_active, obj.is_staff)

    def save_model(self, request, obj, form, change):
        super().save_model(request, obj, form, change)
        revoking.share_now()

    def view_on_site(self, obj):
        return reverse("user", args=[obj.username])


@admin.register(RefreshToken)
class RefreshTokenAdmin(ReadOnlyAdmin):
    """Who is logged in, and since when. The digests are of no use to anybody and are not shown."""

    list_display = ["user", "issued_at", "expires_at", "used_at", "revoked_at", "family"]
    list_display_links = None
    list_filter = ["issued_at", "revoked_at"]
    search_fields = ["user__username"]
    search_ids = ("family", "user_id")
    search_help_text = "A part of a user's name, or the id of a family of tokens"
    list_select_related = ["user"]
    ordering = ["-issued_at"]
    fields = ["family", "user", "issued_at", "expires_at", "used_at", "revoked_at"]


@admin.register(EmailVerification)
class EmailVerificationAdmin(ReadOnlyAdmin):
    """Who was asked whether an address is theirs, and what the mail server said. Links are not shown."""

    list_display = ["mailbox", "user", "requested_at", "sent_at", "refusal"]
    list_filter = ["requested_at", ("refusal", admin.EmptyFieldListFilter)]
    search_fields = ["=mailbox", "user__username"]
    search_ids = ("user_id",)
    search_help_text = "An e-mail address, or a user's id or a part of the name"
    list_select_related = ["user"]
    ordering = ["-requested_at"]
    fields = ["user", "email", "mailbox", "requested_at", "claimed_at", "sent_at", "refusal"]


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    """Sign-ins. One has also ended when the user's rights are newer than its own."""

    list_display = ["user", "started_at", "ends_at", "ended_at", "rights_version", "id"]
    list_display_links = None
    list_filter = ["started_at", "ended_at"]
    search_fields = ["user__username"]
    search_ids = ("pk", "user_id")
    search_help_text = "A part of a user's name, or the id of a session or a user"
    list_select_related = ["user"]
    ordering = ["-started_at"]
    fields = ["id", "user", "started_at", "ends_at", "ended_at", "rights_version"]


@admin.register(Revocation)
class RevocationAdmin(ReadOnlyAdmin):
    """What has ended sessions in the last hour, and whether the state store was told."""

    list_display = ["at", "user_id", "session_id", "version", "kept_id", "is_shared"]
    list_display_links = None
    list_filter = ["at", "is_shared"]
    search_ids = ("user_id", "session_id")
    search_help_text = "The id of a user or a session"
    ordering = ["-at"]
    fields = ["at", "user_id", "session_id", "version", "kept_id", "is_shared"]
