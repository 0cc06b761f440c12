#!/usr/bin/env python3
"""What edges cost Postgres, and how much later than a node they deliver.

    DATABASE_URL=postgres://… benches/edges.py PROGRAM

PROGRAM is an optimised rowcast; DATABASE_URL names an empty database of its own. Redis (redis-server) and psql must be installed.
Everything else (a node that copies, edges, clients) is started here, listens on 127.0.0.1, and is stopped at the end.

Prints the delays of a node and of an edge, measured by turns in one run, and the transactions a second that Postgres counts with one
edge and with four, with ten clients and with two thousand.
"""

import asyncio
import base64
import json
import os
import statistics
import subprocess
import sys
import time

from servers import Servers

ROUNDS, INSERTS, WINDOW = 5, 200, 20
# Two thousand clients that this program itself has to serve get so few that edges have the processors they need.
EVENTS_A_SECOND = 5


class Sink(asyncio.Protocol):
    """A client that takes everything and looks at nothing."""

    def data_received(self, data):
        pass


class Bench(Servers):
    def psql(self, sql):
        out = subprocess.run(["psql", "-XAtq", self.url, "-c", sql], check=True, capture_output=True, text=True)
        return out.stdout.strip()


async def delays(bench, ports):
    """The delays from the time of an event to its arrival, for each of these servers, which all follow at once."""
    token = bench.run("token", "--role", "admin", "--sub", "bench")
    found = [[] for _ in ports]

    async def follow(port, into, ready):
        reader, writer = await upgraded(port, token)
        ready.set()
        async for text in frames(reader):
            arrived = time.time()
            said = json.loads(text)
            if said.get("op") == "event":
                at = said["event"]["at"]
                seconds = time.mktime(time.strptime(at[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone + float("0" + at[19:-1])
                into.append(arrived - seconds)
                if len(into) >= INSERTS:
                    break
        writer.close()

    readies = [asyncio.Event() for _ in ports]
    tasks = [asyncio.create_task(follow(*each)) for each in zip(ports, found, readies)]
    for ready in readies:
        await ready.wait()
    await asyncio.sleep(1)
    psql = await asyncio.create_subprocess_exec("psql", "-XAtq", bench.url, stdin=asyncio.subprocess.PIPE)
    for _ in range(INSERTS):
        psql.stdin.write(b"insert into rowcast.events (type) values ('bench.made');\n")
        await psql.stdin.drain()
        await asyncio.sleep(0.015)
    await asyncio.wait_for(asyncio.gather(*tasks), 30)
    psql.stdin.close()
    await psql.wait()
    return found


async def upgraded(port, token):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write((f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                  f"Sec-WebSocket-Key: {key}\r\nAuthorization: Bearer {token}\r\n\r\n").encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 101 " not in head.split(b"\r\n")[0]:
        sys.exit(head.decode())
    return reader, writer


async def frames(reader):
    while True:
        first, length = await reader.readexactly(2)
        length &= 127
        if length == 126:
            length = int.from_bytes(await reader.readexactly(2), "big")
        elif length == 127:
            length = int.from_bytes(await reader.readexactly(8), "big")
        body = await reader.readexactly(length)
        if first & 15 == 1:
            yield body


async def transactions(bench, ports, clients):
    """Transactions a second while this many clients of these edges read live events."""
    token = bench.run("token", "--role", "admin", "--sub", "bench")
    open_ones = [(await upgraded(ports[n % len(ports)], token))[1] for n in range(clients)]
    for writer in open_ones:
        writer.transport.set_protocol(Sink())
        writer.transport.resume_reading()
    count = "select xact_commit + xact_rollback from pg_stat_database where datname = current_database()"
    await asyncio.sleep(3)
    psql = await asyncio.create_subprocess_exec("psql", "-XAtq", bench.url, stdin=asyncio.subprocess.PIPE)
    before, begun, made = int(bench.psql(count)), time.time(), 0
    while time.time() - begun < WINDOW:
        psql.stdin.write(b"insert into rowcast.events (type) values ('bench.made');\n")
        made += 1
        await asyncio.sleep(1 / EVENTS_A_SECOND)
    took = time.time() - begun
    after = int(bench.psql(count))
    psql.stdin.close()
    await psql.wait()
    for writer in open_ones:
        writer.transport.abort()
    await asyncio.sleep(1)
    return (after - before) / took, made / took


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    bench = Bench(sys.argv[1])
    try:
        node = bench.serve(ROWCAST_RELAY="on")
        edges = [bench.serve(ROWCAST_LIVE_FROM="redis")]
        p50 = [[], []]
        for number in range(ROUNDS):
            found = asyncio.run(delays(bench, [node.port, edges[0].port]))
            for into, times in zip(p50, found):
                into.append(statistics.median(times) * 1000)
            print(f"round {number + 1}: from insert to client, p50: node {p50[0][-1]:.2f} ms, edge {p50[1][-1]:.2f} ms", flush=True)
        ratio = statistics.median(edge / node for node, edge in zip(*p50))
        print(f"median of {ROUNDS} rounds: node {statistics.median(p50[0]):.2f} ms, edge {statistics.median(p50[1]):.2f} ms, ratio {ratio:.2f}")
        for many_edges, clients in [(1, 10), (1, 2000), (4, 10), (4, 2000)]:
            while len(edges) < many_edges:
                edges.append(bench.serve(ROWCAST_LIVE_FROM="redis"))
            all_of_them, made = asyncio.run(transactions(bench, [edge.port for edge in edges], clients))
            print(f"{many_edges} edges, {clients} clients: {all_of_them:.1f} transactions a second, of them {made:.1f} inserts", flush=True)
    finally:
        bench.end()


main()
