"""Clients of a server that cost as little as Python can: a process that keeps many WebSockets open.

A few of them, spread over all, are read at once and look when the event was written. The others are emptied now and then, a few at a
time, and nothing of theirs is parsed: so the server pays for what it sends, and hardly anybody for what arrives.
"""

import calendar
import multiprocessing
import select
import socket
import time

SAMPLES = 16
# How many connections are being made at one time, and how many are emptied between two looks at the samples.
CONNECTS, SLICE = 64, 40
# A socket is emptied before so many bytes lie in it, and at least so often (seconds).
ROOM, LONGEST = 40_000, 0.5
# A server closes who shows no sign of life for two heartbeats of 15 seconds.
SIGN_EVERY = 8
PONG = bytes([0x8A, 0x80, 0, 0, 0, 0])
REQUEST = ("GET /ws{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {token}\r\n\r\n")


class Clients:
    """The clients, from outside: each call is a message to the process and waits for its answer."""

    def __init__(self, token):
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=lambda: _Loop(theirs, token).run(), daemon=True)
        self.process.start()

    def ask(self, *message):
        self.pipe.send(message)
        if not self.pipe.poll(180):
            raise SystemExit("the clients do not answer")
        answer = self.pipe.recv()
        if isinstance(answer, str):
            raise SystemExit(answer)
        return answer

    def grow(self, ports, count, by_symbol=False):
        """Opens clients until there are so many, by turns at these ports; each of one symbol, or of everything."""
        return self.ask("grow", ports, count, by_symbol)

    def close_all(self):
        return self.ask("close")

    def expect(self, bytes_a_second):
        """Says how much each client will be sent, which decides how often it is emptied."""
        return self.ask("expect", bytes_a_second)

    def take_delays(self):
        """The delays of the samples since the last call, in seconds, and the bytes of an event's frame."""
        return self.ask("delays")

    def end(self):
        self.pipe.send(("stop",))
        self.process.join(10)


class _Loop:
    def __init__(self, pipe, token):
        self.pipe, self.token = pipe, token
        self.open, self.crowd, self.samples = 0, [], {}
        self.delays, self.frame, self.second = [], 0, ("", 0)
        self.buffer = bytearray(1 << 18)
        self.epoll = select.epoll()
        self.epoll.register(pipe.fileno(), select.EPOLLIN)
        self.period, self.at, self.next_slice, self.signed = LONGEST, 0, 0.0, time.monotonic()

    def run(self):
        while True:
            wait = max(0.0, self.next_slice - time.monotonic()) if self.crowd else 0.5
            for number, _ in self.epoll.poll(wait):
                if number != self.pipe.fileno():
                    self.read_sample(number)
                elif not self.obey():
                    return
            self.empty_a_slice()
            self.give_signs()

    def obey(self):
        what, *rest = self.pipe.recv()
        if what == "stop":
            return False
        try:
            self.pipe.send(getattr(self, "do_" + what)(*rest))
        except OSError as error:
            self.pipe.send(f"the clients: {error}")
        return True

    def do_expect(self, bytes_a_second):
        self.period = min(LONGEST, ROOM / max(bytes_a_second, 1))

    def do_delays(self):
        taken, self.delays = self.delays, []
        return taken, self.frame

    def do_close(self):
        for one in self.crowd + [sample for sample, _ in self.samples.values()]:
            one.close()
        self.open, self.crowd, self.samples = 0, [], {}

    def do_grow(self, ports, count, by_symbol):
        if count <= self.open:
            return self.open
        # Only the newest are samples. Those that were become part of the crowd.
        for sample, _ in self.samples.values():
            self.epoll.unregister(sample.fileno())
            self.crowd.append(sample)
        self.samples = {}
        every = max(1, (count - self.open) // SAMPLES)
        while self.open < count:
            begun = []
            for number in range(self.open, min(self.open + CONNECTS, count)):
                begun.append((number, self.begin(ports[number % len(ports)], f"?symbol=s{number}" if by_symbol else "")))
            for number, one in begun:
                self.finish(one)
                if number % every == 0 and len(self.samples) < 2 * SAMPLES:
                    self.samples[one.fileno()] = (one, bytearray())
                    self.epoll.register(one.fileno(), select.EPOLLIN)
                else:
                    self.crowd.append(one)
                self.open += 1
        return self.open

    def begin(self, port, query):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 17)
        one.settimeout(30)
        one.connect(("127.0.0.1", port))
        one.sendall(REQUEST.format(port=port, token=self.token, query=query).encode())
        return one

    @staticmethod
    def finish(one):
        head = one.recv(4096)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise OSError(head[:300].decode(errors="replace"))
        one.setblocking(False)

    def empty_a_slice(self):
        now = time.monotonic()
        if not self.crowd or now < self.next_slice:
            return
        for one in self.crowd[self.at:self.at + SLICE]:
            try:
                if not one.recv_into(self.buffer):
                    raise ConnectionError("the server has closed a client")
            except BlockingIOError:
                pass
        self.at += SLICE
        if self.at >= len(self.crowd):
            self.at = 0
        slices = -(-len(self.crowd) // SLICE)
        self.next_slice = max(self.next_slice + self.period / slices, now - self.period)

    def give_signs(self):
        now = time.monotonic()
        if now - self.signed < SIGN_EVERY:
            return
        self.signed = now
        for one in self.crowd + [sample for sample, _ in self.samples.values()]:
            one.send(PONG)

    def read_sample(self, number):
        one, rest = self.samples[number]
        try:
            rest += one.recv(1 << 16)
        except BlockingIOError:
            return
        arrived, begin = time.time(), 0
        while len(rest) >= begin + 2:
            first, length, head = rest[begin], rest[begin + 1] & 127, 2
            if length == 126:
                if len(rest) < begin + 4:
                    break
                length, head = int.from_bytes(rest[begin + 2:begin + 4], "big"), 4
            if length == 127 or len(rest) < begin + head + length:
                break
            self.take(one, first & 15, rest[begin + head:begin + head + length], arrived, head + length)
            begin += head + length
        del rest[:begin]

    def take(self, one, opcode, body, arrived, size):
        if opcode == 9:
            one.send(bytes([0x8A, 0x80 | len(body), 0, 0, 0, 0]) + body)
        elif opcode == 1 and body.startswith(b'{"op":"event"'):
            found = body.find(b'"at":"')
            at = body[found + 6:body.index(b'"', found + 6)].decode()
            if self.second[0] != at[:19]:
                self.second = (at[:19], calendar.timegm(time.strptime(at[:19], "%Y-%m-%dT%H:%M:%S")))
            self.delays.append(arrived - self.second[1] - float("0" + at[19:-1]))
            self.frame = size
