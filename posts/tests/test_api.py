"""Posts, comments and likes through the gateway, by the contract."""

from uuid import uuid4

import pytest


def test_a_post_is_accepted_then_applied(user):
    answer = user.post("/api/v1/posts", {"text": "hello"})
    assert answer.status == 202
    body = answer.json()
    assert set(body) == {"command", "resource"}
    assert body["command"]["status"] == "accepted" and body["command"]["type"] == "CreatePost"
    assert body["resource"]["type"] == "post"
    assert answer.headers["Location"] == body["command"]["href"]
    read = user.get(body["resource"]["href"], consistency_token=answer.token)
    assert (read.status, read.headers["Consistency"]) == (200, "strong")
    command = user.get(body["command"]["href"], prefer="wait=5").json()
    assert command["status"] == "applied" and command["consistency_token"]
    assert command["resource"] == body["resource"]


def test_prefer_wait_answers_like_a_synchronous_api(user):
    answer = user.post("/api/v1/posts", {"text": "now #Tag"}, prefer="wait=5")
    assert (answer.status, answer.headers["Preference-Applied"]) == (201, "wait=5")
    post = answer.json()
    assert set(post) == {
        "id", "text", "author", "created_at", "edited_at", "like_count", "comment_count", "hashtags", "media",
    }  # fmt: skip
    assert (post["text"], post["hashtags"], post["author"]["username"]) == ("now #Tag", ["tag"], user.username)
    assert answer.headers["Location"].endswith(f"/api/v1/posts/{post['id']}")
    read = user.get(f"/api/v1/posts/{post['id']}", consistency_token=answer.token)
    assert read.json() == post
    assert read.headers["ETag"] == answer.headers["ETag"]


def test_edit_with_if_match(user):
    post = user.create_post("one")
    path = f"/api/v1/posts/{post['id']}"
    etag = user.get(path).headers["ETag"]
    edited = user.patch(path, {"text": "two"}, prefer="wait=5", if_match=etag)
    assert (edited.status, edited.json()["text"]) == (200, "two")
    assert edited.json()["edited_at"]
    stale = user.patch(path, {"text": "three"}, prefer="wait=5", if_match=etag)
    assert (stale.status, stale.json()["code"]) == (412, "stale")
    assert user.get(path, consistency_token=edited.token).json()["text"] == "two"


def test_a_like_does_not_make_an_edit_stale(user, other_user):
    post = user.create_post("liked meanwhile")
    path = f"/api/v1/posts/{post['id']}"
    etag = user.get(path).headers["ETag"]
    assert other_user.put(f"{path}/like", prefer="wait=5").status == 200
    assert user.patch(path, {"text": "edited"}, prefer="wait=5", if_match=etag).status == 200


def test_only_the_author_may_change_a_post(user, other_user):
    path = f"/api/v1/posts/{user.create_post()['id']}"
    assert other_user.patch(path, {"text": "mine"}, prefer="wait=5").status == 403
    assert other_user.delete(path, prefer="wait=5").status == 403
    assert user.get(path).status == 200


def test_a_deleted_post_is_gone(user):
    path = f"/api/v1/posts/{user.create_post()['id']}"
    deleted = user.delete(path, prefer="wait=5")
    assert (deleted.status, deleted.body) == (204, b"")
    gone = user.get(path, consistency_token=deleted.token)
    assert (gone.status, gone.json()["code"]) == (410, "gone")
    assert user.put(f"{path}/like", prefer="wait=5").status == 410
    assert user.get(f"{path}/comments", consistency_token=deleted.token).status == 410


def test_like_and_take_it_back(user, other_user):
    path = f"/api/v1/posts/{user.create_post()['id']}"
    for _ in range(2):
        liked = other_user.put(f"{path}/like", prefer="wait=5")
        assert (liked.status, liked.json()["like_count"]) == (200, 1)
    likes = user.get(f"{path}/likes", consistency_token=liked.token).json()
    assert [fan["username"] for fan in likes["results"]] == [other_user.username]
    relations = other_user.get(f"/api/v1/me/relations?post_ids={path[-36:]}", consistency_token=liked.token)
    assert relations.json()["posts"] == {path[-36:]: {"liked": True}}
    unliked = other_user.delete(f"{path}/like", prefer="wait=5")
    assert unliked.status == 204
    assert user.get(path, consistency_token=unliked.token).json()["like_count"] == 0
    assert user.get(f"{path}/likes", consistency_token=unliked.token).json()["results"] == []


def test_comments(user, other_user):
    path = f"/api/v1/posts/{user.create_post()['id']}"
    first = other_user.post(f"{path}/comments", {"text": "first"}, prefer="wait=5")
    second = user.post(f"{path}/comments", {"text": "second"}, prefer="wait=5", consistency_token=first.token)
    assert (first.status, second.status) == (201, 201)
    listed = user.get(f"{path}/comments", consistency_token=second.token).json()
    assert [comment["text"] for comment in listed["results"]] == ["second", "first"]
    assert listed["next"] is None
    assert user.get(path, consistency_token=second.token).json()["comment_count"] == 2
    comment = f"/api/v1/comments/{first.json()['id']}"
    assert user.delete(comment, prefer="wait=5").status == 403
    deleted = other_user.delete(comment, prefer="wait=5")
    assert deleted.status == 204
    assert user.get(path, consistency_token=deleted.token).json()["comment_count"] == 1
    assert user.get(comment, consistency_token=deleted.token).status == 410


def test_lists_are_paged_newest_first(user):
    made = [user.create_post(f"number {n}")["id"] for n in range(5)]
    path, seen = f"/api/v1/users/{user.username}/posts?limit=2", []
    token = user.post("/api/v1/posts", {"text": "last"}, prefer="wait=5").token
    while path:
        page = user.get(path, consistency_token=token).json()
        assert len(page["results"]) <= 2
        seen += [post["id"] for post in page["results"]]
        path = page["next"]
    assert seen[1:] == made[::-1]


def test_the_public_timeline_shows_a_new_post_first(user):
    answer = user.post("/api/v1/posts", {"text": "fresh"}, prefer="wait=5")
    timeline = user.get("/api/v1/timelines/public?limit=1", consistency_token=answer.token).json()
    assert timeline["results"][0]["id"] == answer.json()["id"]


def test_an_idempotency_key_gives_the_first_answer(user):
    key = str(uuid4())
    first = user.post("/api/v1/posts", {"text": "once"}, idempotency_key=key)
    again = user.post("/api/v1/posts", {"text": "once"}, idempotency_key=key)
    assert first.json() == again.json()
    assert (first.headers["Idempotent-Replayed"], again.headers["Idempotent-Replayed"]) == (None, "true")
    other = user.post("/api/v1/posts", {"text": "twice"}, idempotency_key=key)
    assert (other.status, other.json()["code"]) == (422, "idempotency_key_reused")


def test_idempotency_keys_belong_to_their_user(user, other_user):
    key = str(uuid4())
    mine = user.post("/api/v1/posts", {"text": "same"}, idempotency_key=key).json()
    theirs = other_user.post("/api/v1/posts", {"text": "same"}, idempotency_key=key).json()
    assert mine["resource"]["id"] != theirs["resource"]["id"]


def test_commands_of_others_do_not_exist(user, other_user):
    accepted = user.post("/api/v1/posts", {"text": "mine"}).json()
    assert user.get(accepted["command"]["href"]).status == 200
    assert other_user.get(accepted["command"]["href"]).status == 404
    assert user.get(f"/api/v1/commands/{uuid4()}").status == 404


def test_writes_need_a_user_and_reads_do_not(api, user):
    post = user.create_post()
    assert api.get(f"/api/v1/posts/{post['id']}").status == 200
    refused = api.post("/api/v1/posts", {"text": "who?"})
    assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, 'Bearer realm="socialapp"')


@pytest.mark.parametrize("path", ["/api/v1/timelines/public", "/api/v1/posts/0192f0a0-0000-7000-8000-000000000000"])
def test_a_bad_token_is_refused_on_public_reads_too(api, path):
    assert api.get(path, authorization="Bearer nonsense").status == 401


def test_a_read_without_a_token_says_that_it_may_be_old(api, user):
    path = f"/api/v1/posts/{user.create_post()['id']}"
    for _ in range(2):
        read = api.get(path)
        assert (read.status, read.headers["Consistency"]) == (200, "eventual")
        assert read.headers["Cache-Status"].startswith("gateway; ")


def test_not_modified(user):
    path = f"/api/v1/posts/{user.create_post()['id']}"
    etag = user.get(path).headers["ETag"]
    again = user.get(path, if_none_match=etag)
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", etag)
