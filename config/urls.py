"""The one route table. Every pool knows every route; the gateway sends each method to its pool."""

from django.contrib import admin
from django.urls import include, path
from django.views.decorators.cache import cache_control
from drf_spectacular.views import SpectacularSwaggerView

from socialapp.accounts.api.read import ReadKeys
from socialapp.accounts.pages import VerifyEmailPage
from socialapp.cqrs.http.commands import CommandStatus
from socialapp.ops import health, metrics
from socialapp.ops.root import ApiRoot
from socialapp.ops.schema import Schema

# A page holds its reader's CSRF token: nobody keeps it.
private = cache_control(private=True, no_store=True)

api = [
    # First what is asked for most: a route is found by trying one after the other.
    path("", include("posts.api.urls")),
    path("", include("socialapp.accounts.api.urls")),
    path("", include("orders.api.urls")),
    path("", ApiRoot.as_view(), name="api-root"),
    path("schema", Schema.as_view(), name="schema"),
    path("docs", private(SpectacularSwaggerView.as_view(url_name="schema", metadata_class=None)), name="docs"),
    path("commands/<uuid:command_id>", CommandStatus.as_view(), name="command"),
]

urlpatterns = [
    path("api/v1/", include(api)),
    path("admin/", admin.site.urls),
    path("auth/email/verify/", VerifyEmailPage.as_view(), name="verify-email"),
    path("auth/", include("rest_framework.urls")),
    path(".well-known/jwks.json", ReadKeys.as_view(), name="jwks"),
    path("health", health.live, name="health"),
    path("health/ready", health.ready, name="ready"),
    path("metrics", metrics.exposition, name="metrics"),
]

handler400 = "socialapp.cqrs.http.problems.bad_request"
handler403 = "socialapp.cqrs.http.problems.forbidden"
handler404 = "socialapp.cqrs.http.problems.not_found"
handler500 = "socialapp.cqrs.http.problems.server_error"
