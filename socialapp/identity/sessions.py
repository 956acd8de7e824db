"""The session engine: sessions as JSON in the state store. The read role reads them and never writes one."""

from django.contrib.sessions.backends import cache

from socialapp.cqrs import roles


class SessionStore(cache.SessionStore):
    """Django's cache sessions. A session that cannot be decoded counts as none.

    The read role's Valkey user may not write. A process of that role answers a browser whose session has ended as
    anonymous, and leaves it to the write pool and to the session's TTL to remove the entry.
    """

    def load(self):
        """The session's content; {} for a session that is not there, or that something else has written."""
        found = super().load()
        if isinstance(found, dict):
            return found
        self._session_key = None
        return {}

    def save(self, must_create=False):
        if roles.may_write():
            super().save(must_create)

    def delete(self, session_key=None):
        if roles.may_write():
            super().delete(session_key)

    def cycle_key(self):
        """Keep the key where no session can be stored under another one."""
        if roles.may_write():
            super().cycle_key()
