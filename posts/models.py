"""Posts, comments and likes. Written by handlers only. A deleted thing leaves a tombstone."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q

LONGEST_POST = 5000
LONGEST_COMMENT = 2000


class Post(models.Model):
    """version: what an edit compares (If-Match). sequence: rises with every event about the post."""

    id = models.UUIDField(primary_key=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, db_index=False, related_name="posts")
    text = models.CharField(max_length=LONGEST_POST)
    hashtags = ArrayField(models.CharField(max_length=100), default=list)
    created_at = models.DateTimeField()
    edited_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)
    like_count = models.PositiveIntegerField(default=0)
    comment_count = models.PositiveIntegerField(default=0)
    version = models.PositiveIntegerField(default=1)
    sequence = models.BigIntegerField(default=1)

    class Meta:
        # Ids are time-ordered, so that these serve keyset pages, newest first.
        indexes = [
            models.Index(fields=["author", "-id"], condition=Q(deleted_at__isnull=True), name="post_by_author"),
            models.Index(fields=["-id"], condition=Q(deleted_at__isnull=True), name="post_newest"),
            GinIndex(fields=["hashtags"], name="post_by_hashtag"),
        ]

    def __str__(self):
        return self.text[:60]


class Comment(models.Model):
    id = models.UUIDField(primary_key=True)
    post = models.ForeignKey(Post, on_delete=models.PROTECT, db_index=False, related_name="comments")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, db_index=False, related_name="comments"
    )
    text = models.CharField(max_length=LONGEST_COMMENT)
    created_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["post", "-id"], condition=Q(deleted_at__isnull=True), name="comment_by_post"),
            models.Index(fields=["author", "-id"], name="comment_by_author"),
        ]

    def __str__(self):
        return self.text[:60]


class Like(models.Model):
    """Who likes what. The latest stamp wins, also against a like that arrives late: hence `active`, not DELETE."""

    post = models.ForeignKey(Post, on_delete=models.PROTECT, db_index=False, related_name="likes")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, db_index=False, related_name="likes")
    stamp = models.BigIntegerField()
    active = models.BooleanField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "post"], name="one_like_per_user_and_post")]
        indexes = [
            models.Index(fields=["post", "-stamp", "user"], condition=Q(active=True), name="like_by_post"),
        ]

    def __str__(self):
        return f"{self.user_id} {'likes' if self.active else 'liked'} {self.post_id}"
