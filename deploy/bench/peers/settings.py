"""Settings of all peers. PEER=naive is plain DRF on the primary; PEER=cacheops adds django-cacheops; PEER=writes may
write, over HTTP and from Celery tasks."""

import environ

from config.settings.caches import CACHES  # noqa: F401 revocations are looked up there
from config.settings.celery import broker_url
from config.settings.databases import environ_url
from config.settings.kernel import *  # noqa: F403 the project's modules read them when they are imported

env = environ.Env()
PEER = env.str("PEER")

SECRET_KEY = env.str("SECRET_KEY")
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "deploy.bench.peers.urls"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.postgres",
    "rest_framework",
    "socialapp.accounts",
    "posts",
    "deploy.bench.peers.apps.Orders",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
PRIMARY_URL = "DATABASE_URL" if PEER == "writes" else "DATABASE_READ_URL"
DATABASES = {"default": environ_url(env.str(PRIMARY_URL)) | {"CONN_MAX_AGE": None}}
REST_FRAMEWORK = {"DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"]}
# Writes are authenticated by the project's own class, so that it makes no difference.
JWT_PUBLIC_KEYS = env.list("JWT_PUBLIC_KEYS", default=[])
LOGGING = {"version": 1, "root": {"level": "ERROR"}}

if PEER == "cacheops":
    INSTALLED_APPS.append("cacheops")
    CACHEOPS_REDIS = env.str("CACHEOPS_URL")
    CACHEOPS_DEFAULTS = {"timeout": 3600}
    CACHEOPS = {"posts.*": {"ops": "all"}, "accounts.*": {"ops": "all"}}

if PEER == "writes":
    CELERY_BROKER_URL = broker_url(env.str("PEER_BROKER_URL"))
    CELERY_TASK_IGNORE_RESULT = True
    CELERY_TASK_ACKS_LATE = True
    # Never: by default Celery closes the connections to Postgres before and after each task.
    CELERY_DB_REUSE_MAX = 1_000_000_000
