"""Writes of posts: each validates the shape of its body and submits one command."""

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.permissions import SAFE_METHODS, BasePermission, IsAuthenticatedOrReadOnly

from posts import fragments
from posts.api import schemas
from posts.commands import CreateComment, CreatePost, DeleteComment, DeletePost, EditPost, LikePost, UnlikePost
from socialapp.cqrs.fragments import version_of
from socialapp.cqrs.http import resources
from socialapp.cqrs.http.resources import Resource
from socialapp.cqrs.http.schemas import AcceptedAnswer, Nothing
from socialapp.cqrs.http.writes import CommandView
from socialapp.cqrs.problems import Stale

POST = resources.declare(Resource("post", route="post", entities=fragments.posts))
COMMENT = resources.declare(Resource("comment", route="comment", entities=fragments.comments))

CREATED, OK, DELETED = status.HTTP_201_CREATED, status.HTTP_200_OK, status.HTTP_204_NO_CONTENT


class IsAuthorOrReadOnly(BasePermission):
    """Whether a page offers to edit and delete the document that it shows. The rule itself is the handler's."""

    admits_every_reader = True

    def has_object_permission(self, request, view, document):
        return request.method in SAFE_METHODS or document.get("author", {}).get("id") == str(request.user.pk)


class PostWrite(CommandView):
    permission_classes = [IsAuthenticatedOrReadOnly]

    def expected_version(self) -> int | None:
        """The version in If-Match; `*` asks only that the post exists. Raises Stale for what is no ETag of ours."""
        match = self.request.META.get("HTTP_IF_MATCH")
        if match is None or match.strip() == "*":
            return None
        version = version_of(match)
        if version is None:
            raise Stale("If-Match is not the ETag of this post.")
        return version


class WritePosts(PostWrite):
    serializer_class = schemas.NewPost

    @extend_schema(request=schemas.NewPost, responses={201: schemas.PostAnswer, 202: AcceptedAnswer})
    def post(self, request):
        body = self.validated(schemas.NewPost)
        command = CreatePost(body["text"], tuple(map(str, body.get("media_ids", ()))))
        return self.submit(command, POST, success=CREATED)


class WritePost(PostWrite):
    serializer_class = schemas.PostText
    permission_classes = [IsAuthenticatedOrReadOnly, IsAuthorOrReadOnly]

    @extend_schema(request=schemas.PostText, responses={200: schemas.PostAnswer, 202: AcceptedAnswer})
    def patch(self, request, post_id):
        body = self.validated(schemas.PostText)
        return self.submit(EditPost(body["text"], self.expected_version()), POST, post_id, success=OK)

    @extend_schema(request=None, responses={202: AcceptedAnswer, 204: None})
    def delete(self, request, post_id):
        self.validated(Nothing)
        return self.submit(DeletePost(self.expected_version()), POST, post_id, success=DELETED)


class WriteLike(PostWrite):
    serializer_class = Nothing

    @extend_schema(request=None, responses={200: schemas.PostAnswer, 202: AcceptedAnswer})
    def put(self, request, post_id):
        self.validated(Nothing)
        return self.submit(LikePost(), POST, post_id, success=OK)

    @extend_schema(request=None, responses={202: AcceptedAnswer, 204: None})
    def delete(self, request, post_id):
        self.validated(Nothing)
        return self.submit(UnlikePost(), POST, post_id, success=DELETED)


class WriteComments(PostWrite):
    serializer_class = schemas.NewComment

    @extend_schema(request=schemas.NewComment, responses={201: schemas.CommentAnswer, 202: AcceptedAnswer})
    def post(self, request, post_id):
        body = self.validated(schemas.NewComment)
        return self.submit(CreateComment(str(post_id), body["text"]), COMMENT, success=CREATED)


class WriteComment(PostWrite):
    serializer_class = Nothing
    permission_classes = [IsAuthenticatedOrReadOnly, IsAuthorOrReadOnly]

    @extend_schema(request=None, responses={202: AcceptedAnswer, 204: None})
    def delete(self, request, comment_id):
        self.validated(Nothing)
        return self.submit(DeleteComment(), COMMENT, comment_id, success=DELETED)
