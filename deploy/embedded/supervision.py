"""Talks to supervisord: writes its configuration, starts it, asks it, shuts it down. Used by `stack` and `guardian`."""

import os
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable

from supervisor.xmlrpc import SupervisorTransport

from deploy.embedded import processes
from deploy.embedded.account import Account
from deploy.embedded.failure import StackFailure
from deploy.embedded.files import write_private
from deploy.embedded.layout import Layout
from deploy.embedded.programs import GROUPS, Program

HEAD = """\
; Written at every start; edit deploy/embedded instead. Paths start at VAR.
[supervisord]
logfile=log/supervisord.log
logfile_maxbytes=5MB
logfile_backups=1
pidfile={run}/supervisord.pid
childlogdir=log
{user}
[unix_http_server]
file={run}/supervisor.sock
chmod=0700
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""

# By way of `env`: supervisord asks access(2) whether it may run a program, and that knows no capabilities.
PROGRAM = """\
[program:{name}]
command=/usr/bin/env {python} -m deploy.embedded.launch {name}
autostart={autostart}
autorestart=true
startsecs=1
startretries=20
stopsignal={signal}
stopwaitsecs={patience}
killasgroup=true
stdout_logfile=log/{name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=2
redirect_stderr=true
"""


def quoted(text: str) -> str:
    """As a word of `command`: % starts an expansion, and shell quotes are honoured."""
    escaped = text.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def write_configuration(
    layout: Layout, programs: Iterable[Program], autostart: Iterable[str], *, as_root: bool
) -> None:
    """`autostart`: the groups that run whenever supervisord does."""
    user = "user=root\n" if as_root else ""
    parts = [HEAD.format(run=layout.run, user=user)]
    for program in programs:
        parts.append(
            PROGRAM.format(
                name=program.name,
                python=quoted(sys.executable),
                autostart=str(program.group in autostart).lower(),
                signal=program.stop_signal,
                patience=program.patience,
            )
        )
    for priority, group in enumerate(GROUPS, start=1):
        members = ",".join(program.name for program in programs if program.group == group)
        parts.append(f"[group:{group}]\nprograms={members}\npriority={priority}\n")
    write_private(layout.var / "supervisord.conf", "\n".join(parts))


def launch(layout: Layout, account: Account | None = None) -> None:
    """Start supervisord, as another user if one is given. It goes into the background when its socket is open."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(layout.checkout)}
    environment |= {processes.STACK: layout.stack_id, "HOME": home_of(layout, account), "LC_ALL": "C.UTF-8"}
    options = account.subprocess_options() if account else {}
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", "supervisord.conf"]
    done = subprocess.run(command, cwd=layout.var, env=environment, capture_output=True, text=True, **options)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines() or ["no message"]
        raise StackFailure(f"supervisord did not start: {lines[-1]}")


def home_of(layout: Layout, account: Account | None) -> str:
    return str(layout.var) if account else os.environ.get("HOME", "/")


def pid(layout: Layout) -> int | None:
    """The process id of this stack's living supervisord."""
    number = recorded_pid(layout)
    return number if processes.is_alive(number) and _answers(layout) else None


def recorded_pid(layout: Layout) -> int | None:
    try:
        return int((layout.run / "supervisord.pid").read_text())
    except (OSError, ValueError):
        return None


def _answers(layout: Layout) -> bool:
    try:
        rpc(layout).getState()
    except (OSError, xmlrpc.client.Error):
        return False
    return True


def rpc(layout: Layout):
    transport = SupervisorTransport(None, None, f"unix://{layout.run / 'supervisor.sock'}")
    return xmlrpc.client.ServerProxy("http://stack", transport).supervisor


def states(layout: Layout) -> dict[str, dict]:
    return {entry["name"]: entry for entry in rpc(layout).getAllProcessInfo()}


def start_groups(layout: Layout, groups: Iterable[str]) -> None:
    """Start what is not running in these groups; does not wait."""
    for group in groups:
        rpc(layout).startProcessGroup(group, False)


def restart(layout: Layout, program: str) -> None:
    """program: group and name, with a colon between. Waits until it has ended."""
    rpc(layout).stopProcess(program, True)
    rpc(layout).startProcess(program, False)


def shut_down(layout: Layout, patience: float) -> None:
    number = pid(layout)
    if number is None:
        return
    rpc(layout).shutdown()
    deadline = time.monotonic() + patience
    while processes.is_alive(number) and time.monotonic() < deadline:
        time.sleep(0.05)
