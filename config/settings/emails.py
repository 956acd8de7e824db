"""Emails: through which server, from whom and how many at most. Without EMAIL_URL none are sent. For the write pool and
the workers."""

from django.core.exceptions import ImproperlyConfigured

from config.settings.env import env

# smtp+tls://user:secret@host:587 (STARTTLS), smtp+ssl://user:secret@host:465, smtp://host:25; or filemail:////folder,
# an outbox for trying things out, whose newest emails operators can look at.
EMAIL_URL = env.str("EMAIL_URL", default="")
OUTBOX = "orders.emails.outbox.EmailBackend"

_server = env.email_url_config(EMAIL_URL) if EMAIL_URL else {}
_writes_files = EMAIL_URL.startswith("filemail:")
_backend = _server.get("EMAIL_BACKEND", "django.core.mail.backends.dummy.EmailBackend")

EMAIL_BACKEND = OUTBOX if _writes_files else _backend
EMAIL_FILE_PATH = _server["EMAIL_FILE_PATH"] if _writes_files else None
EMAIL_HOST = _server.get("EMAIL_HOST") or "localhost"
EMAIL_HOST_USER = _server.get("EMAIL_HOST_USER") or ""
EMAIL_HOST_PASSWORD = _server.get("EMAIL_HOST_PASSWORD") or ""
EMAIL_USE_TLS = _server.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = _server.get("EMAIL_USE_SSL", False)
EMAIL_PORT = _server.get("EMAIL_PORT") or (465 if EMAIL_USE_SSL else 587 if EMAIL_USE_TLS else 25)

# Seconds for connecting, and for each answer of the mail server. There is none by default.
EMAIL_TIMEOUT = env.float("EMAIL_TIMEOUT", default=5.0)

# What is written into From, e.g. socialapp <orders@social.example>; a real server has to be told.
_needs_from = EMAIL_URL and not _writes_files
_from = env.str("EMAIL_FROM") if _needs_from else env.str("EMAIL_FROM", default="socialapp <orders@socialapp.example>")
DEFAULT_FROM_EMAIL = _from

# Over all workers together.
EMAILS_PER_SECOND = env.int("EMAILS_PER_SECOND", default=50)
if EMAILS_PER_SECOND < 1:
    raise ImproperlyConfigured("EMAILS_PER_SECOND must be at least 1; without EMAIL_URL no emails are sent")
