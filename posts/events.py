"""What has happened to posts, and which cache keys that makes stale."""

from socialapp.cqrs import keys
from socialapp.cqrs.events import event, makes_stale


@event("post", published=True)
class PostCreated:
    post_id: str
    author_id: str
    author_username: str
    text: str
    hashtags: tuple[str, ...]


@event("post", published=True)
class PostEdited:
    post_id: str
    text: str
    hashtags: tuple[str, ...]


@event("post", published=True)
class PostDeleted:
    post_id: str
    author_id: str
    author_username: str


@event("post", published=True)
class PostLiked:
    post_id: str
    user_id: str


@event("post", published=True)
class PostUnliked:
    post_id: str
    user_id: str


@event("post", published=True)
class CommentCreated:
    post_id: str
    comment_id: str
    author_id: str
    text: str


@event("post", published=True)
class CommentDeleted:
    post_id: str
    comment_id: str


def post_key(post_id: object) -> str:
    return keys.entry("posts", "entity", post_id)


def comment_key(comment_id: object) -> str:
    return keys.entry("comments", "entity", comment_id)


def author_list_key(username: str) -> str:
    return keys.entry("posts", "author", username.lower())


PUBLIC_LIST = keys.entry("posts", "public", "all")


@makes_stale(PostCreated, PostDeleted)
def a_post_more_or_less(event):
    yield post_key(event.post_id)
    yield author_list_key(event.author_username)
    yield PUBLIC_LIST


@makes_stale(PostCreated, PostDeleted)
def lists_of_the_post(event):
    yield keys.entry("posts", "comments", event.post_id)
    yield keys.entry("posts", "likes", event.post_id)


@makes_stale(PostEdited)
def the_post(event):
    yield post_key(event.post_id)


@makes_stale(PostLiked, PostUnliked)
def the_post_and_its_likes(event):
    yield post_key(event.post_id)
    yield keys.entry("posts", "likes", event.post_id)


@makes_stale(CommentCreated, CommentDeleted)
def the_post_and_its_comments(event):
    yield post_key(event.post_id)
    yield comment_key(event.comment_id)
    yield keys.entry("posts", "comments", event.post_id)
