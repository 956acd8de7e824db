"""The load generator: wrk over a list of requests, and what it reports."""

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

UNITS = {"us": 1e-3, "ms": 1.0, "s": 1000.0, "m": 60_000.0}

# wrk's thread reads the file and goes round it. With a rate, requests start when they are due, whatever the answers
# take, as long as there are connections.
SCRIPT = """
local ffi = require("ffi")
ffi.cdef[[ typedef struct { long s; long ns; } moment; int clock_gettime(int clock, moment *now); ]]
local now = ffi.new("moment")
local function seconds()
  ffi.C.clock_gettime(1, now)
  return tonumber(now.s) + tonumber(now.ns) / 1e9
end

local requests, at, sent, started = {}, 0, 0, nil
function init(args)
  for line in io.lines(args[1]) do
    local method, path, token, key, body = line:match("^(%S+) (%S+) (%S*) (%S*) (.*)$")
    local headers = {}
    if key ~= "" then headers["Idempotency-Key"] = key end
    if token ~= "" then headers["Authorization"] = "Bearer " .. token end
    if body ~= "" then headers["Content-Type"] = "application/json" else body = nil end
    requests[#requests + 1] = wrk.format(method, path, headers, body)
  end
  at = tonumber(args[2])
  rate = tonumber(args[3])
  if rate > 0 then
    function delay()
      started = started or seconds()
      sent = sent + 1
      return math.max(0, 1000 * (started + sent / rate - seconds()))
    end
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
"""


@dataclass(frozen=True, slots=True)
class Request:
    """token: an access token, if any. key: an idempotency key, if any. body: JSON on one line, if any."""

    path: str
    method: str = "GET"
    token: str = ""
    body: str = ""
    key: str = ""

    def __str__(self):
        return f"{self.method} {self.path} {self.token} {self.key} {self.body}"


@dataclass(frozen=True)
class Measured:
    """rate: answers per second. p50, p99, mean: milliseconds. requests: how many were answered."""

    rate: float
    p50: float
    p99: float
    mean: float
    requests: int


def wrk(
    url: str,
    requests: Sequence[Request | str],
    *,
    connections: int,
    seconds: float,
    rate: float = 0,
    start: int | None = None,
) -> Measured:
    """Load `url` with one thread; stops the benchmark when any answer is not a 2xx.

    requests: a text is the path of a GET. rate: per second; 0 is as many as are answered. start: with which one.
    """
    lines = (str(Request(one) if isinstance(one, str) else one) for one in requests)
    start = connections * 997 % len(requests) if start is None else start
    with tempfile.TemporaryDirectory() as folder:
        script, listed = Path(folder, "requests.lua"), Path(folder, "requests.txt")
        script.write_text(SCRIPT)
        listed.write_text("\n".join(lines))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "30s"]
        command += ["-s", str(script), url, "--", str(listed), str(start), str(rate)]
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
