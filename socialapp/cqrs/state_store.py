"""The breaker that this process's requests share around the state store (STATE_URL).

Its timeout is half a second. A request asks it for several things: which timeline is written to, which tokens were
revoked, a lock. With one breaker for all of them a frozen store costs a request half a second once.
"""

from socialapp.cqrs.breaker import Breaker

# Short, because changes of orders are refused while it is open, although the store may be back.
breaker = Breaker(open_for=(0.2, 0.6), probe=1.0)
