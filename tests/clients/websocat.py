"""Follows the stream with `websocat`, line by line. Run by scripts/clients."""

import os
import queue
import subprocess
import threading

from shared import PATIENCE, TOKEN, WS, Reader, append, check, cursor_of, json, main, truth

PROGRAM = os.environ["CLIENTS_WEBSOCAT"]
HEADER = ["--header=Authorization: Bearer " + TOKEN]


class Session:
    def __init__(self, query="", options=HEADER):
        command = [PROGRAM, "--text", "--exit-on-eof", "--buffer-size", str(1 << 20), "--close-status-code", "1000", *options, WS + query]
        self.program = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.lines = queue.Queue()
        threading.Thread(target=self.pump, daemon=True).start()
        self.stream = Reader(self.receive)

    def pump(self):
        for line in self.program.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def receive(self):
        line = self.lines.get(timeout=PATIENCE)
        if line is None:
            raise EOFError(self.program.stderr.read().decode().strip() or "the session has ended")
        return line

    def say(self, message):
        self.program.stdin.write(json.dumps(message).encode() + b"\n")
        self.program.stdin.flush()

    def leave(self):
        self.program.stdin.close()
        check("a clean end", self.program.wait(PATIENCE), 0)

    def drop(self):
        self.program.kill()
        self.program.wait()


def ended(query):
    """What the server says before it closes."""
    session = Session(query)
    said = session.stream.until("error")
    try:
        session.receive()
        raise AssertionError("more came after the error")
    except EOFError:
        session.drop()
    return said["code"]


def work():
    for options in (HEADER, ["--protocol=rowcast.v1, bearer." + TOKEN]):
        session = Session(options=options)
        session.stream.hello()
        session.leave()
    session = Session(options=[])
    session.say({"op": "auth", "token": TOKEN})
    session.stream.hello()
    session.leave()

    append(60, "websocat.backlog")
    expected = truth()
    session = Session("?cursor=earliest")
    stream = session.stream
    stream.hello()
    stream.until("live")
    check("the backlog", stream.take(len(expected)), expected)
    append(25, "websocat.live")
    expected = truth()
    check("backlog and live", stream.take(len(expected)), expected)
    session.say({"op": "subscribe", "cursor": "earliest", "type": "websocat.live"})
    while stream.read()["op"] != "hello":
        pass
    stream.events = []
    stream.forget()
    append(3, "websocat.other")
    append(2, "websocat.live")
    expected = truth(kind="websocat.live")
    check("the new subscription", stream.take(len(expected)), expected)
    session.leave()

    append(40, "websocat.resume")
    got, cursor = [], "earliest"
    for times in range(8):
        session = Session(f"?type=websocat.resume&cursor={cursor}")
        session.stream.hello()
        while len(session.stream.events) < 7:
            session.stream.read()
        session.drop()
        got += session.stream.events
        cursor = cursor_of(got[-1])
        append(5, "websocat.resume", begin=100 + 5 * times)
    expected = truth(kind="websocat.resume")
    session = Session(f"?type=websocat.resume&cursor={cursor}")
    session.stream.hello()
    got += session.stream.take(len(expected) - len(got))
    session.leave()
    check("what was resumed", got, expected)

    check("a bad cursor", ended("?cursor=nonsense"), "bad_request")
    check("a foreign cursor", ended("?cursor=1.00000000"), "cursor_invalid")
    version = subprocess.run([PROGRAM, "--version"], stdout=subprocess.PIPE, check=True).stdout.decode().split()[1]
    return f"websocat {version}: tokens, backlog, live, subscribe, 8 drops, heartbeats, refusals"


main("websocat", work)
os._exit(0)
