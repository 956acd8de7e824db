"""People of the demo world; run by the command `seed`. Nobody knows a password of theirs."""

import re
from argparse import ArgumentParser
from collections.abc import Callable
from itertools import batched  # noqa
