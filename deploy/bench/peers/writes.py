"""Plain DRF that writes synchronously: a ModelSerializer's create, and a like, each in one transaction."""

import re

from django.db import transaction
from django.utils.timezone import now
from rest_framework import generics, serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from deploy.bench.peers.likes import like
from posts.models import Post
from socialapp.cqrs.ids import new_id
from socialapp.identity.authentication import BearerAuthentication

HASHTAG = re.compile(r"#(\w{1,100})")


class PostSerializer(serializers.ModelSerializer):
    class Meta:
        model = Post
        fields = ["id", "text", "author_id", "created_at", "hashtags"]
        read_only_fields = ["id", "author_id", "created_at", "hashtags"]


class CreatePostView(generics.CreateAPIView):
    authentication_classes = [BearerAuthentication]
    permission_classes = [IsAuthenticated]
    serializer_class = PostSerializer

    @transaction.atomic
    def perform_create(self, serializer):
        text = serializer.validated_data["text"]
        author = self.request.user.pk
        serializer.save(id=new_id(), author_id=author, created_at=now(), hashtags=HASHTAG.findall(text.lower()))


class LikeView(APIView):
    authentication_classes = [BearerAuthentication]
    permission_classes = [IsAuthenticated]

    def put(self, request, post_id):
        like(request.user.pk, post_id)
        return Response(status=204)
