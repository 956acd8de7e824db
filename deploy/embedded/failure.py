"""The one exception of this package; whoever talks to a person prints it and nothing else."""


class StackFailure(Exception):
    """What went wrong and what to do about it, in one line."""
