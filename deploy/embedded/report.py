"""What the command line tells a person: progress, the table of programs, and where to look first."""

from deploy.embedded import supervision
from deploy.embedded.stack import Stack


def step(name: str, seconds: float) -> None:
    print(f"  {name:<20}{seconds:6.1f} s", flush=True)


def table(stack: Stack) -> str:
    states = supervision.states(stack.layout)
    complaints = stack.complaints()
    lines = [f"{'program':<20}{'state':<10}{'pid':>8}  {'up':>8}  health"]
    for name in (program.name for program in stack.cast.programs()):
        entry = states[name]
        up = duration(entry["now"] - entry["start"]) if entry["pid"] else "-"
        health = complaints.get(name, "ok")
        lines.append(f"{name:<20}{entry['statename'].lower():<10}{entry['pid'] or '-':>8}  {up:>8}  {health}")
    complaint, parts = stack.doctor.readiness()
    lines += ["", f"application: {complaint or 'ready'}"]
    lines += [f"  {name:<18}{'ok' if fine else 'down'}" for name, fine in parts.items()]
    return "\n".join(lines)


def duration(seconds: int) -> str:
    minutes, seconds = divmod(max(seconds, 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


GREETING = """\
  API, browsable   {url}/api/v1/
  Swagger          {url}/api/v1/docs
  Admin            {url}/admin/

  demo user        demo / {demo}
  operator         operator / {operator}

Try:
  # read the newest posts; the second time within a second they come from the gateway's cache
  curl -i '{url}/api/v1/timelines/public?limit=3'
  # log in
  TOKEN=$(curl -s {url}/api/v1/auth/token -H 'Content-Type: application/json' \\
    -d '{{"username": "demo", "password": "{demo}"}}' | sed 's/.*"access": *"\\([^"]*\\)".*/\\1/')
  # write a post and wait for its outcome; without Prefer the answer is 202 at once
  curl -i {url}/api/v1/posts -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
    -H 'Prefer: wait=5' -d '{{"text": "Hello from the command line"}}'
  # kill something, and watch it come back
  kill -9 {victim}; make status

Stop with make down; the data stay."""


def greeting(stack: Stack) -> str:
    secret = stack.cast.secret
    return GREETING.format(
        url=f"http://127.0.0.1:{stack.port}",
        demo=secret.demo_password,
        operator=secret.operator_password,
        victim=stack.pid("write-1"),
    )
