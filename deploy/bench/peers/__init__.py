"""What most teams run today, built honestly: the same tables and indexes, production settings, no mistakes added."""
