"""Makes .venv from requirements.txt, then runs .venv/bin/python with its own arguments. Standard library only, and
readable for an old Python, which is told what is missing. Called by the Makefile: `python3 bootstrap.py -m pytest`."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.path.join(CHECKOUT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
REQUIREMENTS = os.path.join(CHECKOUT, "requirements.txt")
STAMP = os.path.join(VENV, "requirements.sha256")
OLDEST = (3, 11)
NEWER = ("python3.14", "python3.13", "python3.12", "python3.11")
LEAST_DISK = 2**30
NO_ENSUREPIP = "This Python has no ensurepip: install it (Debian, Ubuntu: apt install python{0}.{1}-venv), then repeat"

# What pip says, and what that means. The first that fits is told: without a network pip also finds "no matching
# distribution", and a full disk breaks a build.
EXPLANATIONS = (
    (r"No space left on device|Errno 28", "The disk is full: make room (1 GiB is enough), then repeat"),
    (
        r"NewConnectionError|name resolution|Name or service not known|Network is unreachable|ConnectTimeoutError"
        r"|ProxyError|Connection refused|Read timed out|NameResolutionError",
        "The package index cannot be reached: check the network, or pip's proxy and index settings, then repeat",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError",
        "The package index has an unknown certificate: set PIP_CERT, then repeat",
    ),
    (
        r"No matching distribution found for ([^\s(]+)",
        "There is no {0} for this platform and Python: try another with make PYTHON=python3.12",
    ),
    (r"requires a different Python|Requires-Python", "A pinned package wants another Python: make PYTHON=python3.12"),
    (
        r"Failed (?:building wheel for|to build) '?([A-Za-z0-9._-]+)",
        "There is no wheel of {0} for this platform and Python: try another with make PYTHON=python3.12",
    ),
    (
        r"DO NOT MATCH THE HASHES",
        "A downloaded package is damaged: pip cache purge, then repeat",
    ),
    (r"[Pp]ermission denied:? '?([^'\n]*)", "Not allowed to write {0}: it belongs to another user"),
)


def main(arguments):
    check_python()
    wanted = fingerprint()
    if installed() != wanted:
        with open(REQUIREMENTS) as one_at_a_time:
            lock(one_at_a_time)
            if installed() != wanted:
                install(wanted)
    os.chdir(CHECKOUT)
    os.execv(PYTHON, [PYTHON, *arguments])  # noqa: S606


def check_python():
    """Go on in a newer Python of this machine, or say that there is none."""
    if sys.version_info >= OLDEST:
        return
    for name in NEWER:
        path = shutil.which(name)
        if path and works(path, "-c", ""):
            os.execv(path, [path, os.path.abspath(__file__), *sys.argv[1:]])  # noqa: S606
    version = ".".join(str(part) for part in sys.version_info[:3])
    stop(f"Python 3.11 or newer is needed; {sys.executable} is {version}. Name one: make up PYTHON=python3.12")


def fingerprint():
    """Of all that the environment is made from."""
    with open(REQUIREMENTS, "rb") as file:
        made_from = file.read() + repr((sys.version_info[:2], CHECKOUT)).encode()
    return hashlib.sha256(made_from).hexdigest()


def installed():
    try:
        with open(STAMP) as file:
            stamp = file.read()
    except OSError:
        return ""
    # A stamp outlives the interpreter that the environment points to.
    return stamp if os.access(PYTHON, os.X_OK) else ""


def lock(file):
    import fcntl

    fcntl.flock(file, fcntl.LOCK_EX)


def install(stamp):
    started = time.time()
    log = os.path.join(CHECKOUT, os.environ.get("VAR") or "var", "log", "pip.log")
    try:
        check_disk()
        os.makedirs(os.path.dirname(log), mode=0o700, exist_ok=True)
        print("  Installing the packages of requirements.txt into .venv; a minute the first time", flush=True)
        with open(log, "w") as output:
            make_environment(output, log)
            if os.path.exists(STAMP):
                os.remove(STAMP)
            run(pip_command(), output, log)
        with open(STAMP, "w") as file:
            file.write(stamp)
    except OSError as error:
        stop(explained(str(error)) or str(error))
    print(f"  {'packages':<20}{time.time() - started:6.1f} s", flush=True)


def check_disk():
    free = shutil.disk_usage(CHECKOUT).free
    if free < LEAST_DISK:
        stop(f"Only {free // 2**20} MiB are free at {CHECKOUT}; 1 GiB is needed: make room first")


def make_environment(output, log):
    """A fresh one unless the present one works with this very Python: pip then only changes what differs."""
    check = f"import sys, pip; sys.exit(sys.version_info[:2] != {sys.version_info[:2]!r})"
    if works(PYTHON, "-c", check):
        return
    command = [sys.executable, "-m", "venv", "--clear", VENV]
    if not works(sys.executable, "-c", "import ensurepip"):
        if not works(sys.executable, "-m", "pip", "--version"):
            stop(NO_ENSUREPIP.format(*sys.version_info))
        command.insert(3, "--without-pip")
    run(command, output, log)


def works(*command):
    try:
        return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def pip_command():
    """The environment's own pip, or the system's pip working on the environment."""
    own = works(PYTHON, "-c", "import pip")
    pip = [PYTHON, "-m", "pip"] if own else [sys.executable, "-m", "pip", "--python", PYTHON]
    quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar=off"]
    # Whatever is imported is compiled then, by whoever imports it first; all of it would take 10 s.
    return [*pip, "install", "--no-compile", *quiet, "-r", REQUIREMENTS]


def run(command, output, log):
    output.flush()
    try:
        done = subprocess.call(command, stdout=output, stderr=subprocess.STDOUT, cwd=CHECKOUT)
    except KeyboardInterrupt:
        stop("\nInterrupted; the next make goes on from here.")
    if done == 0:
        return
    with open(log, errors="replace") as file:
        text = file.read()
    lines = [line for line in text.splitlines() if line.strip()] or ["no message"]
    reason = explained(text) or f"The packages could not be installed: {lines[-1]}"
    stop(f"{reason} (all of pip's output: {log})")


def explained(text):
    for pattern, meaning in EXPLANATIONS:
        found = re.search(pattern, text)
        if found:
            return meaning.format(*found.groups())
    return ""


def stop(message):
    sys.exit(message)


if __name__ == "__main__":
    main(sys.argv[1:])
