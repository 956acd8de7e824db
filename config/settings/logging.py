"""Everything goes to standard error, one line each; the process manager keeps the files."""

from config.settings.env import ROLE, env

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": f"%(asctime)s %(levelname)s {ROLE} %(process)d %(name)s: %(message)s"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        # Celery's two lines for each task, of which there are dozens a second.
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        # A 4xx is the client's affair and stands in the gateway's access log already.
        "django.request": {"level": "ERROR"},
        # At INFO it logs Stripe's messages, and they quote the tokens of cards.
        "stripe": {"level": "WARNING"},
        # Whatever LOG_LEVEL is.
        "socialapp.security": {"level": "INFO"},
        # At ERROR each of these would write a traceback: a client could fill the disk.
        "django.security": {"level": "CRITICAL"},
    },
}
