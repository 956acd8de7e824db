"""Who may do what in the three Valkeys: fills in the access lists of deploy/valkey. Called by `stack`.

`socialapp_read` fills the read cache, but can neither append to the command log nor write sessions or locks: else a
read server that somebody has taken over could forge everybody's writes.
"""

from deploy.embedded.credentials import Credentials
from deploy.embedded.files import write_private
from deploy.embedded.gateway import filled_in
from deploy.embedded.layout import Layout

KINDS = ("cache", "state", "log")


def write_lists(layout: Layout, secret: Credentials) -> None:
    passwords = {"WRITE_PASSWORD": secret.write_password, "READ_PASSWORD": secret.read_password}
    for kind in KINDS:
        template = (layout.checkout / "deploy" / "valkey" / f"{kind}.acl").read_text()
        write_private(layout.access_list(kind), filled_in(template, passwords))
