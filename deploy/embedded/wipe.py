"""Deletes all data of one stack, after asking. Called by the command line and by tests."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from deploy.embedded.failure import StackFailure
from deploy.embedded.stack import Stack

FOLDERS = ("postgres", "valkey", "nginx", "static", "media", "beat", "run", "log", "outbox")
FILES = ("secrets.json", "stack.env", "stack.json", "programs.json", "supervisord.conf", "lock")
MADE = (*FOLDERS, *FILES)


def reset(stack: Stack, *, dry_run: bool, sure: bool) -> None:
    layout = stack.layout
    if not layout.record.exists():
        raise StackFailure(f"{layout.var} holds no stack: nothing to delete")
    paths = everything(stack)
    print("To be deleted:", *paths, sep="\n  ")
    if dry_run:
        return
    if not sure and ask(layout.var) != layout.var.name:
        raise StackFailure("Nothing was deleted.")
    delete_everything(stack)
    print("Deleted. make up starts afresh.")


def delete_everything(stack: Stack) -> None:
    """Stop the stack and leave nothing of it, also outside of VAR."""
    stack.stop()
    for path in everything(stack):
        delete(path)
    with suppress(OSError):
        stack.layout.var.rmdir()


def everything(stack: Stack) -> list[Path]:
    """What `up` has made: in VAR only by name, should VAR hold anything else, and what had to be elsewhere."""
    var, postgres = stack.layout.var, stack.layout.var / "postgres"
    elsewhere = [made_elsewhere(postgres)] if postgres.is_symlink() else []
    if stack.layout.run.parent != var:
        elsewhere.append(stack.layout.run)
    return [path for path in (*elsewhere, *(var / name for name in MADE)) if path.exists() or path.is_symlink()]


def made_elsewhere(postgres: Path) -> Path:
    """Where the link leads to, which the stack's user may have changed. Raises StackFailure for what is not its own."""
    folder, owner = postgres.resolve(), postgres.parent.stat().st_uid
    if owner != os.getuid() and folder.exists() and folder.stat().st_uid != owner:
        raise StackFailure(f"{postgres} leads to {folder}, which does not belong to the stack's user: remove the link")
    return folder


def delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def ask(var: Path) -> str:
    try:
        return input(f"All posts, users and orders in {var} will be gone. Type {var.name} to delete them: ").strip()
    except EOFError:
        return ""
