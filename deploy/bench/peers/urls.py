"""The same addresses as the project's."""

from django.urls import path

from deploy.bench.peers import orders, views, writes

urlpatterns = [
    path("api/v1/orders", orders.orders),
    path("api/v1/posts", writes.CreatePostView.as_view()),
    path("api/v1/posts/<uuid:post_id>/like", writes.LikeView.as_view()),
    path("api/v1/posts/<uuid:pk>", views.PostView.as_view()),
    path("api/v1/posts/<uuid:post_id>/comments", views.CommentsView.as_view()),
    path("api/v1/users/<str:username>/posts", views.PostsByAuthorView.as_view()),
]
