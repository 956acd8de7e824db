"""The process's environment, read once: a missing or malformed variable stops the start with its name."""

import environ
from django.core.exceptions import ImproperlyConfigured

env = environ.Env()

ROLES = ("read", "write", "worker", "realtime")

ROLE = env.str("SOCIALAPP_ROLE")
if ROLE not in ROLES:
    raise ImproperlyConfigured(f"SOCIALAPP_ROLE is {ROLE!r}; it must be one of {', '.join(ROLES)}")

SECRET_KEY = env.str("SECRET_KEY")
# Former keys: what they have signed (consistency tokens, sessions) stays good while a key is replaced.
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
