"""What the emails say. Which events are worth one, and the words for each; templates give them their form."""

from dataclasses import dataclass

from orders.events import OrderCancelled, OrderPaid, OrderPaymentFailed, OrderPlaced, OrderShipped, PaymentMoved
from orders.models import OrderEmail, Payment

Kind = OrderEmail.Kind


@dataclass(frozen=True, slots=True)
class Letter:
    """paragraphs: plain text, escaped where it is shown. lines, address: whether what was ordered is listed, and where
    it goes."""

    subject: str
    heading: str
    paragraphs: tuple[str, ...]
    lines: bool = True
    address: bool = False


def kind_of(event: object) -> Kind | None:
    """None for events that nobody gets an email about."""
    match event:
        case OrderPlaced():
            return Kind.PLACED
        case OrderPaid():
            return Kind.PAID
        case OrderPaymentFailed():
            return Kind.PAYMENT_FAILED
        case OrderShipped():
            return Kind.SHIPPED
        case OrderCancelled():
            return Kind.CANCELLED
        case PaymentMoved(payment=Payment.REFUNDED.value):
            return Kind.REFUNDED
    return None


def letter(event: object, order: dict) -> Letter:
    """order: its document (documents.py). The event is one that `kind_of` knows."""
    number, total = order["number"], money(order["total"])
    match event:
        case OrderPlaced():
            return _placed(number)
        case OrderPaid():
            return _paid(number, total)
        case OrderPaymentFailed(reason=reason):
            return _payment_failed(number, reason)
        case OrderShipped():
            return _shipped(number)
        case OrderCancelled(payment=payment):
            return _cancelled(number, total, payment)
        case _:
            return _refunded(number, total)


def money(amount: dict) -> str:
    """amount: {"amount": "12.50", "currency": "EUR"}."""
    return f"{amount['amount']} {amount['currency']}"


def _placed(number: int) -> Letter:
    thanks = "We have put everything aside for you, and will write again as soon as there is news."
    return Letter(f"We have your order {number}", "Thank you for your order", (thanks,), address=True)


def _paid(number: int, total: str) -> Letter:
    received = f"We have received your payment of {total}. Your order is being packed."
    return Letter(f"Your order {number} is paid", "Your payment has arrived", (received,), address=True)


def _payment_failed(number: int, reason: str) -> Letter:
    told = f" We were told: “{reason}”." if reason else ""
    paragraphs = (
        f"The payment of your order did not go through.{told}",
        "You have not been charged, and the order is closed. You are welcome to order again with another way to pay.",
    )
    return Letter(f"The payment of your order {number} failed", "Your payment failed", paragraphs)


def _shipped(number: int) -> Letter:
    sent = "We have sent your order."
    return Letter(f"Your order {number} is on its way", "It is on its way", (sent,), address=True)


def _cancelled(number: int, total: str, payment: str) -> Letter:
    paragraphs = ("We have cancelled your order, and will not send it.", _money_of_a_cancelled_order(total, payment))
    return Letter(f"Your order {number} is cancelled", "Your order is cancelled", paragraphs)


def _money_of_a_cancelled_order(total: str, payment: str) -> str:
    if payment == Payment.REFUNDING:
        return f"We are refunding {total}, and will write again when that is done."
    if payment in (Payment.UNDER_WAY, Payment.UNKNOWN):
        return "If a payment was still under way and goes through, we will refund it in full."
    return "You have not been charged."


def _refunded(number: int, total: str) -> Letter:
    paragraphs = (f"We have refunded {total}.", "It may take your bank a few days to show it.")
    return Letter(f"The refund for your order {number}", "Your refund", paragraphs, lines=False)
