"""The WSGI entry point of the read and write pools; SOCIALAPP_ROLE says which of them this process is."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()
