"""Emails of all domains on their way out: one pace for all workers, and one judgement of what a mail server says."""
