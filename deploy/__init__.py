"""How the project is run; the servers' configuration here is shared by every way of running it."""
