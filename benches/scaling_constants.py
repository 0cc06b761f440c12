"""The constants of the simulation, the point that each is taken from, and the other points against what is simulated."""

import statistics

from scaling_model import Shape, World

# What is compared, as (name, unit factor, smallest difference that counts). A hundredth of a core is a dozen looks of a tail more or
# less, and half a millisecond is one wake-up of a process that waits for a core: below them chance decides. An event comes to a session
# of a node through one process, and to that of an edge through three: the node, Redis, the edge.
MEASURES = dict(node=0.01, edge=0.01, postgres=0.01, redis=0.01, commits=2.0, looks=2.0, delay=0.5, node_mb=3.0, edge_mb=3.0)
LIMIT = 0.20
# A point at which the host or other programs took more than this of the processors in spite of all repetitions is shown and not judged.
STEAL, OTHERS = 0.05, 0.15
ROUNDS = 4
# Of a point so many events are simulated, but no less than the seconds.
EVENTS, SECONDS = 800, 2.0

# Where the search for a constant begins, in seconds, megabytes or numbers. What it ends at does not depend on it.
START = dict(
    append=1.2e-4, flush=3e-4, disk=3e-4, poll=5e-4, look=3e-4, turn_wait=1e-4, row_wait=8e-5, poll_node=1.3e-4, look_node=2e-4,
    event=5e-6, wake=8e-6, more=1e-6, reader=3e-5, copy=1e-4, copy_entry=1e-5, redis_write=5e-5, redis_entry=5e-6, redis_read=2e-5,
    redis_send=2e-6, edge_read=1e-4, edge_event=1e-5, edge_wait=1e-4, cold=1.8, cold_after=0.01)


def own(piece, nodes, edges, sessions, rate):
    return (piece, nodes, edges, sessions, rate)


# The point of each constant that is searched for, and what of it must come out as measured.
POINTS = [
    ("append", own("appends", 1, 0, 10, 3000), "postgres"),
    ("cold", own("appends", 0, 0, 0, 100), "postgres"),
    ("look", own("appends", 2, 0, 10, 1000), "postgres"),
    ("poll", own("appends", 1, 0, 10, 100), "postgres"),
    ("flush", own("appends", 0, 0, 0, 1000), "postgres"),
    ("row_wait", own("appends", 1, 0, 10, 3000), "delay"),
    ("disk", own("appends", 0, 0, 0, 1000), "insert_ms"),
    ("turn_wait", own("appends", 1, 0, 10, 100), "looks"),
    ("look_node", own("appends", 2, 0, 10, 1000), "node"),
    ("poll_node", own("appends", 1, 0, 10, 100), "node"),
    ("event", own("appends", 1, 0, 10, 3000), "node"),
    ("reader", own("appends", 1, 0, 10, 20), "node"),
    ("wake", own("node", 1, 0, 2000, 5), "node"),
    ("more", own("batches", 1, 0, 100, 1000), "node"),
    ("copy", own("edges", 1, 1, 10, 20), "node"),
    ("redis_write", own("edges", 1, 1, 10, 20), "redis"),
    ("redis_read", own("edges", 1, 4, 10, 20), "redis"),
    ("edge_read", own("edges", 1, 1, 10, 20), "edge"),
    ("edge_wait", own("edges", 1, 1, 10, 20), "delay"),
    ("copy_entry", own("edges", 1, 1, 10, 1000), "node"),
    ("redis_entry", own("edges", 1, 1, 10, 1000), "redis"),
    ("redis_send", own("edges", 1, 4, 10, 1000), "redis"),
    ("edge_event", own("edges", 1, 1, 10, 1000), "edge"),
]
# The idle points that give what is taken while nothing happens.
IDLE_NODE, IDLE_SESSIONS = own("appends", 1, 0, 10, 0), own("node", 1, 0, 10000, 0)
IDLE_EDGE, IDLE_EDGES = own("edges", 1, 1, 10, 0), own("edges", 1, 4, 10, 0)


# What the model is known to get wrong, and is shown as such: six events of a batch take longer on their way through one edge than measured.
KNOWN = {(own("edges", 1, 1, 10, 1000), "delay")}


class Points:
    """The measured points, by piece and shape."""

    def __init__(self, pieces):
        self.all = {}
        for piece, points in pieces.items():
            for point in points:
                delay = point["p50_ms"] - point["insert_ms"] if point["p50_ms"] and point["insert_ms"] else None
                name = (*own(piece, point["nodes"], point["edges"], point["sessions"], point["rate"]), *(["symbol"] * point["one_symbol"]))
                self.all[name] = dict(point, delay=delay)

    def __getitem__(self, name):
        return self.all[name]


def shape_of(point, events=EVENTS):
    seconds = max(SECONDS, events / point["events"]) if point["events"] else SECONDS
    return Shape(point["nodes"], point["edges"], point["sessions"], point["events"], 1.0 if point["one_symbol"] else None,
                 point["at"] == "edge", point["load"], seconds=seconds)


class Model:
    """The constants, and what comes out of them."""

    def __init__(self, points):
        self.points, self.cost, self.slopes = points, dict(START), {}
        self.idle = self.idle_constants()
        for number in range(ROUNDS):
            for constant, name, measure in POINTS:
                self.search(constant, points[name], measure, 0.5 if number < ROUNDS - 2 else 0.25)

    def idle_constants(self):
        node, many, edge, edges = (self.points[name] for name in (IDLE_NODE, IDLE_SESSIONS, IDLE_EDGE, IDLE_EDGES))
        few = self.points[own("node", 1, 0, 10, 0)]
        more = many["sessions"] - few["sessions"]
        return dict(
            node=node["node"], postgres=node["postgres"], commits=node["commits"], looks=node["looks"], session=(many["node"] - few["node"]) / more,
            session_mb=(many["node_mb"] - few["node_mb"]) / more, node_mb=node["node_mb"], edge_mb=edge["edge_mb"], edge=edge["edge"],
            copying=edge["node"] - node["node"], redis_edge=(edges["redis"] - edge["redis"]) / 3,
            redis=edge["redis"] - (edges["redis"] - edge["redis"]) / 3)

    def search(self, constant, point, measure, furthest):
        """Moves a constant towards where its own point comes out as measured."""
        now = self.cost[constant]
        found, step = self.simulate(shape_of(point))[measure], max(now * 0.2, 1e-7)
        self.cost[constant] = now + step
        slope = (self.simulate(shape_of(point))[measure] - found) / step
        moved = now + (point[measure] - found) / slope if slope else now
        self.cost[constant] = min(max(moved, now * (1 - furthest)), now * (1 + furthest))

    def simulate(self, shape):
        """What the model says of a shape: shares of a core, transactions and looks a second, milliseconds, megabytes."""
        idle, nodes, edges = self.idle, shape.nodes, shape.edges
        here = 0 if shape.at_edges else shape.sessions
        world = World(self.cost, shape) if shape.rate else None
        said = {part: world.share(part) if world else 0.0 for part in ("node", "edge", "postgres", "redis")}
        said["node"] += nodes * idle["node"] + here * idle["session"] + (idle["copying"] if edges else 0)
        said["edge"] += edges * idle["edge"] + (shape.sessions - here) * idle["session"]
        said["postgres"] += nodes * idle["postgres"]
        said["redis"] += idle["redis"] + edges * idle["redis_edge"] if edges else 0.0
        said["commits"] = nodes * idle["commits"] + (world.a_second(world.commits) if world else 0)
        # A tail without events is not simulated: its look each second is a part of what is idle.
        said["looks"] = world.a_second(world.looks) if world else nodes * idle["looks"]
        said["delay"] = statistics.median(world.delays) * 1000 if world and world.delays else None
        said["insert_ms"] = statistics.median(world.journal.inserts) * 1000 if world else None
        said["node_mb"] = idle["node_mb"] + here * idle["session_mb"] if nodes else None
        said["edge_mb"] = idle["edge_mb"] + (shape.sessions - here) / edges * idle["session_mb"] if edges else None
        return said


def differences(points, model):
    """Yields (point's name, measure, measured, simulated, relative difference, what is to be said of it)."""
    used = {(name, measure) for _, name, measure in POINTS}
    used |= {(IDLE_NODE, m) for m in ("node", "postgres", "commits", "looks", "node_mb")} | {(IDLE_SESSIONS, m) for m in ("node", "node_mb")}
    used |= {(IDLE_EDGE, m) for m in ("edge", "edge_mb", "node", "redis")} | {(IDLE_EDGES, "redis")}
    for name, point in points.all.items():
        said = model.simulate(shape_of(point, 2 * EVENTS))
        for measure, floor in MEASURES.items():
            measured, simulated = point.get(measure), said[measure]
            if measured is None or simulated is None or (measure in ("node", "node_mb") and not point["nodes"]) \
                    or (measure in ("edge", "edge_mb", "redis") and not point["edges"]):
                continue
            # The memory of a server that has handed out many events is mostly that of its hot events, which have a limit of their own.
            if measure in ("node_mb", "edge_mb") and point["rate"]:
                continue
            off, floor = abs(simulated - measured), floor * (3 if measure == "delay" and point["at"] == "edge" else 1)
            is_off = off > floor and off > LIMIT * measured
            is_noisy = point["steal"] > STEAL or point["others"] > OTHERS
            verdict = "gives a constant" if (name, measure) in used else "not quiet" if is_noisy else "" if not is_off \
                else "known to be off" if (name, measure) in KNOWN else "OFF"
            yield name, measure, measured, simulated, (simulated - measured) / measured if measured else 0.0, verdict
