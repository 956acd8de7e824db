"""Django's database backend of the processes that write, named by ENGINE in config/settings/databases.py."""
