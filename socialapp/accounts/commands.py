"""What can be asked of accounts."""

from socialapp.cqrs.commands import command


@command("user")
class RegisterUser:
    """password_hash: as Django's hashers make it; a password itself never becomes a command."""

    username: str
    password_hash: str
    email: str = ""
    name: str = ""


@command("user")
class RequestEmailVerification:
    """Have the owner of an address asked whether it is theirs, if an account that waits for it has it."""

    email: str


@command("user")
class VerifyEmail:
    """digest: the SHA-256 of a link's token, in hexadecimal."""

    digest: str


@command("user")
class EditProfile:
    """None leaves a field as it is."""

    name: str | None = None
    bio: str | None = None


@command("user")
class SetAccess:
    """Operators only, from the admin: who may log in, and who is staff."""

    is_active: bool
    is_staff: bool


@command("user")
class SetPassword:
    """Both hashes as Django's hashers make them. former_hash: that of the password that was proved, None when an
    operator sets another one. kept_session: the session that goes on; all others end.
    """

    password_hash: str
    former_hash: str | None = None
    kept_session: str | None = None
