"""Password hashing: Argon2id with the least costs that OWASP names (19 MiB, two passes, one lane).

Django's defaults take 0.2 s of CPU; with them fifty people who log in at once stop the write pool for seconds.
"""

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2(Argon2PasswordHasher):
    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1
