"""The page that a link in an email leads to. To open it changes nothing: programs that look for viruses do that."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views import View
from django.views.decorators.cache import never_cache

from socialapp.accounts.commands import VerifyEmail
from socialapp.accounts.verification import digest_of
from socialapp.cqrs.execute import execute
from socialapp.cqrs.problems import Problem

LONGEST_TOKEN = 100


class VerifyEmailPage(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(request, token=request.GET.get("token", "")[:LONGEST_TOKEN])

    def post(self, request: HttpRequest) -> HttpResponse:
        token = request.POST.get("token", "")[:LONGEST_TOKEN]
        try:
            execute(VerifyEmail(digest_of(token).hex()), actor_id=None)
        except Problem as problem:
            return self._page(request, problem=problem, status=problem.status)
        return self._page(request, done=True)

    def _page(self, request: HttpRequest, *, status: int = 200, **context) -> HttpResponse:
        return never_cache(render)(request, "accounts/verify_email.html", context, status=status)
