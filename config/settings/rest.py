"""DRF and the OpenAPI schema."""

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "socialapp.identity.authentication.BearerAuthentication",
        "socialapp.identity.authentication.BrowserAuthentication",
    ],
    # Private, unless a view says otherwise.
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": [
        "socialapp.cqrs.http.parsers.StrictJSONParser",
        "socialapp.cqrs.http.parsers.StrictFormParser",
        "socialapp.cqrs.http.parsers.StrictMultiPartParser",
    ],
    "DEFAULT_RENDERER_CLASSES": [
        "socialapp.cqrs.http.renderers.BytesJSONRenderer",
        "socialapp.cqrs.http.renderers.BrowsableRenderer",
    ],
    "DEFAULT_SCHEMA_CLASS": "socialapp.cqrs.http.openapi.OperationSchema",
    "DEFAULT_METADATA_CLASS": "socialapp.cqrs.http.metadata.Metadata",
    "EXCEPTION_HANDLER": "socialapp.cqrs.http.problems.problem_response",
    # The schema's page puts its `version` parameter into a header, whatever it is.
    "ALLOWED_VERSIONS": ["v1"],
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "DATETIME_FORMAT": "iso-8601",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "socialapp",
    "DESCRIPTION": "Posts are available, orders are consistent. Writes to posts answer 202 with a command; "
    "`Prefer: wait=N` waits for the outcome. A read that presents its `Consistency-Token` sees its own writes.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "defaultModelsExpandDepth": 0},
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "OrderStatus": "orders.models.Status",
        "PaymentStatus": "orders.models.Payment",
        "AcceptedStatus": ["accepted"],
        "CommandStatus": ["accepted", "applied", "rejected", "failed"],
    },
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
}
