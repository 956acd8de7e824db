"""Usernames that nobody can register, as they would pass for the operators or for a part of the site.

The operators' own accounts are made by commands, which do not ask here.
"""

NAMES = (
    "abuse account accounts admin administrator admins all anonymous api app auth billing bot contact daemon demo dev"
    " everyone ftp guest help helpdesk host hostmaster imap info legal login logout mail mailerdaemon me media mod"
    " moderation moderator moderators mods nobody none noreply null official operator operators orders owner payments"
    " postmaster press privacy register root sales security self settings shop signup smtp socialapp staff static"
    " status superuser support sysadmin system team terms trust undefined user webmaster www"
)
# Characters that are read as each other. A username has ASCII letters, digits and underscores only.
LOOKALIKES = str.maketrans("0134578l", "oieastbi", "_")


def _folded(name: str) -> str:
    return name.lower().translate(LOOKALIKES).replace("rn", "m").replace("vv", "w")


_FOLDED = frozenset(map(_folded, NAMES.split()))


def is_reserved(username: str) -> bool:
    """Without regard to case, underscores and look-alikes: `R00t` and `_admin_` are."""
    return _folded(username) in _FOLDED
