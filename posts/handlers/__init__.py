"""The only writers of posts, comments and likes: set-based, for a batch of one command type each."""

from posts.handlers import comments, likes, posts

__all__ = ["comments", "likes", "posts"]
