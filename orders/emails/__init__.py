"""Emails about orders, sent by an event consumer: at least once, and at most EMAILS_PER_SECOND over all workers."""
