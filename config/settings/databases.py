"""One alias for the primary and one per replica, with the credentials that this process's role may use."""

from config.settings.env import ROLE, env
from config.settings.kernel import REPLICA_TIMEOUT
from socialapp.cqrs import deadlines

WEB = ROLE in ("read", "write", "realtime")
READS = ROLE in ("read", "realtime")

# The read role never learns the password of a user that can write.
PRIMARY_URL = "DATABASE_URL" if ROLE in ("write", "worker") else "DATABASE_READ_URL"

# Milliseconds. A request may not hold a connection longer than a client waits; a drain is bounded by its own
# transaction_timeout, so a worker's limit only catches what has run away.
STATEMENT_TIMEOUT = int(deadlines.LONGEST * 1000) - 500 if READS else 5_000 if WEB else 60_000
LOCK_TIMEOUT = 2_000
# Off behind a pooler that hands a connection from transaction to transaction and does not know them.
PREPARED_STATEMENTS = env.bool("PREPARED_STATEMENTS", default=True)
# Seconds. A reader's greenlets share a pool. Each thread that writes keeps its own connection, but not forever: a
# primary that a failover made a replica goes on answering whoever stays connected.
CONN_MAX_AGE = 0 if READS else 60
# Seconds that a request waits for a connection. A reader has other servers to ask; a task is simply done later.
PATIENCE = 1 if READS else 2 if WEB else 0
# A peer that has gone without a word is given up after 10 s (in milliseconds) with a statement under way, after 25 s
# without one. On a local socket it means nothing.
VANISHED = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 10_000}


def connection(url: str, *, patience: float = PATIENCE) -> dict:
    """Django's settings of one Postgres server, with timeouts on everything that leaves the process."""
    parsed = environ_url(url)
    options = {
        **VANISHED,
        **parsed.get("OPTIONS", {}),
        "connect_timeout": 2,
        "application_name": f"socialapp-{ROLE}",
        "options": f"-c statement_timeout={STATEMENT_TIMEOUT} -c lock_timeout={LOCK_TIMEOUT}"
        " -c idle_in_transaction_session_timeout=15000",
    }
    # Else Django turns them off. A worker gains nothing, as it runs few and large statements.
    if ROLE == "write" and PREPARED_STATEMENTS:
        options["prepare_threshold"] = 0
    if READS:
        options["pool"] = pool(patience)
    else:
        parsed |= {"ENGINE": "socialapp.cqrs.postgres", "PATIENCE": patience}
    # A reader has other servers to ask; a write must not fail because the primary was restarted a minute ago.
    return {**parsed, "OPTIONS": options, "CONN_MAX_AGE": CONN_MAX_AGE, "CONN_HEALTH_CHECKS": not READS}


def pool(timeout: float) -> dict:
    """Made at the first query, so after gunicorn's fork; shared by all greenlets of a server."""
    options = {"min_size": 0, "max_size": 16, "timeout": timeout, "max_idle": 60}
    # By default it tries for five minutes, at growing intervals, and meanwhile overlooks that the server is back.
    options["reconnect_timeout"] = timeout
    return options | {"connection_class": deadlines.BoundedConnection}


def environ_url(url: str) -> dict:
    """Parse postgres://user:password@host/name?host=/socket/folder."""
    parsed = env.db_url_config(url)
    options = parsed.get("OPTIONS", {})
    if "host" in options:
        parsed["HOST"] = options.pop("host")
    if "port" in options:
        parsed["PORT"] = options.pop("port")
    return parsed


# Whom `migrate` grants the columns that reads need: the user of DATABASE_READ_URL.
DATABASE_READ_USER = env.str("DATABASE_READ_USER", default="socialapp_read")

REPLICA_URLS = env.list("REPLICA_URLS", default=[])

DATABASES = {"default": connection(env.str(PRIMARY_URL))}
DATABASES |= {
    f"replica{number}": connection(url, patience=min(PATIENCE, REPLICA_TIMEOUT))
    for number, url in enumerate(REPLICA_URLS, start=1)
}

DATABASE_ROUTERS = ["config.routers.ReadWriteRouter"]
