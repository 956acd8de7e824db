"""Executable models of what the read cache promises. Each is small enough to look at every interleaving."""
