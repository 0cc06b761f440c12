"""Follows the stream with `curl -N`, as server-sent events. Run by scripts/clients."""

import os
import queue
import re
import subprocess
import threading

from shared import PATIENCE, TOKEN, URL, append, check, cursor_of, json, main, truth

STREAM = URL + "/v1/events/stream"
CURL = ["curl", "--silent", "--no-buffer", "--noproxy", "*", "--max-time", str(int(PATIENCE))]


def arguments(query, last=None):
    more = ["--header", "Last-Event-ID: " + last] if last else []
    return [*CURL, "--header", "Authorization: Bearer " + TOKEN, *more, STREAM + query]


class Stream:
    """What comes, taken apart as the specification of server-sent events says."""

    def __init__(self, query, last=None):
        self.curl = subprocess.Popen(arguments(query, last), stdout=subprocess.PIPE)
        self.lines = queue.Queue()
        threading.Thread(target=self.pump, daemon=True).start()
        self.id, self.last, self.events = None, 0, []

    def pump(self):
        for line in self.curl.stdout:
            # Half a line is what is left when the connection ends.
            if line.endswith(b"\n"):
                self.lines.put(line.decode().removesuffix("\n").removesuffix("\r"))
        self.lines.put(None)

    def read(self):
        """The next piece: what kind it is, and what the comment or the event is."""
        kind = data = comment = None
        while True:
            line = self.lines.get(timeout=PATIENCE)
            if line is None:
                raise AssertionError("the stream has ended")
            if line == "":
                break
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "":
                comment = value
            elif field == "id":
                self.id = value
            elif field == "event":
                kind = value
            elif field == "data":
                check("one line of data", data, None)
                data = value
        if data is None:
            return comment
        check("an event without a name of its own", kind, None)
        event = json.loads(data)
        check("the id is the cursor", self.id, cursor_of(event))
        check("the order", event["seq"] > self.last)
        self.last = event["seq"]
        self.events.append(event)
        return "event"

    def until(self, what):
        while self.read() != what:
            pass

    def take(self, many):
        while len(self.events) < many:
            self.read()
        self.until("heartbeat")
        check("no event more", len(self.events), many)
        return self.events

    def drop(self):
        self.curl.kill()
        self.curl.wait()


def status(query, last=None):
    """The status of an answer that must end by itself, and its code."""
    said = subprocess.run([*arguments(query, last), "--write-out", "\n%{http_code}"], stdout=subprocess.PIPE, check=True)
    body, _, code = said.stdout.decode().rpartition("\n")
    return int(code), json.loads(body)["code"]


def work():
    append(60, "curl.backlog")
    expected = truth()
    stream = Stream("?cursor=earliest")
    check("the first piece", stream.read(), "hello")
    stream.until("live")
    check("the backlog", stream.take(len(expected)), expected)
    append(25, "curl.live")
    expected = truth()
    check("backlog and live", stream.take(len(expected)), expected)
    append(5, "curl.other")
    stream.until("event")
    stream.drop()

    # Dropped again and again, and resumed as a browser does: the same address, and the last id.
    append(40, "curl.resume")
    got, last = [], None
    for times in range(8):
        stream = Stream("?type=curl.resume&cursor=earliest", last)
        while len(stream.events) < 7:
            stream.read()
        stream.drop()
        got += stream.events[:7]
        last = cursor_of(got[-1])
        append(5, "curl.resume", begin=100 + 5 * times)
    expected = truth(kind="curl.resume")
    stream = Stream("?type=curl.resume&cursor=earliest", last)
    got += stream.take(len(expected) - len(got))
    check("what was resumed", got, expected)
    # The id moves on past what is filtered out.
    before = stream.id
    append(3, "curl.other")
    moved = cursor_of(truth()[-1])
    while stream.id != moved:
        stream.until("heartbeat")
    check("the id moved", before != moved)
    stream.drop()

    check("a bad cursor", status("?cursor=nonsense"), (400, "bad_request"))
    check("a bad last id", status("", "nonsense"), (400, "bad_request"))
    check("a foreign cursor", status("?cursor=1.00000000"), (400, "cursor_invalid"))
    check("a foreign last id", status("", "1.00000000"), (400, "cursor_invalid"))
    version = subprocess.run(["curl", "--version"], stdout=subprocess.PIPE, check=True).stdout.decode()
    return f"curl {re.search(r'[0-9.]+', version)[0]} (SSE): backlog, live, 8 drops, heartbeats, refusals"


main("curl", work)
os._exit(0)
