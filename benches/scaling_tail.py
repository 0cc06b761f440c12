"""The way of an event through the simulation before it comes to sessions: appends, looks of tails, the copy in Redis, edges.

A tail looks, hands out and rests as src/tail/pace.rs has it. A look finds what was drawn from the sequence, and who still writes; what is
decided when they have ended is handed out (src/tail/fence.rs).
"""

from collections import deque

# From the code: the rests of a tail with the bell hushed, what makes it hush and ring again, and the rests while a fence is closed.
BUSY_MIN, BUSY_MAX, QUICK_BELL, QUICK_BELLS, QUIET_POLLS = 0.003, 0.020, 0.005, 4, 20
CLOSED_MIN, CLOSED_MAX = 0.001, 0.025
# From the code: the transactions of a full look, and how often a hush is prolonged and the head is written down.
LOOK_STATEMENTS, PROLONG_EVERY, WRITE_EVERY = 4, 0.25, 1.0
# The timers of the runtime count whole milliseconds: a rest is this much longer on average.
TIMER = 0.001


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
        self.drawn, self.left, self.rest_of_turn = 0, [], 0.0

    def ring(self):
        self.bell = True
        # The session that listens is woken within a transaction of its own.
        self.world.commits += 1
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
        # Half of what a turn costs the node comes after its events are handed out: the status, the hush, the head that is written down.
        cores.work(self.name, cost[what + "_node"] / 2, cores.work, "postgres " + self.name, cost[what], then)
        self.rest_of_turn += cost[what + "_node"] / 2

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
        seconds, self.rest_of_turn = self.rest_of_turn, 0.0
        self.world.cores.work(self.name, seconds, self.ended)

    def ended(self):
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
    """Copies what its node has handed out into Redis, one write at a time: first the events, then a report of where the head is. Edges are
    told by each write. The constants are those of both writes together, and half of each is paid after the events have gone on: the report,
    trimming, what is counted and freed."""

    def __init__(self, world, edges):
        self.world, self.edges, self.waiting, self.busy = world, edges, [], False

    def copy(self, events):
        self.waiting += events
        if not self.busy:
            self.write()

    def write(self):
        events, self.waiting, self.busy = self.waiting, [], True
        self.send(events, self.written)

    def send(self, events, then):
        cores, cost, count = self.world.cores, self.world.cost, len(events)
        redis = (cost["redis_write"] + count * cost["redis_entry"]) / 2
        cores.work("node 0", (cost["copy"] + count * cost["copy_entry"]) / 2, cores.work, "redis", redis, then, events)

    def written(self, events):
        for edge in self.edges:
            edge.arrive(events, 0)
        self.send(events, self.reported)

    def reported(self, events):
        for edge in self.edges:
            edge.arrive([], len(events))
        self.busy = False
        if self.waiting:
            self.write()


class Edge:
    """An edge: one blocking read at a time, of events or of a report, and its sessions."""

    def __init__(self, world, server):
        self.world, self.server, self.waiting, self.count, self.has_more, self.busy = world, server, [], 0, False, False

    def arrive(self, events, reported):
        """Takes events, or a report of so many."""
        self.waiting += events
        self.count += len(events) + reported
        self.has_more = True
        if not self.busy:
            self.read()

    def read(self):
        cores, cost, events = self.world.cores, self.world.cost, self.waiting
        seconds = (cost["edge_read"] + self.count * cost["edge_event"]) / 2
        redis = (cost["redis_read"] + self.count * cost["redis_send"]) / 2
        self.waiting, self.count, self.has_more, self.busy = [], 0, False, True
        cores.work("redis", redis, cores.work, self.server.process, seconds, self.arrived, events)

    def arrived(self, events):
        if events:
            self.world.clock.after(self.world.cost["edge_wait"], self.server.announce, events)
        self.busy = False
        if self.has_more:
            self.read()
