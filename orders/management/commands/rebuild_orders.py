"""manage.py rebuild_orders: compares orders and stock with their events, and corrects orders that differ."""

import sys
from collections.abc import Callable
from itertools import islice
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Model
from tqdm import tqdm

from orders import rebuild
from orders.models import Order, Product
from orders.rebuild import Comparison, Difference
from socialapp.cqrs import roles, valkey

MOST_LINES = 50


class Command(BaseCommand):
    help = (
        "Fold the events of orders, show where the tables say something else, and make these say it, too. Stock is"
        " compared and stays: count it, and correct it with a reason. Exit code: 1 if something differs and stays."
    )

    def add_arguments(self, parser):
        parser.add_argument("--order", type=UUID, metavar="ID", help="this one only, and no stock")
        parser.add_argument("--dry-run", action="store_true", help="show what differs, and change nothing")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *, order: UUID | None, dry_run: bool, yes: bool, verbosity: int, **options):
        if not roles.may_write():
            raise CommandError(f"A process of role {roles.current()} cannot write; use SOCIALAPP_ROLE=worker.")
        hidden = True if verbosity == 0 else None
        orders, stock, missing = self._compare(order, hidden)
        self._tell(orders, stock, missing)
        corrected = 0
        if orders.differences and not dry_run and (yes or confirmed(len(orders.differences))):
            corrected = self._repair(orders.differences, hidden)
            self.stdout.write(f"{corrected:,} were corrected.")
        if stock.differences or missing or corrected < len(orders.differences):
            raise CommandError("The tables differ from their events.")

    def _compare(self, order: UUID | None, hidden: bool | None) -> tuple[Comparison, Comparison, list[UUID]]:
        if order:
            found = rebuild.compare_orders([order])
            if not found.compared + found.untold:
                raise CommandError(f"There is no order {order}.")
            return found, Comparison(), []
        with tqdm(unit=" rows", disable=hidden, total=Order.objects.count() + Product.objects.count()) as bar:
            orders = self._total(Order, rebuild.compare_orders, bar)
            stock = self._total(Product, rebuild.compare_stock, bar)
        return orders, stock, rebuild.missing_orders()

    def _total(self, model: type[Model], compare: Callable[[list[UUID]], Comparison], bar: tqdm) -> Comparison:
        total = Comparison()
        for batch in rebuild.batches(model):
            total.add(compare(batch))
            bar.update(len(batch))
        return total

    def _tell(self, orders: Comparison, stock: Comparison, missing: list[UUID]) -> None:
        lines = [*map(str, orders.differences), *map(str, stock.differences)]
        lines += [f"order {order_id} was placed and is not there" for order_id in missing]
        for line in islice(lines, MOST_LINES):
            self.stdout.write(line)
        if len(lines) > MOST_LINES:
            self.stdout.write(f"... and {len(lines) - MOST_LINES:,} more")
        for name, found in (("orders", orders), ("stocks", stock)):
            untold = f"; {found.untold:,} have events that are not kept any more" if found.untold else ""
            self.stdout.write(f"{found.compared:,} {name} were compared, {len(found.differences):,} differ{untold}.")

    def _repair(self, differences: list[Difference], hidden: bool | None) -> int:
        for difference in tqdm(differences, unit=" orders", disable=hidden):
            try:
                rebuild.repair(difference.row.pk)
            except valkey.UNREACHABLE as error:
                raise CommandError(
                    f"{difference.row} was corrected, but the cache was not told: lists may be wrong for a minute."
                    " Run it again for the rest."
                ) from error
        return len(differences)


def confirmed(count: int) -> bool:
    if not sys.stdin.isatty():
        raise CommandError("This changes orders; look with --dry-run, then pass --yes.")
    return input(f"Correct {count:,} orders? [y/N] ").strip().lower() in ("y", "yes")
