"""A crowd of misses: more at a time than there are connections to a database."""

from concurrent.futures import ThreadPoolExecutor

from redis import Redis

from socialapp.tests.client import Api

CROWD = 150


def test_misses_wait_for_one_another_and_none_fails(stack, user):
    posts = [user.post("/api/v1/posts", {"text": f"number {n}"}).json()["resource"]["id"] for n in range(CROWD)]
    assert user.post("/api/v1/posts", {"text": "the last"}, prefer="wait=10").status == 201
    entries = Redis.from_url(stack.environment("worker")["CACHE_URL"])
    for key in entries.scan_iter(match="socialapp:v1:posts:*", count=1000):
        entries.delete(key)
    paths = [f"/api/v1/posts/{post}" for post in posts] + [f"/api/v1/posts/{post}/comments" for post in posts]
    with ThreadPoolExecutor(2 * CROWD) as crowd:
        statuses = list(crowd.map(lambda path: Api(stack.socket("read-1")).get(path).status, paths))
    assert statuses == [200] * 2 * CROWD
    used = Api(stack.socket("read-1")).get("/health/ready").json()["dependencies"]["replica1"]
    assert used["used"], f"that all connections were busy is no failure of the replica: {used}"
