#!/usr/bin/env python3
"""What a deployment costs: points that are measured, a simulation that has to reproduce them, and what it says beyond them.

    DATABASE_URL=postgres://… benches/scaling.py measure PROGRAM [PIECE…] [--into FILE]
    benches/scaling.py simulate [FILE]
    benches/scaling.py check [FILE]
    benches/scaling.py constants [FILE]

measure   PROGRAM is an optimised rowcast; DATABASE_URL names an empty database of a Postgres on this machine, whose processes may be looked
          at. psql, pgbench and redis-server must be installed. Servers, Redis, writers and clients are started here, listen on 127.0.0.1,
          and are stopped at the end. Pieces are appends, node, batches and edges, some three to five minutes each, and all without names.
          PIECE:2 is the second line of a piece. Prints the points as JSON, or keeps them in FILE, where a point replaces the one
          of its shape.
simulate  Takes each constant of the model from its own point, simulates all points, and prints the measured beside the simulated. Ends with 1
          if one that gave no constant is off by more than 20 % (and by more than the floor of its kind), and else prints what the
          model says of more readers and more appends. FILE is benches/scaling.json without a name.
check     Does the first half of simulate.
constants The constants, and the point of each.

Each point is a median of windows in which the host took at most 5 % of the processors and other programs a tenth of one; `steal` and
`others` of a point say what they took. Only Python's standard library is needed.
"""

import json
import os
import signal
import sys

sys.dont_write_bytecode = True

import scaling_constants
import scaling_extrapolate
import scaling_measure

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "scaling.json")
SHAPE = ("nodes", "edges", "one_symbol", "sessions", "rate")


def text_of(machine, pieces):
    """JSON with a line for each point."""
    listed = [f"  {json.dumps(name)}: [\n" + ",\n".join("    " + json.dumps(point) for point in points) + "\n  ]" for name, points in pieces.items()]
    return '{\n"machine": ' + json.dumps(machine) + ',\n"pieces": {\n' + ",\n".join(listed) + "\n}\n}\n"


def read(path):
    with open(path) as file:
        said = json.load(file)
    return said["machine"], said["pieces"]


def is_same_shape(one, other):
    return all(one[key] == other[key] for key in SHAPE)


def measure(program, *words):
    words = list(words)
    into = words.pop(words.index("--into") + 1) if "--into" in words else None
    names = [word for word in words if word != "--into"] or list(scaling_measure.PIECES)
    if not {name.split(":")[0] for name in names} <= set(scaling_measure.PIECES):
        sys.exit(__doc__)
    # Ended from outside, what was started is stopped as after an error.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before all was measured"))
    machine, pieces = read(into) if into and os.path.exists(into) else ({}, {})
    for name in names:
        piece, _, line = name.partition(":")
        found = scaling_measure.measure(program, piece, int(line) if line else None)
        machine, kept = next(found), pieces.setdefault(piece, [])
        for point in found:
            kept[:] = [other for other in kept if not is_same_shape(other, point)] + [point]
            kept.sort(key=lambda each: [each[key] for key in SHAPE])
            if into:
                with open(into, "w") as file:
                    file.write(text_of(machine, pieces))
    if not into:
        print(text_of(machine, pieces), end="")


def title(name):
    piece, nodes, edges, sessions, rate, *more = name
    servers = f"{nodes} node{'s' * (nodes != 1)}" + (f", {edges} edge{'s' * (edges != 1)}" if edges else "")
    return f"{piece}: {servers}, {sessions} sessions{' of a symbol each' if more else ''}, {rate}/s"


def check(path=FILE):
    """Prints the measured beside the simulated, and returns the model; ends the program if it is off."""
    machine, pieces = read(path)
    print(f"measured {machine['measured']}, {machine['cores']} cores, Linux {machine['kernel']}, Postgres {machine['postgres']}, Redis {machine['redis']}, {machine['rowcast']}\n")
    points = scaling_constants.Points(pieces)
    model = scaling_constants.Model(points)
    print("| point | what | measured | simulated | difference | |\n|---|---|---|---|---|---|")
    verdicts = []
    for name, measure, measured, simulated, off, verdict in scaling_constants.differences(points, model):
        verdicts.append(verdict)
        print(f"| {title(name)} | {measure} | {measured:.4g} | {simulated:.4g} | {off:+.0%} | {verdict} |")
    off, known = verdicts.count("OFF"), verdicts.count("known to be off")
    judged = off + known + verdicts.count("")
    print(f"\n{judged} values that gave no constant, measured in quiet: {off} of them off by more than {scaling_constants.LIMIT:.0%} and their floor, and {known} more known to be.", flush=True)
    if off or not judged:
        sys.exit(1)
    return model


def simulate(path=FILE):
    scaling_extrapolate.tables(check(path))


def constants(path=FILE):
    points = scaling_constants.Points(read(path)[1])
    model = scaling_constants.Model(points)
    for constant, name, measure in scaling_constants.POINTS:
        print(f"| {constant} | {model.cost[constant] * 1e6:.4g} | {measure} of {title(name)} |")
    for constant, value in model.idle.items():
        print(f"| idle: {constant} | {value:.4g} | |")


def main():
    commands = dict(measure=measure, simulate=simulate, check=check, constants=constants)
    if len(sys.argv) < 2 or sys.argv[1] not in commands or (sys.argv[1] == "measure" and len(sys.argv) < 3):
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    main()
