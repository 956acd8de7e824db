"""Emails are sent by their event consumer; here it is told to try one again."""

from django.db.models.functions import Now

from orders import emails
from orders.commands import SendRefusedEmail
from orders.models import OrderEmail
from socialapp.cqrs.commands import Envelope, handles
from socialapp.cqrs.effects import Effects
from socialapp.cqrs.models import ParkedEvent
from socialapp.cqrs.problems import NotFound


@handles(SendRefusedEmail)
def send_refused_email(envelopes: list[Envelope], effects: Effects) -> None:
    for envelope in envelopes:
        position = envelope.command.position
        refused = OrderEmail.objects.filter(pk=position).exclude(refusal="").first()
        if refused is None:
            effects.reject(envelope, NotFound("No such email was refused."))
            continue
        marked = {"error": refused.refusal, "parked_at": Now(), "retry_at": Now()}
        ParkedEvent.objects.update_or_create(consumer=emails.NAME, event_position=position, defaults=marked)
