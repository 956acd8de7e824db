"""A small Stripe on a port of its own, as its API reference describes it: it keeps answers under idempotency keys, also
a 500, and its ledger. What is to happen is said by the payment method."""

import json
import re
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

# Seconds, longer than the tests' patience.
SLOW = 1.0


class StripeDouble(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.kept: dict[str, tuple[int, dict]] = {}
        self.intents: dict[str, dict] = {}
        self.refunds: list[dict] = []
        self.requests: list[tuple[str, str, dict]] = []
        # What the next requests are answered instead: (status, document).
        self.instead: list[tuple[int, dict]] = []
        self.refund_status = "succeeded"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def charged(self) -> list[tuple[int, str]]:
        return [(one["amount"], one["currency"]) for one in self.intents.values() if one["status"] == "succeeded"]

    def forget_keys(self) -> None:
        """As Stripe does after a day."""
        self.kept.clear()


@contextmanager
def running():
    server = StripeDouble()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        return

    def do_GET(self):
        url = urlsplit(self.path)
        self._answer(url.path, {name: values[0] for name, values in parse_qs(url.query).items()})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
        self._answer(self.path, {name: values[0] for name, values in parse_qs(body).items()})

    def _answer(self, path: str, fields: dict) -> None:
        server, key = self.server, self.headers["Idempotency-Key"]
        server.requests.append((f"{self.command} {path}", key, fields))
        if server.instead:
            self._send(*server.instead.pop(0))
            return
        found = server.kept.get(key) or self._done(path, fields)
        if key:
            server.kept[key] = found
        token = fields.get("payment_method", "")
        if token == "pm_drops":
            self.close_connection = True
            return
        if token == "pm_slow":
            time.sleep(SLOW)
        self._send(*found)

    def _done(self, path: str, fields: dict) -> tuple[int, dict]:
        if self.command == "POST" and path == "/v1/payment_intents":
            return self._intent(fields)
        if self.command == "POST" and path == "/v1/refunds":
            return self._refund(fields)
        if path == "/v1/refunds":
            return 200, listed("/v1/refunds", [one for one in self.server.refunds if matches(one, fields)])
        if path == "/v1/payment_intents/search":
            wanted = re.fullmatch(r"metadata\['attempt'\]:'(.+)'", fields["query"])[1]
            found = [one for one in self.server.intents.values() if one["metadata"]["attempt"] == wanted]
            return 200, {"object": "search_result", "data": found, "has_more": False, "url": path}
        return 200, self.server.intents[path.rpartition("/")[2]]

    def _intent(self, fields: dict) -> tuple[int, dict]:
        token = fields["payment_method"]
        if token == "pm_unknown":
            return 400, problem("invalid_request_error", "resource_missing", f"No such PaymentMethod: '{token}'",
                                param="payment_method")  # fmt: skip
        if fields["currency"] == "xxx":
            return 400, problem(
                "invalid_request_error", "parameter_unknown", "Received unknown parameter", param="what"
            )
        declined = token == "pm_card_chargeDeclined"
        status = "requires_payment_method" if declined else "processing" if token == "pm_processing" else "succeeded"
        intent = {
            "id": f"pi_{len(self.server.intents):024}", "object": "payment_intent", "amount": int(fields["amount"]),
            "currency": fields["currency"], "status": status, "last_payment_error": None,
            "metadata": {"attempt": fields["metadata[attempt]"], "order": fields["metadata[order]"]},
        }  # fmt: skip
        self.server.intents[intent["id"]] = intent
        if declined:
            refused = problem("card_error", "card_declined", "Your card was declined.", decline_code="generic_decline")
            intent["last_payment_error"] = refused["error"]
            return 402, {"error": refused["error"] | {"payment_intent": intent}}
        if token == "pm_breaks":
            return 500, problem("api_error", None, "An unknown error occurred")
        return 200, intent

    def _refund(self, fields: dict) -> tuple[int, dict]:
        intent = fields["payment_intent"]
        if any(one["payment_intent"] == intent and one["status"] != "failed" for one in self.server.refunds):
            return 400, problem("invalid_request_error", "charge_already_refunded", "Charge has already been refunded.")
        refund = {
            "id": f"re_{len(self.server.refunds):024}", "object": "refund", "payment_intent": intent,
            "amount": self.server.intents[intent]["amount"], "status": self.server.refund_status,
        }  # fmt: skip
        self.server.refunds.append(refund)
        return 200, refund

    def _send(self, status: int, document: dict) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        # Who was asked too slowly is gone.
        with suppress(ConnectionError):
            self.wfile.write(body)


def matches(refund: dict, fields: dict) -> bool:
    return refund["payment_intent"] == fields["payment_intent"]


def listed(url: str, found: list[dict]) -> dict:
    return {"object": "list", "data": found, "has_more": False, "url": url}


def problem(kind: str, code: str | None, message: str, **more: str) -> dict:
    return {"error": {"type": kind, "code": code, "message": message, **more}}
