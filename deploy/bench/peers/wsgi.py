"""The WSGI entry point of a peer."""

import os

from django.core.wsgi import get_wsgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "deploy.bench.peers.settings"
application = get_wsgi_application()
