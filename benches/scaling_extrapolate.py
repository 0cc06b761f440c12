"""What the model says beyond what was measured: each server, Postgres and Redis on a machine of its own with two cores.

Clients of others' machines are not woken by the server, so that cost is left out. The network is not simulated: its megabits are counted.
"""

import math

from scaling_model import Shape

# A machine is full at this share of its two cores, and a link of a gigabit a second at this share of it: what is left is for bursts.
FULL_CORES, FULL_LINK = 0.7 * 2, 700.0
# Redis computes with one core.
FULL_REDIS = 0.7
# The sessions of a server: the setting's default, and what was measured.
MOST_SESSIONS = 10_000
# What TCP, IP and Ethernet add to a system call's bytes, for each segment that is not full.
OVERHEAD = 66
READERS, APPENDS = (10**4, 10**5, 10**6), (10**3, 10**4, 10**5)
# An append and a look of more events than this a second are multiplied from here, not simulated.
MOST_SIMULATED = 10**4


def alone(model, sessions, rate, matching=None, seconds=2.0):
    """One edge on a machine of its own."""
    return model.simulate(Shape(1, 1, sessions, rate, matching, at_edges=True, readers=0, shared=False, seconds=max(seconds, 100 / rate)))


def table_of_one(model, frame):
    print("\nOne edge with two cores of its own; each session takes everything.\n")
    print("| sessions | events/s | cores of the edge | insert to client p50, ms (after the commit) | Mbit/s out | memory, MB |\n|---|---|---|---|---|---|")
    for sessions in (1000, 5000, 10_000, 20_000):
        for rate in (1, 10, 100, 1000):
            said = alone(model, sessions, rate)
            print(f"| {sessions:,} | {rate:,} | {said['edge']:.2f} | {said['delay']:.1f} | {mbit(sessions * rate, frame):,.0f} | {said['edge_mb']:.0f} |")


def mbit(deliveries, frame):
    return deliveries * (frame + OVERHEAD) * 8 / 1e6


def postgres(model, rate):
    """Cores and statements a second of Postgres for one journal with one node, and the looks a second."""
    simulated = min(rate, MOST_SIMULATED)
    said = model.simulate(Shape(1, 1, 0, simulated, at_edges=True, readers=0, shared=False, seconds=2.0))
    idle = model.idle["commits"]
    # Beyond what is simulated, looks stay as they are and appends multiply.
    more = rate / simulated
    return said["postgres"] * more, (said["commits"] - idle) + (rate - simulated) + idle, said["looks"]


def redis_of(model, rate, edges, looks):
    """The share of Redis' core: what is written once for a look, and what each edge reads."""
    cost, batches = model.cost, min(looks, rate)
    write = batches * cost["redis_write"] + rate * cost["redis_entry"]
    return write + edges * (batches * cost["redis_read"] + rate * cost["redis_send"]) + model.idle["redis"] + edges * model.idle["redis_edge"]


def sessions_of_edge(model, rate, wanted, frame):
    """The sessions that one edge can have if each wants so many of these events a second: (sessions, its cores, its Mbit/s)."""
    # Each edge reads and renders every event, on one thread.
    if rate * model.cost["edge_event"] > FULL_REDIS:
        return None
    sessions = MOST_SESSIONS
    while sessions >= 100:
        link = mbit(sessions * min(wanted, rate), frame)
        if link <= FULL_LINK:
            cores = alone(model, sessions, rate, None if wanted >= rate else sessions * wanted / rate)["edge"]
            if cores <= FULL_CORES:
                return sessions, cores, link
        sessions = int(sessions * 0.7)
    return None


def table_of_readers(model, frame, entry):
    print("\nSo many readers, each with a filter that passes one event a second, and for comparison without filters.\n")
    print("| readers | appends/s | edges | cores of one | Mbit/s of one | Redis, share of its core | MB/s from Redis | Postgres, cores | statements/s | edges without filters |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    filtered = {rate: sessions_of_edge(model, rate, 1, frame) for rate in APPENDS}
    unfiltered = {rate: sessions_of_edge(model, rate, rate, frame) for rate in APPENDS}
    postgres_of = {rate: postgres(model, rate) for rate in APPENDS}
    for readers in READERS:
        for rate in APPENDS:
            cores, statements, looks = postgres_of[rate]
            found, everything = filtered[rate], unfiltered[rate]
            if not found:
                print(f"| {readers:,} | {rate:,} | one edge cannot read as many: several journals | | | | | {cores:.1f} | {statements:,.0f} | |")
                continue
            edges, of_one, link = math.ceil(readers / found[0]), *found[1:]
            without = f"{math.ceil(readers / everything[0]):,}" if everything else "none would do"
            share = redis_of(model, rate, edges, looks)
            print(f"| {readers:,} | {rate:,} | {edges:,} | {of_one:.2f} | {link:,.0f} | {share:.0%} | {edges * rate * entry / 1e6:,.0f} | {cores:.1f} | {statements:,.0f} | {without} |")


def table_of_redis(model, entry):
    print("\nThe edges that one Redis can feed, by its one core.\n")
    print("| events/s | edges at 70 % of a core | MB/s then |\n|---|---|---|")
    for rate in (100, 1000, 10_000):
        looks = postgres(model, rate)[2]
        one = redis_of(model, rate, 1, looks) - redis_of(model, rate, 0, looks)
        edges = max(0, int((FULL_REDIS - redis_of(model, rate, 0, looks)) / one))
        print(f"| {rate:,} | {edges:,} | {edges * rate * entry / 1e6:,.0f} |")


def tables(model):
    frame = max(point["frame_bytes"] or 0 for point in model.points.all.values())
    many = model.points["edges", 1, 4, 10, 1000]
    entry = many["redis_out"] / many["edges"] / many["events"]
    print(f"\nAn event is {frame} bytes to a client, and {entry:.0f} from Redis to an edge.")
    table_of_one(model, frame)
    table_of_redis(model, entry)
    table_of_readers(model, frame, entry)
