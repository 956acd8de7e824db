"""Money: decimals with two places and the code of a currency; on the way in and out it is text, never a float."""

from decimal import Decimal, InvalidOperation

from socialapp.cqrs.problems import Invalid

CENT = Decimal("0.01")
MOST = Decimal("9999999999.99")


def amount(text: str) -> Decimal:
    """ "12.5" as 12.50. Raises Invalid for what is no amount of at most two places, or negative."""
    try:
        value = Decimal(text)
        rounded = value.quantize(CENT)
    except InvalidOperation as error:
        raise Invalid(f"{text[:30]!r} is no amount.") from error
    if not value.is_finite() or value != rounded or not 0 <= rounded <= MOST:
        raise Invalid(f"{text[:30]!r} is no amount from 0 to {MOST} with at most two places.")
    return rounded


def document(value: Decimal, currency: str) -> dict:
    """{"amount": "12.50", "currency": "EUR"} as the API shows it."""
    return {"amount": str(value.quantize(CENT)), "currency": currency}
