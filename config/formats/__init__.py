"""How times and numbers are written for people."""
