"""Runs inside the write role, as the views do: `python -m deploy.bench.submissions likes` submits a like for each line
"user post" of its standard input; `... tokens` prints an access token for each line "id username"."""

import os
import sys
from uuid import UUID

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def likes() -> None:
    from posts.commands import LikePost
    from socialapp.cqrs.submit import submit

    for line in sys.stdin:
        user_id, post_id = map(UUID, line.split())
        submit(LikePost(), actor_id=user_id, resource_id=post_id)


def tokens() -> None:
    from socialapp.identity.signing import sign_access

    for line in sys.stdin:
        user_id, username = line.split()
        print(sign_access(user_id=UUID(user_id), username=username, is_staff=False))


if __name__ == "__main__":
    django.setup()
    {"likes": likes, "tokens": tokens}[sys.argv[1]]()
