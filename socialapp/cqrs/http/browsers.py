"""Sessions, CSRF and their kin in the read pool: only for requests that can be a browser's.

They cost a third of a cache hit, and a program that asks for JSON without cookies needs none of them. The read pool
refuses unsafe methods before, so that the one hook which this leaves out (CSRF's check of a POST) has nothing to do.
"""

from django.conf import settings
from django.http import HttpRequest
from django.utils.module_loading import import_string


def browsers_only(get_response):
    chain = get_response
    for path in reversed(settings.BROWSER_MIDDLEWARE):
        chain = import_string(path)(chain)

    def middleware(request: HttpRequest):
        if "HTTP_COOKIE" in request.META or "html" in request.META.get("HTTP_ACCEPT", ""):
            return chain(request)
        return get_response(request)

    return middleware
