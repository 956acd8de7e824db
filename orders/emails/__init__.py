"""Emails about orders, sent by an event consumer: at least once, and at most EMAILS_PER_SECOND over all workers."""

# Of the event consumer, and so many of it send at once, while each waits for the mail server.
NAME = "emails"
LANES = 4
