"""What each role's process finds in its environment; `config/settings` reads it. The read role learns no secret
that would let it write."""

import hmac
import os
from urllib.parse import quote, urlencode

from deploy.embedded.credentials import Credentials
from deploy.embedded.layout import Layout
from deploy.embedded.postgres_home import PostgresHome

WRITING_ROLES = ("write", "worker")
# What whoever starts a stack may choose.
CHOSEN = ("EVENTS_", "PAYMENT_", "STRIPE_", "EMAIL")


def database_url(user: str, password: str, home: PostgresHome, node: str, name: str = "socialapp") -> str:
    where = urlencode({"host": home.socket_folder(node), "port": 5432}, safe="/")
    return f"postgres://{user}:{password}@/{name}?{where}"


def valkey_url(user: str, password: str, layout: Layout, name: str) -> str:
    return f"unix://{user}:{password}@{layout.socket(f'valkey-{name}')}?db=0"


def of_role(role: str, layout: Layout, home: PostgresHome, secret: Credentials, port: int) -> dict[str, str]:
    may_write = role in WRITING_ROLES
    valkey_user = ("socialapp", secret.write_password) if may_write else ("socialapp_read", secret.read_password)
    environment = {
        "SOCIALAPP_ROLE": role,
        "SOCIALAPP_VAR": str(layout.var),
        "SECRET_KEY": secret.secret_key,
        "JWT_PUBLIC_KEYS": secret.jwt_public_key,
        "DATABASE_READ_URL": database_url("socialapp_read", secret.read_password, home, "primary"),
        "REPLICA_URLS": database_url("socialapp_read", secret.read_password, home, "replica"),
        "CACHE_URL": valkey_url(*valkey_user, layout, "cache"),
        "STATE_URL": valkey_url(*valkey_user, layout, "state"),
        "LOG_URL": valkey_url(*valkey_user, layout, "log"),
        "ALLOWED_HOSTS": "localhost,127.0.0.1,[::1]",
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "SECURE_TRANSPORT": "off",
        "STATIC_ROOT": str(layout.static),
        "DISKS": f"stack={layout.var},gateway={layout.nginx},log={layout.valkey('log')},"
        f"postgres={home.data('primary').parent}",
    }
    if may_write:
        environment["DATABASE_URL"] = database_url("socialapp", secret.write_password, home, "primary")
        environment["MEDIA_ROOT"] = str(layout.media)
        environment["JWT_PRIVATE_KEY"] = secret.jwt_private_key
        environment["STAMP_KEY"] = secret.stamp_key
        environment["EMAIL_URL"] = f"filemail:///{quote(str(layout.outbox))}"
        # Signs what the sandbox gateway says by itself; made of what the read role does not know.
        environment["SANDBOX_WEBHOOK_SECRET"] = hmac.digest(secret.write_password.encode(), b"sandbox", "sha256").hex()
        # Where to publish events to and who charges, of which the stack has nothing of its own, and a mail server.
        environment |= {name: value for name, value in os.environ.items() if name.startswith(CHOSEN)}
    return environment
