"""A discrete-event simulation of writers, Postgres, the tails of nodes, the copy in Redis, edges, and the sessions of one server.

Everything computes on a few cores that are shared: a piece of work waits in line for one. What a thread does one after the other it does
here too: a tail looks, hands out, rests (the pace is that of src/tail/pace.rs); an announcement that woke many readers holds the next one
back for 5 ms (src/session/announcer.rs); a session that waits for its turn takes with one system call all that was announced meanwhile.
"""

import heapq
import random
from collections import defaultdict, deque
from dataclasses import dataclass

# From the code: the rests of a tail with the bell hushed, what makes it hush and ring again, the gathering of announcements, and the
# longest wait between two reports of a relay.
BUSY_MIN, BUSY_MAX, QUICK_BELL, QUICK_BELLS, QUIET_POLLS = 0.003, 0.020, 0.005, 4, 20
CLOSED_MIN, CLOSED_MAX = 0.001, 0.025
GATHER, GATHER_READERS = 0.005, 64
# From the code: the transactions of a full look, and of the other statements of a tail.
LOOK_STATEMENTS, PROLONG_EVERY, WRITE_EVERY = 4, 0.25, 1.0
# Sessions are simulated in so many groups; a group is one piece of work of one thread.
GROUPS = 50
WARM_AFTER = 0.0005
# The timers of the runtime count whole milliseconds: a rest is this much longer on average.
TIMER = 0.001


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

    A process that has rested finds cold caches and a halted core: its next piece of work takes longer, the more the longer it rested,
    but only in its first WARM_AFTER seconds."""

    def __init__(self, clock, shape, cost):
        self.clock, self.shared, self.spent, self.ended = clock, shape.shared, {}, {}
        self.free, self.lines = defaultdict(lambda: shape.cores), defaultdict(deque)
        self.cold, self.cold_after = cost["cold"], cost["cold_after"]

    def machine(self, process):
        """All processes share one, or each has its own. The processes of Postgres share one in any case."""
        return "all" if self.shared else "postgres" if process.startswith("postgres") else process

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
            seconds += min(seconds, WARM_AFTER) * self.cold * rested / (rested + self.cold_after)
        part = process.split()[0]
        self.spent[part] = self.spent.get(part, 0.0) + seconds
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
            for group in self.pending:
                if not group:
                    self.line.append((self.size, group))
                group += events
        else:
            counts = [int(matching + self.world.random.random()) for _ in events]
            self.woken = sum(counts)
            self.line.extend((count, [event]) for count, event in zip(counts, events) if count)
        self.take_turns()

    def take_turns(self):
        while self.threads and self.line:
            self.threads -= 1
            size, group = self.line.popleft()
            events, shape, cost = list(group), self.world.shape, self.world.cost
            group.clear()
            # The clients that read at once live on the same machine, and waking one is charged to who sends.
            readers = size * min(1.0, shape.readers / self.sessions)
            seconds = size * (cost["wake"] + (len(events) - 1) * cost["more"]) + readers * cost["reader"]
            self.world.cores.work(self.process, seconds, self.sent, events)

    def sent(self, events):
        self.threads += 1
        if self.process.startswith(self.world.sampled):
            self.world.delays += [self.world.clock.now - born for born in events]
        self.take_turns()


class Journal:
    """Appends: each is in flight from its number to its commit, and commits wait for one flush of the log after the other. While a flush
    is on its way the next commits gather and share one, except while bells ring: NOTIFY lets one transaction commit at a time."""

    def __init__(self, world):
        self.world, self.in_flight, self.drawn, self.hushed_by, self.tails = world, set(), 0, None, []
        self.committed, self.to_flush, self.flushing, self.inserts = [], deque(), False, []

    def expect(self, rate, seconds):
        """Appends by chance, but as many as the rate says."""
        for at in [self.world.random.uniform(0.0, seconds) for _ in range(round(rate * seconds))]:
            self.world.clock.after(at, self.append)

    def append(self):
        world = self.world
        self.drawn += 1
        self.in_flight.add(self.drawn)
        world.cores.work("postgres append", world.cost["append"], self.inserted, self.drawn, world.clock.now)

    def inserted(self, number, began):
        self.to_flush.append((number, began))
        if not self.flushing:
            self.flush()

    def flush(self):
        count = len(self.to_flush) if self.hushed_by else 1
        batch = [self.to_flush.popleft() for _ in range(count)]
        self.flushing = True
        self.world.cores.work("postgres flush", self.world.cost["flush"], self.world.clock.after, self.world.cost["disk"], self.flushed, batch)

    def flushed(self, batch):
        self.flushing = False
        for number, began in batch:
            self.in_flight.discard(number)
            self.committed.append((number, self.world.clock.now))
            self.inserts.append(self.world.clock.now - began)
            self.world.commits += 1
        if not self.hushed_by:
            for tail in self.tails:
                tail.ring()
        if self.to_flush:
            self.flush()

    def take(self, tail, decided):
        """The times of the commits up to a decided number that this tail has not handed out yet."""
        new = tail.left + self.committed[tail.read:]
        tail.read = len(self.committed)
        tail.left = [pair for pair in new if pair[0] > decided]
        return [born for number, born in new if number <= decided]


class Tail:
    """The tail of a node: bells, looks, fences, the hush, and the rest between looks."""

    def __init__(self, world, name, server, relay=None):
        self.world, self.name, self.server, self.relay = world, name, server, relay
        self.bell, self.turning, self.generation = False, False, 0
        self.read, self.fences, self.quick, self.quiet, self.closed = 0, deque(), 0, 0, CLOSED_MIN
        self.last_end, self.prolonged, self.written, self.began = -1.0, 0.0, -1.0, 0.0
        self.drawn, self.left = 0, []

    def ring(self):
        self.bell = True
        if not self.turning and self.world.journal.hushed_by is not self:
            self.turn()

    def wake(self, generation):
        if generation == self.generation and not self.turning:
            self.turn()

    def turn(self):
        world, journal = self.world, self.world.journal
        self.turning, self.generation, self.began = True, self.generation + 1, world.clock.now
        owed = self.bell or self.fences
        if self.bell:
            self.quick = self.quick + 1 if world.clock.now - self.last_end < QUICK_BELL else 0
            self.bell = False
        world.looks += 1
        if owed:
            self.look()
        else:
            world.commits += 1
            self.statements("poll", self.polled)

    def statements(self, what, then):
        cores, cost = self.world.cores, self.world.cost
        cores.work(self.name, cost[what + "_node"], cores.work, "postgres " + self.name, cost[what], then)

    def polled(self):
        self.world.clock.after(self.world.cost["turn_wait"], self.after_poll)

    def after_poll(self):
        if self.world.journal.drawn > self.drawn:
            self.look()
        else:
            self.quiet += 1
            self.closed = CLOSED_MIN
            self.end()

    def look(self):
        world = self.world
        world.commits += LOOK_STATEMENTS
        self.statements("look", self.looked)

    def looked(self):
        # The rows that were visible when the statements ran, and those who still wrote then.
        journal = self.world.journal
        wait = self.world.cost["turn_wait"] + self.world.cost["row_wait"] * (journal.drawn - self.drawn)
        moved = journal.drawn > self.drawn
        self.drawn = journal.drawn
        self.fences.append((self.drawn, frozenset(journal.in_flight)))
        decided = 0
        while self.fences and not (self.fences[0][1] & journal.in_flight):
            decided = self.fences.popleft()[0]
        self.quiet = 0 if moved else self.quiet + 1
        self.closed = CLOSED_MIN if decided else min(CLOSED_MAX, max(CLOSED_MIN, 2 * self.closed))
        self.world.clock.after(wait, self.hand_out, decided)

    def hand_out(self, decided):
        world = self.world
        events = world.journal.take(self, decided)
        if events:
            world.cores.work(self.name, len(events) * world.cost["event"], self.handed_out, events)
        else:
            self.end()

    def handed_out(self, events):
        world = self.world
        self.server.announce(events)
        if self.relay:
            self.relay.copy(events)
        if world.journal.hushed_by is self:
            # With the bell hushed this node rings for the others, with a statement of its own. A look is four statements.
            world.commits += 1
            cost = world.cost["look"] / LOOK_STATEMENTS
            world.cores.work("postgres " + self.name, cost, world.clock.after, world.cost["turn_wait"], self.rung)
        else:
            self.end()

    def rung(self):
        for tail in self.world.journal.tails:
            if tail is not self:
                tail.ring()
        self.end()

    def end(self):
        world, now = self.world, self.world.clock.now
        journal = world.journal
        if journal.hushed_by is None and self.quick >= QUICK_BELLS:
            journal.hushed_by, self.quick, self.quiet, self.prolonged = self, 0, 0, now
            world.commits += 1
        elif journal.hushed_by is self and now - self.prolonged >= PROLONG_EVERY:
            self.prolonged = now
            world.commits += 1
        if journal.hushed_by is self and self.quiet >= QUIET_POLLS:
            journal.hushed_by, self.quick, self.bell = None, 0, True
            world.commits += 1
        if now - self.written >= WRITE_EVERY and self.drawn:
            self.written = now
            world.commits += 1
        self.last_end, self.turning = now, False
        if journal.hushed_by is self:
            rest = min(BUSY_MAX, max(BUSY_MIN, now - self.began))
        elif self.fences:
            rest = self.closed
        else:
            rest = 1.0
        if self.bell and journal.hushed_by is not self:
            rest = 0.0
        rest = rest and rest + TIMER
        world.clock.after(rest, self.wake, self.generation)


class Relay:
    """Copies what its node has handed out into Redis, one write at a time; edges are told by each write."""

    def __init__(self, world, edges):
        self.world, self.edges, self.waiting, self.busy = world, edges, [], False

    def copy(self, events):
        self.waiting += events
        if not self.busy:
            self.write()

    def write(self):
        world, events = self.world, self.waiting
        self.waiting, self.busy = [], True
        world.writes += 1
        cost = world.cost["redis_write"] + len(events) * world.cost["redis_entry"]
        world.cores.work("node 0", world.cost["copy"] + len(events) * world.cost["copy_entry"], world.cores.work, "redis", cost, self.written, events)

    def written(self, events):
        for edge in self.edges:
            edge.arrive(events)
        self.busy = False
        if self.waiting:
            self.write()


class Edge:
    """An edge: one blocking read at a time, and its sessions."""

    def __init__(self, world, server):
        self.world, self.server, self.waiting, self.busy = world, server, [], False

    def arrive(self, events):
        self.waiting += events
        if not self.busy:
            self.read()

    def read(self):
        world, events = self.world, self.waiting
        self.waiting, self.busy = [], True
        cost = world.cost["redis_read"] + len(events) * world.cost["redis_send"]
        world.cores.work("redis", cost, world.cores.work, self.server.process,
                         world.cost["edge_read"] + len(events) * world.cost["edge_event"], self.arrived, events)

    def arrived(self, events):
        self.world.clock.after(self.world.cost["edge_wait"], self.server.announce, events)
        self.busy = False
        if self.waiting:
            self.read()


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
