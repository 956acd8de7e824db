"""The secrets of one stack: made once, kept in VAR/secrets.json for its owner's eyes."""

import base64
import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.embedded import files


@dataclass(frozen=True)
class Credentials:
    secret_key: str
    jwt_private_key: str
    stamp_key: str
    superuser_password: str
    replication_password: str
    write_password: str
    read_password: str
    demo_password: str
    operator_password: str

    @property
    def jwt_public_key(self) -> str:
        private = Ed25519PrivateKey.from_private_bytes(from_base64url(self.jwt_private_key))
        return to_base64url(private.public_key().public_bytes_raw())


def to_base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def generate() -> Credentials:
    return Credentials(
        secret_key=secrets.token_urlsafe(48),
        jwt_private_key=to_base64url(secrets.token_bytes(32)),
        stamp_key=secrets.token_urlsafe(48),
        superuser_password=secrets.token_hex(24),
        replication_password=secrets.token_hex(24),
        write_password=secrets.token_hex(24),
        read_password=secrets.token_hex(24),
        # People type these two.
        demo_password=secrets.token_hex(6),
        operator_password=secrets.token_hex(10),
    )


def of_stack(var: Path) -> Credentials:
    path = var / "secrets.json"
    held = json.loads(path.read_text()) if path.exists() else {}
    # A stack that an earlier version made lacks what was added since.
    complete = asdict(generate()) | held
    if complete != held:
        files.write_private(path, json.dumps(complete, indent=1))
    return Credentials(**complete)
