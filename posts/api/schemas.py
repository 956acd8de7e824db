"""Request and answer bodies of posts."""

from rest_framework import serializers

from posts.models import LONGEST_COMMENT, LONGEST_POST
from socialapp.cqrs.http.schemas import Schema

MOST_MEDIA = 4


class NewPost(Schema):
    text = serializers.CharField(max_length=LONGEST_POST, style={"base_template": "textarea.html", "rows": 4})
    media_ids = serializers.ListField(child=serializers.UUIDField(), max_length=MOST_MEDIA, required=False)


class PostText(Schema):
    text = serializers.CharField(max_length=LONGEST_POST, style={"base_template": "textarea.html", "rows": 4})


class NewComment(Schema):
    text = serializers.CharField(max_length=LONGEST_COMMENT, style={"base_template": "textarea.html", "rows": 3})


class AuthorAnswer(serializers.Serializer):
    id = serializers.UUIDField()
    username = serializers.CharField()
    name = serializers.CharField()
    avatar_url = serializers.URLField(allow_null=True)


class PostAnswer(serializers.Serializer):
    id = serializers.UUIDField()
    text = serializers.CharField()
    author = AuthorAnswer()
    created_at = serializers.DateTimeField()
    edited_at = serializers.DateTimeField(allow_null=True)
    like_count = serializers.IntegerField()
    comment_count = serializers.IntegerField()
    hashtags = serializers.ListField(child=serializers.CharField())
    media = serializers.ListField(child=serializers.DictField())


class CommentAnswer(serializers.Serializer):
    id = serializers.UUIDField()
    post_id = serializers.UUIDField()
    text = serializers.CharField()
    author = AuthorAnswer()
    created_at = serializers.DateTimeField()


class PostRelation(serializers.Serializer):
    liked = serializers.BooleanField()


class RelationsAnswer(serializers.Serializer):
    posts = serializers.DictField(child=PostRelation())
    users = serializers.DictField()
