"""People: users, profiles, and how they get their tokens."""
