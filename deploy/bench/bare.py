"""The peer of `read_hit`: a bare Django view that returns the same bytes from the same Valkey, and nothing else.

No middleware, no DRF, one route; served by the same gunicorn with the same settings.
"""

import os
from zlib import crc32

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.urls import path
from django_redis import get_redis_connection

settings.configure(
    SECRET_KEY="bench",  # noqa: S106 signs nothing
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    CACHES={"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": os.environ["CACHE_URL"]}},
)
django.setup()


def post(request, post_id):
    name = f"socialapp:v1:posts:entity:{post_id}"
    entry = get_redis_connection("default").get(f"{name}:{{{crc32(name.encode()) % 4096:03x}}}")
    return HttpResponse(entry.partition(b"\n")[2], content_type="application/json")


urlpatterns = [path("api/v1/posts/<uuid:post_id>", post)]
application = WSGIHandler()
