"""The state store of a running stack has no byte left: the broker refuses messages, and everything comes back."""

from redis import Redis

from socialapp.tests.client import Api
from socialapp.tests.topology.conftest import wait_for
from socialapp.tests.valkeys import full


def test_writes_are_accepted_and_are_applied_when_there_is_room(stack, user):
    """Celery's workers may end meanwhile, and are started again."""
    with full(Redis.from_url(stack.environment("write")["STATE_URL"], socket_timeout=5)):
        answers = [user.post("/api/v1/posts", {"text": f"number {number}"}) for number in range(20)]
        assert [answer.status for answer in answers] == [202] * 20
        wait_for(lambda: is_named_in_health(stack))
    for answer in answers:
        wait_for(lambda place=answer.headers["Location"]: user.get(place).json()["status"] == "applied", seconds=30)
    wait_for(lambda: not stack.complaints(), seconds=60)


def is_named_in_health(stack) -> bool:
    entry = Api(stack.socket("write-1")).get("/health/ready").json()["dependencies"]["state"]
    return entry["status"] == "down" and "full" in entry["error"]
