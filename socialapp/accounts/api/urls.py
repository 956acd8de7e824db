"""Addresses of accounts. Each view is composed of its reads and its writes, and every pool knows all of them."""

from django.urls import path

from socialapp.accounts.api import converters, read, write  # noqa: F401 <username:...>


class Me(read.ReadMe, write.EditMe):
    """My account."""


urlpatterns = [
    path("auth/register", write.Register.as_view(), name="register"),
    path("auth/token", write.ObtainToken.as_view(), name="token"),
    path("auth/token/refresh", write.RefreshToken.as_view(), name="token-refresh"),
    path("auth/logout", write.LogOut.as_view(), name="logout"),
    path("auth/password/change", write.ChangePassword.as_view(), name="password-change"),
    path("auth/email/verify", write.CheckEmail.as_view(), name="email-verify"),
    path("users/<username:username>", read.ReadUser.as_view(), name="user"),
    path("me", Me.as_view(), name="me"),
]
