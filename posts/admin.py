"""Posts, comments and likes for operators. Edits and deletions are commands, as everybody's are."""

from django.contrib import admin

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


class DeletableAdmin(CommandAdmin):
    """A row that a command marks as deleted; the tombstone stays in the table."""

    delete_command: type

    def has_delete_permission(self, request, obj=None):
        return admin.ModelAdmin.has_delete_permission(self, request, obj)

    def get_deleted_objects(self, objs, request):
        # Nothing else goes with it: the row stays as a tombstone.
        return [str(obj) for obj in objs], {self.opts.verbose_name_plural: len(objs)}, set(), []

    def delete_model(self, request, obj):
        self.run(request, self.delete_command(moderated=True), obj)

    def delete_queryset(self, request, queryset):
        for obj in queryset:
            self.delete_model(request, obj)


@admin.register(Post)
class PostAdmin(DeletableAdmin):
    list_display = [
        "id",
        "author",
        "text_start",
        "like_count",
        "comment_count",
        "created_at",
        "edited_at",
        "deleted_at",
    ]
    list_filter = [IsDeleted, "created_at"]
    search_fields = ["=id", "=author__username", "text"]
    list_select_related = ["author"]
    ordering = ["-id"]
    editable = ("text",)
    delete_command = DeletePost

    @admin.display(description="text")
    def text_start(self, post):
        return post.text[:80]

    def change_command(self, obj):
        return EditPost(obj.text, moderated=True)


@admin.register(Comment)
class CommentAdmin(DeletableAdmin):
    list_display = ["id", "author", "post_id", "text", "created_at", "deleted_at"]
    list_filter = [IsDeleted, "created_at"]
    search_fields = ["=id", "=post__id", "=author__username", "text"]
    list_select_related = ["author"]
    ordering = ["-id"]
    delete_command = DeleteComment

    def has_change_permission(self, request, obj=None):
        return False


@admin.register(Like)
class LikeAdmin(ReadOnlyAdmin):
    list_display = ["id", "user", "post_id", "active", "stamp"]
    list_filter = ["active"]
    search_fields = ["=post__id", "=user__username"]
    list_select_related = ["user"]
    ordering = ["-id"]
