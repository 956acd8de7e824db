"""Amounts as Stripe counts them: whole numbers of a currency's smallest unit.

After https://docs.stripe.com/currencies#minor-units: most have two places, some none, some three. ISK and UGX have
none, and are still counted in hundredths.
"""

from decimal import Decimal

WITHOUT_PLACES = frozenset(
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"]
)
WITH_THREE_PLACES = frozenset(["BHD", "JOD", "KWD", "OMR", "TND"])


class NoSuchAmount(ValueError):
    """Smaller than the currency's smallest unit."""


def minor_units(amount: Decimal, currency: str) -> int:
    """12.50 EUR as 1250, 1250.00 JPY as 1250. Raises NoSuchAmount for half a yen."""
    places = 0 if currency in WITHOUT_PLACES else 3 if currency in WITH_THREE_PLACES else 2
    scaled = amount.scaleb(places)
    if scaled != scaled.to_integral_value():
        raise NoSuchAmount(f"{currency} has no parts as small as in {amount}.")
    return int(scaled)
