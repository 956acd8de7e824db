"""Reads of posts. All bodies are public and shared; what depends on the reader is in ReadRelations."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

from posts import fragments, queries
from posts.api import schemas
from socialapp.accounts.api.schemas import UserAnswer
from socialapp.accounts.fragments import users
from socialapp.cqrs.cursors import invalid_parameter
from socialapp.cqrs.http.reads import EntityRead, ListRead, paged
from socialapp.cqrs.routing import database_for_read

MOST_RELATIONS = 100


class ReadPost(EntityRead):
    entities = fragments.posts

    @extend_schema(responses=schemas.PostAnswer)
    def get(self, request, **kwargs):
        return super().get(request, **kwargs)


class ReadComment(EntityRead):
    entities = fragments.comments

    @extend_schema(responses=schemas.CommentAnswer)
    def get(self, request, **kwargs):
        return super().get(request, **kwargs)


class ReadPosts(ListRead):
    """All posts, newest first."""

    lists, entities = fragments.public_posts, fragments.posts

    def identifier(self):
        return "all"

    @paged(schemas.PostAnswer)
    def get(self, request, **kwargs):
        return super().get(request, **kwargs)


class ReadPostsByAuthor(ListRead):
    lists, entities = fragments.posts_by_author, fragments.posts

    def identifier(self, username):
        return username.lower()

    @paged(schemas.PostAnswer)
    def get(self, request, **kwargs):
        return super().get(request, **kwargs)


class ReadComments(ListRead):
    lists, entities = fragments.comments_of_post, fragments.comments

    def identifier(self, post_id):
        return str(post_id)

    @paged(schemas.CommentAnswer)
    def get(self, request, **kwargs):
        return super().get(request, **kwargs)


class ReadLikes(ListRead):
    """Who likes a post, latest first."""

    lists, entities = fragments.likes_of_post, users

    def identifier(self, post_id):
        return str(post_id)

    @paged(UserAnswer)
    def get(self, request, **kwargs):
        return super().get(request, **kwargs)


class ReadRelations(GenericAPIView):
    """What the reader has to do with posts and users: have I liked it?"""

    permission_classes = [IsAuthenticated]

    @extend_schema(responses=schemas.RelationsAnswer)
    def get(self, request):
        post_ids = [str(post_id) for post_id in _uuids(request.GET.get("post_ids", ""))]
        using = database_for_read()
        liked = queries.list_liked(user_id=request.user.pk, post_ids=post_ids, using=using)
        posts = {post_id: {"liked": UUID(post_id) in liked} for post_id in post_ids}
        return Response({"posts": posts, "users": {}}, headers={"Cache-Control": "private, no-store"})


def _uuids(text: str) -> list[UUID]:
    parts = [part for part in text.split(",") if part]
    if len(parts) > MOST_RELATIONS:
        raise invalid_parameter("post_ids", f"At most {MOST_RELATIONS}.")
    try:
        return [UUID(part) for part in parts]
    except ValueError as error:
        raise invalid_parameter("post_ids", "Ids of posts with commas between.") from error
