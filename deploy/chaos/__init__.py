"""Killing parts of a running stack on purpose, and measuring what follows. Run by hand, on a stack of its own."""
