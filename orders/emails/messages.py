"""One email as Django sends it: plain text, and the same as HTML."""

from email.utils import parseaddr

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse
from django_countries import countries

from orders.emails.wording import letter, money
from socialapp.cqrs.events import Recorded


def message(recorded: Recorded, order: dict, recipient: str) -> EmailMultiAlternatives:
    """order: its document. recipient: an email address. Raises ValueError for one that is several lines."""
    words = letter(recorded.event, order)
    context = {
        "letter": words,
        "order": order,
        "items": [item | {"total": money(item["total"])} for item in order["items"]],
        "total": money(order["total"]),
        "address": address_lines(order["address"] or {}) if words.address else [],
        "link": settings.PUBLIC_URL + reverse("order", args=[order["id"]]),
    }
    text = render_to_string("orders/emails/order.txt", context)
    made = EmailMultiAlternatives(words.subject, text, to=[recipient], headers=headers(recorded))
    made.attach_alternative(render_to_string("orders/emails/order.html", context), "text/html")
    return made


def headers(recorded: Recorded) -> dict[str, str]:
    """Message-ID is the same whenever an event's email is sent again, so that who gets it twice can tell."""
    _, sender = parseaddr(settings.DEFAULT_FROM_EMAIL)
    name = f"{recorded.aggregate_id}.{recorded.aggregate_version}.{recorded.command_id}"
    return {
        "Message-ID": f"<{name}@{sender.rpartition('@')[2]}>",
        # RFC 3834: nobody's holiday responder should answer.
        "Auto-Submitted": "auto-generated",
    }


def address_lines(address: dict) -> list[str]:
    """As on an envelope; none for {}."""
    place = " ".join(filter(None, (address.get("postcode"), address.get("city"))))
    country = countries.name(address.get("country", ""))
    lines = (address.get("name"), address.get("line1"), address.get("line2"), place, address.get("region"), country)
    return list(filter(None, lines))
