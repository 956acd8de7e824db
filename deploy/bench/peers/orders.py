"""Orders without any of the kernel: a bare view that runs the same SQL in one transaction, and a plain DRF list."""

import json
from datetime import timedelta
from decimal import Decimal

from django.db import connection, transaction
from django.http import JsonResponse
from django.utils.timezone import now
from django.views.decorators.csrf import csrf_exempt
from rest_framework import generics, serializers
from rest_framework.pagination import PageNumberPagination
from rest_framework.permissions import IsAuthenticated

from orders.models import Order, OrderItem
from orders.rows import INSERT, LOCK_AND_NUMBER, PRODUCT
from socialapp.cqrs.ids import new_id
from socialapp.identity.authentication import BearerAuthentication

RESULT = """
    INSERT INTO cqrs_commandresult
        (id, type, actor_id, idempotency_key, fingerprint, resource_type, resource_id, accepted_at, outcome)
    VALUES (%s, 'PlaceOrder', %s, %s, '', 'order', %s, %s, 'applied') ON CONFLICT DO NOTHING RETURNING id
"""
EVENTS = """
    INSERT INTO cqrs_event (type, version, aggregate, aggregate_id, aggregate_version, payload, time, command_id)
    SELECT * FROM json_to_recordset(%s::json) AS new (
        type text, version int, aggregate text, aggregate_id uuid, aggregate_version bigint, payload jsonb,
        time timestamptz, command_id uuid)
"""


@csrf_exempt
def orders(request):
    if request.method == "GET":
        return ListView.as_view()(request)
    user, _ = BearerAuthentication().authenticate(request)
    items = json.loads(request.body)["items"]
    key = request.headers["Idempotency-Key"]
    with transaction.atomic(), connection.cursor() as cursor:
        document = place(cursor, user.pk, key, {item["product_id"]: item["quantity"] for item in items})
    return JsonResponse(document, status=201)


def place(cursor, user_id, key: str, units: dict[str, int]) -> dict:
    order_id, command_id, time = new_id(), new_id(), now()
    cursor.execute(RESULT, [command_id, user_id, key, order_id, time])
    cursor.execute(LOCK_AND_NUMBER, [command_id, list(units)])
    rows = cursor.fetchall()
    products = [dict(zip(PRODUCT, row, strict=False)) for row in rows]
    number = rows[0][-1]
    if any(product["stock"] < units[str(product["id"])] for product in products):
        raise ValueError("out of stock")
    lines = [
        {
            "product_id": str(product["id"]),
            "quantity": units[str(product["id"])],
            "unit_price": str(product["price"]),
            "sku": product["sku"],
            "name": product["name"],
        }
        for product in products
    ]
    total = sum((product["price"] * units[str(product["id"])] for product in products), Decimal(0))
    order = [order_id, number, user_id, "pending", "due", total, products[0]["currency"], "{}", "sandbox", "approve"]
    cursor.execute(INSERT, [json.dumps(lines), order_id, *order, time + timedelta(minutes=30), time, time, 1])
    cursor.execute(EVENTS, [json.dumps(events(order_id, command_id, user_id, number, time, products, lines, total))])
    return {"id": str(order_id), "number": number, "status": "pending", "total": str(total), "items": lines}


def events(order_id, command_id, user_id, number, time, products, lines, total) -> list[dict]:
    shared = {"version": 1, "time": time.isoformat(), "command_id": str(command_id)}
    taken = [
        shared
        | {
            "type": "StockTaken",
            "aggregate": "product",
            "aggregate_id": line["product_id"],
            "aggregate_version": product["sequence"] + 1,
            "payload": {
                "product_id": line["product_id"],
                "order_id": str(order_id),
                "quantity": line["quantity"],
                "stock": product["stock"] - line["quantity"],
            },
        }
        for product, line in zip(products, lines, strict=True)
    ]
    placed = {
        "order_id": str(order_id),
        "user_id": str(user_id),
        "number": number,
        "items": [" ".join(map(str, line.values())) for line in lines],
        "total": str(total),
        "currency": "EUR",
        "address": "",
        "status": "pending",
        "payment": "due",
    }
    described = {"type": "OrderPlaced", "aggregate": "order", "aggregate_id": str(order_id), "aggregate_version": 1}
    return [*taken, shared | described | {"payload": placed}]


class ItemSerializer(serializers.ModelSerializer):
    class Meta:
        model = OrderItem
        fields = ["product_id", "sku", "name", "quantity", "unit_price"]


class OrderSerializer(serializers.ModelSerializer):
    items = ItemSerializer(many=True)

    class Meta:
        model = Order
        fields = [
            "id", "number", "status", "items", "total", "currency", "address", "payment", "version", "held_until",
            "created_at", "updated_at",
        ]  # fmt: skip


class Pages(PageNumberPagination):
    page_size = 20


class ListView(generics.ListAPIView):
    authentication_classes = [BearerAuthentication]
    permission_classes = [IsAuthenticated]
    serializer_class = OrderSerializer
    pagination_class = Pages

    def get_queryset(self):
        return Order.objects.filter(user_id=self.request.user.pk).prefetch_related("items").order_by("-id")
