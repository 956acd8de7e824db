"""Transport, cookies and keys. Production is the default: only a loopback stack turns SECURE_TRANSPORT off."""

from config.settings.env import ROLE, env

DEBUG = False
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS")
SECURE_TRANSPORT = env.bool("SECURE_TRANSPORT", default=True)

# Where people and programs reach the gateway, e.g. https://shop.example.
PUBLIC_URL = env.str("PUBLIC_URL", default="").rstrip("/")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []
CSRF_FAILURE_VIEW = "socialapp.cqrs.http.problems.csrf_failure"

SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE_TRANSPORT else None
SECURE_SSL_REDIRECT = SECURE_TRANSPORT
# The gateway speaks plain HTTP to the pools, and a health check has no X-Forwarded-Proto.
SECURE_REDIRECT_EXEMPT = [r"^health"]
SECURE_HSTS_SECONDS = 31_536_000 if SECURE_TRANSPORT else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_TRANSPORT
SECURE_HSTS_PRELOAD = SECURE_TRANSPORT
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_TRANSPORT
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 14 * 24 * 3600
X_FRAME_OPTIONS = "DENY"

# One MiB per body, as the contract says; the gateway refuses larger ones before they reach a pool.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 100
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# Ed25519, base64url of the raw 32 bytes. Only processes that issue tokens know the private key.
JWT_PRIVATE_KEY = env.str("JWT_PRIVATE_KEY") if ROLE == "write" else env.str("JWT_PRIVATE_KEY", default="")
JWT_PUBLIC_KEYS = env.list("JWT_PUBLIC_KEYS")

# Prove the stamps of consistency tokens; the first key signs, the others are former ones. Readers never have them:
# every write would follow a stamp that a reader has made.
STAMP_KEYS = [env.str("STAMP_KEY"), *env.list("STAMP_KEY_FALLBACKS", default=[])] if ROLE in ("write", "worker") else []

LOGIN_URL = "/auth/login/"
LOGIN_REDIRECT_URL = "/api/v1/"
LOGOUT_REDIRECT_URL = "/api/v1/"
