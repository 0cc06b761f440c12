"""A discrete-event simulation of writers, Postgres, the tails of nodes, the copy in Redis, edges, and the sessions of one server.

Everything computes on a few cores that are shared: a piece of work waits in line for one. What a thread does one after the other it does
here too: a tail looks, hands out, rests (the pace is that of src/tail/pace.rs); an announcement that woke many readers holds the next one
back for 5 ms (src/session/announcer.rs); a session that waits for its turn takes with one system call all that was announced meanwhile.
"""

import heapq
import random
from collections import defaultdict, deque
from dataclasses import dataclass

from scaling_tail import TIMER, Edge, Journal, Relay, Tail

# From the code: the gathering of announcements that wake many readers.
GATHER, GATHER_READERS = 0.005, 64
# Sessions are simulated in so many groups; a group is one piece of work of one thread.
GROUPS = 50
# A session of many of which each follows something else has always rested.
ONCE = " once"


@dataclass(frozen=True)
class Shape:
    """What is simulated: so many nodes, edges and sessions, and events a second."""
    nodes: int
    edges: int
    sessions: int
    rate: float
    # The sessions of one server that an event wakes; None for all of them.
    matching: float | None = None
    at_edges: bool = False
    # The share of a core that the clients and writers of the measurement took, which is no part of the system.
    load: float = 0.0
    # The clients of the measurement that read at once, on the machine of the server; the others are emptied now and then.
    readers: int = 16
    # The cores of the one machine that all share, or of a machine for each process.
    cores: int = 2
    shared: bool = True
    # Seconds to simulate.
    seconds: float = 8.0


class Clock:
    def __init__(self):
        self.now, self.number, self.queue = 0.0, 0, []

    def after(self, seconds, do, *args):
        self.number += 1
        heapq.heappush(self.queue, (self.now + seconds, self.number, do, args))

    def run(self, until):
        while self.queue and self.queue[0][0] < until:
            self.now, _, do, args = heapq.heappop(self.queue)
            do(*args)


class Cores:
    """Pieces of work in line for a few cores. Each is charged to a process; the first word of its name is the part of the table.

    Who has rested finds cold caches and a halted core: the next piece of work takes longer, the more the longer the rest. The first two
    words of a name are the process, and the whole name is whose rest counts: of a server each group of sessions has its own."""

    def __init__(self, clock, shape, cost):
        self.clock, self.shared, self.spent, self.ended = clock, shape.shared, {}, {}
        self.free, self.lines = defaultdict(lambda: shape.cores), defaultdict(deque)
        self.cold, self.cold_after = cost["cold"], cost["cold_after"]

    def machine(self, process):
        """All processes share one, or each has its own. The processes of Postgres share one in any case."""
        return "all" if self.shared else "postgres" if process.startswith("postgres") else " ".join(process.split()[:2])

    def work(self, process, seconds, do, *args):
        machine = self.machine(process)
        if self.free[machine]:
            self.free[machine] -= 1
            self.start(process, seconds, do, args)
        else:
            self.lines[machine].append((process, seconds, do, args))

    def start(self, process, seconds, do, args):
        rested = self.clock.now - self.ended.get(process, -1.0)
        if process != "load" and rested > 0:
            seconds *= 1 + self.cold * rested / (rested + self.cold_after)
        part = process.split()[0]
        self.spent[part] = self.spent.get(part, 0.0) + seconds
        if not process.endswith(ONCE):
            self.ended[process] = self.clock.now + seconds
        self.clock.after(seconds, self.finish, self.machine(process), do, args)

    def finish(self, machine, do, args):
        if self.lines[machine]:
            self.start(*self.lines[machine].popleft())
        else:
            self.free[machine] += 1
        do(*args)


class Server:
    """The sessions of one process: groups that take turns on as many threads as there are cores."""

    def __init__(self, world, process, sessions):
        self.world, self.process, self.sessions = world, process, sessions
        count = max(1, min(GROUPS, sessions))
        self.size = sessions / count
        self.pending = [[] for _ in range(count)]
        self.line, self.threads = deque(), world.shape.cores
        self.announced_at, self.woken, self.gathering, self.gathered = -1.0, 0, False, []

    def announce(self, events):
        """Hands out events, now or when the last announcement is old enough."""
        self.gathered += events
        if self.gathering:
            return
        wait = self.announced_at + GATHER - self.world.clock.now
        if self.woken >= GATHER_READERS and wait > 0:
            self.gathering = True
            self.world.clock.after(wait + TIMER, self.announce_now)
        else:
            self.announce_now()

    def announce_now(self):
        events, self.gathered, self.gathering = self.gathered, [], False
        self.announced_at = self.world.clock.now
        if not self.sessions:
            return
        matching = self.world.shape.matching
        if matching is None:
            self.woken = self.sessions
            for number, group in enumerate(self.pending):
                if not group:
                    self.line.append((f"{self.process} {number}", self.size, group))
                group += events
        else:
            counts = [int(matching + self.world.random.random()) for _ in events]
            self.woken = sum(counts)
            self.line.extend((self.process + ONCE, count, [event]) for count, event in zip(counts, events) if count)
        self.take_turns()

    def take_turns(self):
        while self.threads and self.line:
            self.threads -= 1
            name, size, group = self.line.popleft()
            events, shape, cost = list(group), self.world.shape, self.world.cost
            group.clear()
            # The clients that read at once live on the same machine, and waking one is charged to who sends.
            readers = size * min(1.0, shape.readers / self.sessions)
            seconds = size * (cost["wake"] + (len(events) - 1) * cost["more"]) + readers * cost["reader"]
            self.world.cores.work(name, seconds, self.sent, events)

    def sent(self, events):
        self.threads += 1
        if self.process.startswith(self.world.sampled):
            self.world.delays += [self.world.clock.now - born for born in events]
        self.take_turns()


class World:
    """One shape with these costs, simulated when it is made."""

    def __init__(self, cost, shape, seed=7):
        self.cost, self.shape, self.random = cost, shape, random.Random(seed)
        self.clock = Clock()
        self.cores = Cores(self.clock, shape, cost)
        self.journal = Journal(self)
        self.delays, self.commits, self.looks, self.writes = [], 0, 0, 0
        self.sampled = "edge" if shape.at_edges else "node"
        for number in range(shape.nodes):
            here = 0 if shape.at_edges or number else shape.sessions
            edges = [Edge(self, Server(self, f"edge {each}", shape.sessions // shape.edges)) for each in range(shape.edges if number == 0 else 0)]
            relay = Relay(self, edges) if edges else None
            self.journal.tails.append(Tail(self, f"node {number}", Server(self, f"node {number}", here), relay))
        if shape.load:
            self.clock.after(0.0, self.take_load)
        self.journal.expect(shape.rate, shape.seconds)
        for tail in self.journal.tails:
            self.clock.after(0.0, tail.wake, tail.generation)
        self.clock.run(shape.seconds)

    def take_load(self):
        piece = 0.0002
        self.cores.work("load", piece, lambda: None)
        self.clock.after(self.random.expovariate(self.shape.load / piece), self.take_load)

    def share(self, part):
        """The share of a core that a part has taken."""
        return self.cores.spent.get(part, 0.0) / self.shape.seconds

    def a_second(self, count):
        return count / self.shape.seconds
