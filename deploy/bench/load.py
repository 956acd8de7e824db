"""The load generator: wrk over a list of paths, and what it reports."""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

UNITS = {"us": 1e-3, "ms": 1.0, "s": 1000.0, "m": 60_000.0}

# wrk's threads each read the file and go round it, starting apart.
SCRIPT = """
local paths, at = {}, 0
function init(args)
  for line in io.lines(args[1]) do paths[#paths + 1] = wrk.format("GET", line) end
  math.randomseed(tonumber(args[2]))
  at = math.random(#paths)
end
function request()
  at = at % #paths + 1
  return paths[at]
end
"""


@dataclass(frozen=True)
class Measured:
    """rate: answers per second. p50, p99, mean: milliseconds. requests: how many were answered."""

    rate: float
    p50: float
    p99: float
    mean: float
    requests: int


def wrk(url: str, paths: list[str], *, connections: int, seconds: float) -> Measured:
    """Load `url` with one thread; stops the benchmark when any answer is not a 2xx."""
    with tempfile.TemporaryDirectory() as folder:
        script, listed = Path(folder, "paths.lua"), Path(folder, "paths.txt")
        script.write_text(SCRIPT)
        listed.write_text("\n".join(paths))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "30s"]
        command += ["-s", str(script), url, "--", str(listed), str(connections)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    return parse(run.stdout + run.stderr)


def parse(report: str) -> Measured:
    if "Non-2xx" in report or "Socket errors" in report or "Requests/sec" not in report:
        raise SystemExit(report)
    return Measured(
        rate=float(re.search(r"Requests/sec:\s+([\d.]+)", report)[1]),
        p50=milliseconds(re.search(r"50%\s+([\d.]+)(\w+)", report)),
        p99=milliseconds(re.search(r"99%\s+([\d.]+)(\w+)", report)),
        mean=milliseconds(re.search(r"Latency\s+([\d.]+)(\w+)", report)),
        requests=int(re.search(r"(\d+) requests in", report)[1]),
    )


def milliseconds(found: re.Match) -> float:
    return float(found[1]) * UNITS[found[2]]
