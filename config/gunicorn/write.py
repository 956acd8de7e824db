"""The write pool."""

from config.gunicorn.pool import *  # noqa: F403 gunicorn reads its settings as this module's names
