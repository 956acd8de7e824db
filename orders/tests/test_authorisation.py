"""Who may not change an order is told so before anything of it is locked."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections, transaction
from rest_framework.test import APIRequestFactory, force_authenticate

from orders.api.urls import OrderDetail
from orders.commands import CancelOrder, ChangeOrder
from orders.models import Order
from socialapp.cqrs.execute import execute
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.locks import exclusive
from socialapp.cqrs.problems import NotFound
from socialapp.identity.authentication import Bearer


@pytest.fixture
def order(add_product, place):
    return place({add_product(stock=10): 1}, payment_token="timeout").resource_id


def ask(method: str, order_id, user_id, *, is_staff: bool = False) -> tuple[int, str]:
    """(status, code) of the view's answer."""
    request = getattr(APIRequestFactory(), method)(f"/orders/{order_id}", {"status": "cancelled"}, format="json")
    if method == "delete":
        request = APIRequestFactory().delete(f"/orders/{order_id}")
    force_authenticate(request, Bearer(user_id, "somebody", was_staff=is_staff))
    answer = OrderDetail.as_view()(request, order_id=order_id)
    document = getattr(answer, "data", None)
    return answer.status_code, "" if document else answer.content.decode()


@pytest.mark.parametrize("method", ["put", "delete"])
def test_a_stranger_is_refused_while_somebody_else_holds_the_lock(order, author, method):
    with exclusive("order", order):
        assert ask(method, order, new_id())[0] == 404
        assert ask(method, new_id(), new_id(), is_staff=True)[0] == 404
        status, body = ask(method, order, author)
        assert status == 409 and '"locked"' in body


@pytest.mark.parametrize("command", [CancelOrder("by the customer"), ChangeOrder(status="cancelled")])
def test_a_stranger_does_not_wait_for_the_row(order, command):
    """Nor holds it: `execute` with a lock that another transaction has ends after the lock timeout."""

    def ask_for_it() -> None:
        try:
            execute(command, actor_id=new_id(), resource_id=order)
        finally:
            connections.close_all()

    with transaction.atomic(), ThreadPoolExecutor(1) as pool:
        Order.objects.select_for_update().get(pk=order)
        with pytest.raises(NotFound):
            pool.submit(ask_for_it).result()
