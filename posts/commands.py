"""What can be asked of posts. `moderated` is set by the admin only: an operator acts on somebody else's words."""

from socialapp.cqrs.commands import command


@command("post")
class CreatePost:
    text: str
    media_ids: tuple[str, ...] = ()


@command("post")
class EditPost:
    """expected_version: from If-Match; None edits whatever version there is."""

    text: str
    expected_version: int | None = None
    moderated: bool = False


@command("post")
class DeletePost:
    expected_version: int | None = None
    moderated: bool = False


@command("post", commutes=True)
class LikePost:
    pass


@command("post", commutes=True)
class UnlikePost:
    pass


@command("comment", aggregate="post_id", commutes=True)
class CreateComment:
    post_id: str
    text: str


@command("comment")
class DeleteComment:
    moderated: bool = False
