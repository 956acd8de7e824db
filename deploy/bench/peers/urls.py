"""The same addresses as the project's."""

from django.urls import path

from deploy.bench.peers import views

urlpatterns = [
    path("api/v1/posts/<uuid:pk>", views.PostView.as_view()),
    path("api/v1/posts/<uuid:post_id>/comments", views.CommentsView.as_view()),
    path("api/v1/users/<str:username>/posts", views.PostsByAuthorView.as_view()),
]
