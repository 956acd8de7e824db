"""How processes are configured; no business code."""
