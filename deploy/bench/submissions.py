"""Runs inside the write role, as the views do. `python -m deploy.bench.submissions likes` submits a like for each line
"user post" of its standard input; `... tokens` prints an access token for each line "id username"; `... products` adds
a product for each line "sku stock" and prints its id."""

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


def products() -> None:
    from orders.commands import AddProduct
    from socialapp.cqrs.execute import execute

    for line in sys.stdin:
        sku, stock = line.split()
        described = {"sku": sku, "name": f"Thing {sku}", "price": "12.50", "currency": "EUR"}
        print(execute(AddProduct(**described, stock=int(stock)), actor_id=None).resource_id)


if __name__ == "__main__":
    django.setup()
    {"likes": likes, "tokens": tokens, "products": products}[sys.argv[1]]()
