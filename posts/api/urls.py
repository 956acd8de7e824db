"""Addresses of posts. Each view is composed of its reads and its writes, and every pool knows all of them."""

from django.urls import path

from posts.api import read, write
from socialapp.accounts.api import converters  # noqa: F401 <username:...>


class Posts(read.ReadPosts, write.WritePosts):
    """All posts, newest first. Post a new one."""


class PostDetail(read.ReadPost, write.WritePost):
    """One post. Its author may edit and delete it."""

    name = "Post"


class Like(read.ReadLikes, write.WriteLike):
    """PUT to like a post, DELETE to take it back; GET shows who likes it."""


class Comments(read.ReadComments, write.WriteComments):
    """The comments on a post, newest first. Write one."""


class CommentDetail(read.ReadComment, write.WriteComment):
    """One comment. Its author may delete it."""

    name = "Comment"


class Likes(read.ReadLikes):
    """Who likes a post, latest first."""


class PublicTimeline(read.ReadPosts):
    """All posts, newest first."""


class PostsByAuthor(read.ReadPostsByAuthor):
    """What somebody has posted, newest first."""


class Relations(read.ReadRelations):
    """What I have to do with posts and users."""


urlpatterns = [
    path("posts/<uuid:post_id>", PostDetail.as_view(), name="post"),
    path("posts", Posts.as_view(), name="posts"),
    path("posts/<uuid:post_id>/like", Like.as_view(), name="like"),
    path("posts/<uuid:post_id>/likes", Likes.as_view(), name="likes"),
    path("posts/<uuid:post_id>/comments", Comments.as_view(), name="comments"),
    path("comments/<uuid:comment_id>", CommentDetail.as_view(), name="comment"),
    path("users/<username:username>/posts", PostsByAuthor.as_view(), name="posts-by-author"),
    path("timelines/public", PublicTimeline.as_view(), name="public-timeline"),
    path("me/relations", Relations.as_view(), name="relations"),
]
