"""What the clients in Python share: appending, the truth over plain HTTP, and a reader that believes nothing."""

import json
import os
import sys
import urllib.request

URL = os.environ["CLIENTS_URL"]
WS = URL.replace("http", "ws", 1) + "/ws"
TOKEN = os.environ["CLIENTS_TOKEN"]
# Beyond it something that should have come is missing.
PATIENCE = 20.0
# No proxy: the server is on this machine.
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def request(path, body=None):
    headers = {"Authorization": "Bearer " + TOKEN}
    if body is not None:
        headers["Content-Type"] = "application/json"
        body = json.dumps(body).encode()
    with HTTP.open(urllib.request.Request(URL + path, data=body, headers=headers), timeout=PATIENCE) as answer:
        return json.load(answer)


# The newest event that was appended here.
newest = 0


def append(many, kind, begin=0):
    """So many events, five in a transaction; every seventh is long and in several scripts."""
    global newest
    for first in range(begin, begin + many, 5):
        events = []
        for n in range(first, min(first + 5, begin + many)):
            text = "žluťoučký 🐎 \u2028\"\\" + "…" * 20_000 if n % 7 == 3 else "x"
            events.append({"type": kind, "payload": {"n": n, "text": text}})
        newest = request("/v1/events", events)[-1]["seq"]


def truth(kind=None):
    """All events, page by page. What was appended is asked for until the stream has come to it."""
    found, cursor = [], "earliest"
    while True:
        page = request(f"/v1/events?limit=1000&cursor={cursor}" + (f"&type={kind}" if kind else ""))
        found += page["events"]
        cursor = page["cursor"]
        if not page["more"] and page["head"] >= newest:
            return found


def cursor_of(event):
    return f"{event['seq']}.{event['id'][-8:]}"


def check(what, found, expected=True):
    if found != expected:
        raise AssertionError(f"{what}: {str(found)[:400]} instead of {str(expected)[:400]}")


class Reader:
    """Reads one session: events in order, and the count and sum that every heartbeat states.

    `receive` gives the next text, or raises.
    """

    def __init__(self, receive):
        self.receive = receive
        self.events = []
        self.forget()

    def forget(self):
        self.count = self.sum = self.last = 0
        self.beats = 0

    def read(self):
        said = json.loads(self.receive())
        if said["op"] == "auth_required":
            # No token came with the upgrade; it comes as a message.
            said = json.loads(self.receive())
        if said["op"] == "event":
            seq = said["event"]["seq"]
            check("the order", seq > self.last)
            self.last = seq
            self.count += 1
            self.sum = (self.sum + seq) % 2**32
            self.events.append(said["event"])
        elif said["op"] == "heartbeat":
            check("events and check", (said["events"], said["check"]), (self.count, self.sum))
            check("nothing holds the stream back", said["stalled"], None)
            self.beats += 1
        return said

    def until(self, op):
        """The next of this kind; only what the stream itself says may come before it."""
        while True:
            said = self.read()
            if said["op"] == op:
                return said
            if said["op"] not in ("event", "heartbeat", "live"):
                raise AssertionError(f"{op} was expected, and {said} came")

    def hello(self):
        said = self.read()
        check("the first frame", (said["op"], said["view"]), ("hello", "private"))
        self.forget()
        return said

    def take(self, many):
        """Until so many events have come in all, and a heartbeat has confirmed them."""
        while len(self.events) < many:
            self.read()
        self.until("heartbeat")
        check("no event more", len(self.events), many)
        return self.events


def main(name, work):
    try:
        said = work()
    except Exception as why:  # noqa: BLE001 - one line says what is wrong, whatever it is
        print(f"FAILED  {name}: {type(why).__name__}: {why}")
        sys.exit(1)
    print(f"ok  {said}")
