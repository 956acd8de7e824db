"""The WSGI entry point of the read and write pools; SOCIALAPP_ROLE says which of them this process is."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()

# Imported only now, as it needs the apps to be loaded.
from socialapp.cqrs import roles  # noqa: E402
from socialapp.cqrs.http.header_limits import HeaderLimits  # noqa: E402
from socialapp.cqrs.http.hits import CacheHits  # noqa: E402
from socialapp.cqrs.http.plain_commands import PlainCommands  # noqa: E402

application = HeaderLimits(PlainCommands(application) if roles.may_write() else CacheHits(application))
