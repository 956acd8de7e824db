"""From where a request comes, as the gateway says, for limits and for the security log."""

from ipaddress import IPv6Address, ip_address, ip_network

from django.http import HttpRequest

# What one customer of a provider usually gets (RIPE-690).
IPV6_PREFIX = 56


def client_address(request: HttpRequest | None) -> str:
    """The client's address; "" when the request did not come through the gateway. Gateways set the header, and pass no
    client's own one on."""
    return request.META.get("HTTP_X_REAL_IP") or request.META.get("REMOTE_ADDR") or "" if request else ""


def client_network(request: HttpRequest | None) -> str:
    """The IPv4 address, or the IPv6 network that one person can choose addresses from; "" when it is not known."""
    try:
        address = ip_address(client_address(request))
    except ValueError:
        return ""
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or ip_network((address, IPV6_PREFIX), strict=False))
