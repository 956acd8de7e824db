"""Fills in nginx's configuration from deploy/nginx for one machine. Called by `stack`."""

import re
from pathlib import Path

from deploy.embedded.files import write_private
from deploy.embedded.layout import Layout
from deploy.embedded.programs import POOLS

# Requests that one address may have under way: enough for a network whose people share one.
CONNECTIONS_PER_ADDRESS = 200
# Load tests and health checks of the machine itself.
UNLIMITED_NETWORKS = ("127.0.0.0/8", "::1/128")
INCLUDED = ("types.conf", "problems.conf", "read.conf", "cache.conf", "room.js")


def write_configuration(layout: Layout, port: int, *, as_root: bool) -> None:
    source = layout.checkout / "deploy" / "nginx"
    template = (source / "gateway.conf").read_text()
    write_private(layout.nginx / "gateway.conf", filled_in(template, values(layout, port, as_root=as_root)))
    for name in INCLUDED:
        write_private(layout.nginx / name, (source / name).read_text())


def filled_in(template: str, values: dict[str, str]) -> str:
    """Replace @{NAME}; nginx's own variables start with $, and its named locations have no braces."""
    return re.sub(r"@\{([A-Z_]+)\}", lambda found: values[found[1]], template)


def values(layout: Layout, port: int, *, as_root: bool) -> dict[str, str]:
    readers, writers = sockets(layout, "read"), sockets(layout, "write")
    return {
        # Otherwise root's nginx becomes nobody, who cannot reach the sockets, and answers 502.
        "USER": "user root;" if as_root else "",
        "LISTEN": f"127.0.0.1:{port}",
        "READ_SERVERS": servers(readers),
        "WRITE_SERVERS": servers(writers),
        "EACH_WRITE_SERVER": " ".join(
            f"upstream {name} {{ {servers({name: path})} keepalive 0; }}" for name, path in writers.items()
        ),
        "OTHER_WRITERS": " ".join(f"unix:{writers[name]} {other};" for name, other in neighbours(list(writers))),
        # Below nginx's prefix, which is VAR/nginx: no path of this machine needs quoting.
        "CONNECTIONS_PER_ADDRESS": str(CONNECTIONS_PER_ADDRESS),
        "UNLIMITED_NETWORKS": " ".join(f"{network} 1;" for network in UNLIMITED_NETWORKS),
        "STATIC_ROOT": "../static",
        "MEDIA_ROOT": "../media",
    }


def sockets(layout: Layout, role: str) -> dict[str, Path]:
    return {name: layout.socket(name) for name in POOLS if name.startswith(role)}


def servers(paths: dict[str, Path]) -> str:
    """A dead one refuses at once, so remembering that (max_fails) gains nothing, and an honest 503 counts as dead."""
    return " ".join(f"server unix:{path} max_fails=0;" for path in paths.values())


def neighbours(names: list[str]) -> list[tuple[str, str]]:
    return list(zip(names, names[1:] + names[:1], strict=True))
