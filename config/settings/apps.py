"""What the project is made of: apps, middleware by role, templates and static files."""

from config.settings.env import ROLE, env
from config.settings.security import PUBLIC_URL

INSTALLED_APPS = [
    "config",
    # Before Django's admin and DRF: its templates take precedence over theirs.
    "socialapp.cqrs",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "import_export",
    "socialapp.identity",
    "socialapp.accounts",
    "socialapp.ops",
    "socialapp.publishing",
    "posts",
    "orders",
]

# Every pool knows every route; the guard refuses what is not its role's job.
BROWSER_MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
WRITE_MIDDLEWARE = [
    "socialapp.cqrs.http.uploads.uploads_of_staff",
    *BROWSER_MIDDLEWARE,
    "socialapp.accounts.sign_in.remembers_devices",
]
MIDDLEWARE = [
    "socialapp.cqrs.http.guard.guard",
    "django.middleware.security.SecurityMiddleware",
    "socialapp.cqrs.http.freshness.freshness",
    *(["socialapp.cqrs.http.browsers.browsers_only"] if ROLE == "read" else WRITE_MIDDLEWARE),
]

# In the read role these run inside `browsers_only`, where Django's checks do not look for them.
NESTED = ["admin.E408", "admin.E409", "admin.E410", "security.W002", "security.W003"]
SILENCED_SYSTEM_CHECKS = NESTED if ROLE == "read" else []

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["socialapp.accounts.backends.Accounts"]
PASSWORD_HASHERS = ["socialapp.accounts.hashers.Argon2"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("username", "name", "email")},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True
FORMAT_MODULE_PATH = "config.formats"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

STATIC_URL = "/static/"
STATIC_ROOT = env.str("STATIC_ROOT", default=None)
# What users and operators upload. URLs are absolute, as documents that name them are the same for every reader.
MEDIA_ROOT = env.str("MEDIA_ROOT", default=None)
MEDIA_URL = env.str("MEDIA_URL", default=f"{PUBLIC_URL}/media/")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}
