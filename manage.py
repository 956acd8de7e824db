#!/usr/bin/env python
"""Django's command line, run with the environment of the local stack when `make up` has written one."""

import os
import sys
from pathlib import Path

import environ


def load_stack_environment() -> None:
    """Take what is not set yet from VAR/stack.env; production sets its own environment and has no such file."""
    var = os.environ.get("VAR", Path(__file__).with_name("var"))
    stack_env = Path(os.environ.get("SOCIALAPP_ENV_FILE", Path(var) / "stack.env"))
    if "SOCIALAPP_ROLE" not in os.environ and stack_env.is_file():
        environ.Env.read_env(stack_env)
    os.environ.setdefault("SOCIALAPP_ROLE", "worker")


if __name__ == "__main__":
    load_stack_environment()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
