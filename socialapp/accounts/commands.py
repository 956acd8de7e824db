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
class EditProfile:
    """None leaves a field as it is."""

    name: str | None = None
    bio: str | None = None


@command("user")
class SetAccess:
    """Operators only, from the admin: who may log in, and who is staff."""

    is_active: bool
    is_staff: bool
