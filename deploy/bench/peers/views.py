"""Plain DRF: a ModelSerializer and generic views per resource, with select_related and keyset pagination."""

from rest_framework import generics, serializers
from rest_framework.pagination import CursorPagination

from posts.models import Comment, Post
from socialapp.accounts.models import User


class NewestFirst(CursorPagination):
    page_size = 20
    ordering = "-id"


class AuthorSerializer(serializers.ModelSerializer):
    avatar_url = serializers.ReadOnlyField(default=None)

    class Meta:
        model = User
        fields = ["id", "username", "name", "avatar_url"]


class PostSerializer(serializers.ModelSerializer):
    author = AuthorSerializer()
    media = serializers.ReadOnlyField(default=[])

    class Meta:
        model = Post
        fields = [
            "id", "text", "author", "created_at", "edited_at", "like_count", "comment_count", "hashtags", "media",
        ]  # fmt: skip


class CommentSerializer(serializers.ModelSerializer):
    author = AuthorSerializer()

    class Meta:
        model = Comment
        fields = ["id", "post_id", "text", "author", "created_at"]


class PostView(generics.RetrieveAPIView):
    queryset = Post.objects.select_related("author").filter(deleted_at__isnull=True)
    serializer_class = PostSerializer


class CommentsView(generics.ListAPIView):
    serializer_class = CommentSerializer
    pagination_class = NewestFirst

    def get_queryset(self):
        living = Comment.objects.filter(deleted_at__isnull=True)
        return living.select_related("author").filter(post_id=self.kwargs["post_id"])


class PostsByAuthorView(generics.ListAPIView):
    serializer_class = PostSerializer
    pagination_class = NewestFirst

    def get_queryset(self):
        living = Post.objects.filter(deleted_at__isnull=True)
        return living.select_related("author").filter(author__username=self.kwargs["username"])
