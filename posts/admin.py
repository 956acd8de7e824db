"""Posts, comments and likes for operators. Edits and deletions are commands, as everybody's are."""

from datetime import UTC, datetime

from django.contrib import admin
from django.forms import Textarea
from django.urls import reverse

from posts.commands import DeleteComment, DeletePost, EditPost
from posts.models import Comment, Like, Post
from socialapp.cqrs.admin import CommandAdmin, ReadOnlyAdmin


class IsDeleted(admin.SimpleListFilter):
    title = "deleted"
    parameter_name = "deleted"

    def lookups(self, request, model_admin):
        return [("no", "No"), ("yes", "Yes")]

    def queryset(self, request, queryset):
        return queryset if self.value() is None else queryset.filter(deleted_at__isnull=self.value() == "no")


class WordsAdmin(CommandAdmin):
    """Somebody's words. A command marks them as deleted; the tombstone stays in the table."""

    list_filter = [IsDeleted, "created_at"]
    list_select_related = ["author"]
    ordering = ["-id"]
    delete_command: type

    @admin.display(description="text")
    def text_start(self, words):
        return words.text[:80]

    def has_change_permission(self, request, obj=None):
        return super().has_change_permission(request, obj) and not (obj and obj.deleted_at)

    def has_delete_permission(self, request, obj=None):
        return request.user.is_staff and not (obj and obj.deleted_at)

    def get_deleted_objects(self, objs, request):
        # Nothing else goes with it: the row stays as a tombstone.
        deleted = [f"{obj} (deleted already)" for obj in objs if obj.deleted_at]
        return [str(obj) for obj in objs], {self.opts.verbose_name_plural: len(objs)}, set(), deleted

    def log_deletions(self, request, queryset):
        """Django logs before it deletes, but a command may be refused: see delete_model."""

    def delete_model(self, request, obj):
        self.run(request, self.delete_command(moderated=True), obj)
        super().log_deletions(request, [obj])

    def delete_queryset(self, request, queryset):
        for obj in queryset:
            self.delete_model(request, obj)


@admin.register(Post)
class PostAdmin(WordsAdmin):
    list_display = ["text_start", "author", "like_count", "comment_count", "created_at", "deleted_at"]
    search_fields = ["=author__username", "text"]
    search_help_text = "An id, the name of an author, or a part of a text"
    fields = [
        "text", "author", "hashtags", "like_count", "comment_count", "created_at", "edited_at", "deleted_at",
        "id", "version", "sequence",
    ]  # fmt: skip
    editable = ("text",)
    delete_command = DeletePost

    def get_form(self, request, obj=None, change=False, **kwargs):
        widgets = {"text": Textarea(attrs={"rows": 6, "class": "vLargeTextField"})}
        return super().get_form(request, obj, change, widgets=widgets, **kwargs)

    def change_command(self, obj):
        return EditPost(obj.text, moderated=True)

    def view_on_site(self, obj):
        return reverse("post", args=[obj.pk])


@admin.register(Comment)
class CommentAdmin(WordsAdmin):
    list_display = ["text_start", "author", "post_id", "created_at", "deleted_at"]
    search_fields = ["=author__username", "text"]
    search_ids = ("pk", "post_id")
    fields = ["text", "author", "post", "created_at", "deleted_at", "id"]
    search_help_text = "An id of a comment or a post, the name of an author, or a part of a text"
    delete_command = DeleteComment

    def has_change_permission(self, request, obj=None):
        return False

    def view_on_site(self, obj):
        return reverse("comment", args=[obj.pk])


@admin.register(Like)
class LikeAdmin(ReadOnlyAdmin):
    list_display = ["user", "post_id", "active", "since"]
    list_filter = ["active"]
    search_fields = ["=user__username"]
    search_ids = ("post_id", "user_id")
    search_help_text = "An id of a post, or the name of a user"
    list_select_related = ["user"]
    ordering = ["-id"]
    fields = ["user", "post", "active", "since"]

    @admin.display(description="since", ordering="stamp")
    def since(self, like):
        return datetime.fromtimestamp(like.stamp / 1_000_000, UTC)
