"""The import directions hold, and the contracts cover every domain."""

import subprocess
import sys
import tomllib

from socialapp.tests.architecture.test_sizes import CHECKOUT


def test_import_contracts_are_kept():
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_contract_is_active():
    contracts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract for contract in contracts if contract["type"] == "layers")
    assert layers["layers"][0] == "config" and layers["layers"][-1] == "socialapp.cqrs"
    for contract in contracts:
        assert set(contract.get("ignore_imports", [])) <= {"**.tests.** -> **"}


def test_requirements_are_pinned_and_give_reasons():
    lines = [line for line in (CHECKOUT / "requirements.txt").read_text().splitlines() if line.strip()]
    entries = [line for line in lines if not line.startswith("#")]
    assert entries
    for line in entries:
        requirement, _, reason = line.partition("#")
        assert "==" in requirement, f"{line}: not pinned"
        assert reason.strip(), f"{line}: no reason"
