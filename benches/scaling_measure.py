"""Measures points: what each process takes, and how late events are, at so many sessions and events a second."""

import glob
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

from scaling_clients import Clients
from servers import Servers

TICK = os.sysconf("SC_CLK_TCK")
# Each point is the median of so many windows of so many seconds. A window counts only if the host took less than STEAL of the
# processors and other programs less than OTHERS of one; there are at most TRIES windows, and the best are taken if none is quiet.
WINDOWS, WINDOW, IDLE_WINDOW, TRIES, STEAL, OTHERS = 3, 3, 15, 5, 0.05, 0.10
QUIET_LIMIT = 15
INSERT = ("insert into rowcast.events (type, symbol, payload) values ('bench.made', 's' || {symbol}, '{{\"note\": \"partially filled at "
          "the best bid, the rest stays in the book until cancelled or until the market closes\", \"price\": \"101.25\"}}');\n")


def stat_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()


def seconds_of(pid, with_ended=False):
    """Processor time of a process (to the nanosecond; utime and stime count in hundredths), and if wanted of its children that have ended."""
    total = sum(map(int, stat_of(pid)[13:15])) / TICK if with_ended else 0.0
    for task in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with open(task) as file:
            total += int(file.read().split()[0]) / 1e9
    return total


def machine():
    """Busy and stolen seconds of all processors."""
    with open("/proc/stat") as file:
        n = [int(word) / TICK for word in file.readline().split()[1:9]]
    return n[0] + n[1] + n[2] + n[5] + n[6], n[7]


def resident_mb(pid):
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) / 1024


class Psql:
    """One session of psql that lasts, so that a question costs no new connection."""

    def __init__(self, url):
        self.child = subprocess.Popen(["psql", "-XAtq", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def ask(self, sql):
        self.child.stdin.write(sql + ";\n")
        self.child.stdin.flush()
        return self.child.stdout.readline().strip()


class Bench(Servers):
    def __init__(self, program):
        self.pgbench = shutil.which("pgbench") or max(glob.glob("/usr/lib/postgresql/*/bin/pgbench"), default=None)
        if not self.pgbench:
            sys.exit("pgbench is not installed; it comes with Postgres' server or contrib package")
        super().__init__(program)
        self.psql = Psql(self.url)
        self.postmaster = int(stat_of(self.psql.ask("select pid from pg_stat_activity where backend_type = 'checkpointer'"))[1])
        self.clients = Clients(self.run("token", "--role", "admin", "--sub", "bench", "--ttl", "12h"))

    def serve(self, **more):
        child = super().serve(**more)
        # The tail prepares its statements when probes have shown for five seconds that the session is its own.
        time.sleep(7)
        return child

    def stop(self, child):
        child.terminate()
        child.wait()
        self.children.remove(child)

    def polls(self, child):
        """The looks of a node's tail so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{child.port}/metrics") as answer:
            return float(re.search(r"^rowcast_tail_polls_total (\S+)", answer.read().decode(), re.M)[1])

    def postgres_seconds(self):
        total = seconds_of(self.postmaster, with_ended=True)
        for task in glob.glob(f"/proc/{self.postmaster}/task/*/children"):
            with open(task) as file:
                for pid in file.read().split():
                    try:
                        total += seconds_of(pid, with_ended=True)
                    except OSError:
                        pass
        return total

    def redis_says(self, what):
        with socket.create_connection(("127.0.0.1", self.redis_port)) as s:
            s.sendall(b"INFO\r\n")
            said = b""
            while b"total_net_output_bytes" not in said or not said.endswith(b"\r\n\r\n") and b"keyspace" not in said.lower():
                said += s.recv(1 << 16)
        return int(re.search(what.encode() + rb":(\d+)", said)[1])

    def end(self):
        self.clients.end()
        self.psql.child.stdin.close()
        super().end()


class Writers:
    """pgbench at a pace: events come by chance, as a Poisson process, so many a second on average."""

    def __init__(self, bench, rate, seconds, symbols):
        self.log = os.path.join(bench.folder, "log")
        script = os.path.join(bench.folder, "insert.sql")
        with open(script, "w") as file:
            file.write((f"\\set n random(0, {symbols - 1})\n" if symbols else "") + INSERT.format(symbol=":n" if symbols else "0"))
        writers = 1 if rate <= 50 else 8
        self.child = subprocess.Popen(
            [bench.pgbench, "-n", "-M", "prepared", "-c", str(writers), "-R", str(rate), "-T", str(round(seconds + 0.5)), "-l", "--log-prefix", self.log,
             "-f", script, bench.url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def result(self, begun, ended):
        """The inserts that ended in this time, and the median milliseconds of one."""
        self.child.wait()
        made, took = 0, []
        for name in glob.glob(self.log + ".*"):
            with open(name) as file:
                for line in file:
                    words = line.split()
                    if begun <= int(words[4]) + int(words[5]) / 1e6 < ended:
                        made += 1
                        took.append((int(words[2]) - int(words[6])) / 1000)
            os.remove(name)
        return made, statistics.median(took) if took else None


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1000 if values else None


def window(bench, nodes, edges, rate, seconds, symbols=0):
    """One window: what everything took in it."""
    bench.clients.expect(rate * 420 if not symbols else 0)
    writers = Writers(bench, rate, seconds + 1.5, symbols) if rate else None
    time.sleep(1 if rate else 0.2)

    def now():
        load = seconds_of(bench.clients.process.pid) + (seconds_of(writers.child.pid) if writers else 0)
        return dict(node=sum(seconds_of(c.pid) for c in nodes), edge=sum(seconds_of(c.pid) for c in edges), postgres=bench.postgres_seconds(),
                    redis=seconds_of(bench.redis.pid), load=load, commits=int(bench.psql.ask(
                        "select xact_commit from pg_stat_database where datname = current_database()")),
                    looks=sum(bench.polls(c) for c in nodes), redis_out=bench.redis_says("total_net_output_bytes"),
                    busy=machine()[0], steal=machine()[1], at=time.time())

    bench.clients.take_delays()
    before = now()
    time.sleep(seconds)
    delays, frame = bench.clients.take_delays()
    after = now()
    took = after["at"] - before["at"]
    found = {key: (after[key] - before[key]) / took for key in before if key != "at"}
    made, insert_ms = writers.result(before["at"], after["at"]) if writers else (0, None)
    found["steal"] /= os.cpu_count()
    found["others"] = found.pop("busy") - sum(found[key] for key in ("node", "edge", "postgres", "redis", "load"))
    found.update(events=made / took, insert_ms=insert_ms, p50_ms=quantile(delays, 0.5), p99_ms=quantile(delays, 0.99), frame_bytes=frame or None)
    return found


def wait_for_quiet():
    """Waits until nobody else computes, at most QUIET_LIMIT seconds; while nothing is written, the servers of the bench take next to nothing."""
    until = time.monotonic() + QUIET_LIMIT
    while time.monotonic() < until:
        busy = machine()[0]
        time.sleep(0.5)
        if (machine()[0] - busy) / 0.5 < 2 * OTHERS:
            return


def point(bench, nodes, edges, sessions, rate, at="node", symbols=0, long=False):
    """The medians of the quiet windows of one point."""
    windows = []
    seconds = IDLE_WINDOW if long or not rate else WINDOW
    wanted = 1 if seconds == IDLE_WINDOW else WINDOWS
    for number in range(TRIES):
        wait_for_quiet()
        windows.append(window(bench, nodes, edges, rate, seconds, symbols))
        quiet = [w for w in windows if w["steal"] <= STEAL and w["others"] <= OTHERS]
        if len(quiet) >= wanted or number + 1 >= TRIES // (1 + (wanted == 1)):
            break
    best = quiet[:wanted] if len(quiet) >= wanted else sorted(windows, key=lambda w: 2 * w["steal"] + w["others"])[:wanted]
    found = dict(at=at, nodes=len(nodes), edges=len(edges), sessions=sessions, rate=rate, one_symbol=bool(symbols), windows=len(windows))
    for key in best[0]:
        values = [w[key] for w in best if w[key] is not None]
        found[key] = round(statistics.median(values), 5) if values else None
    found["node_mb"] = round(resident_mb(nodes[0].pid), 1) if nodes else None
    found["edge_mb"] = round(resident_mb(edges[0].pid), 1) if edges else None
    print(json.dumps(found), file=sys.stderr, flush=True)
    return found


# What is measured, by piece: lines of nodes, edges, sessions, rates, and whether each session follows one symbol.
PIECES = dict(
    # What Postgres takes for appends and looks: without a server, with one node, with two.
    appends=[(0, 0, 0, (100, 1000), False), (1, 0, 10, (0, 20, 100, 300, 1000, 3000), False), (2, 0, 10, (0, 20, 1000), False)],
    # One node, ever more sessions.
    node=[(1, 0, 10, (0, 5, 30), False), (1, 0, 500, (0, 20), False), (1, 0, 2000, (0, 5, 20), False), (1, 0, 5000, (0, 10), False),
          (1, 0, 10000, (0, 5), False)],
    # One node at rates at which events share wake-ups, and sessions that follow one symbol each.
    batches=[(1, 0, 100, (300, 1000), False), (1, 0, 500, (100,), False), (1, 0, 5000, (20,), True)],
    # A node that copies, and edges.
    edges=[(1, 1, 10, (0, 20), False), (1, 1, 10, (300,), False), (1, 1, 10, (1000,), False), (1, 1, 2000, (0, 20), False),
           (1, 2, 10, (20,), False), (1, 4, 10, (0, 20), False), (1, 4, 10, (1000,), False), (1, 4, 2000, (20,), False)])


def measure_line(bench, nodes, edges, many_nodes, many_edges, sessions, rates, by_symbol):
    """Starts what is missing of a line, and yields its points."""
    while len(nodes) < many_nodes:
        nodes.append(bench.serve(ROWCAST_RELAY="on") if many_edges else bench.serve())
    while len(edges) < many_edges:
        edges.append(bench.serve(ROWCAST_LIVE_FROM="redis"))
    bench.clients.close_all()
    if sessions:
        # Without edges all clients are at the first node.
        bench.clients.grow([server.port for server in edges or nodes[:1]], sessions, by_symbol)
    for rate in rates:
        # Statements are counted by Postgres' sessions once in a while, so that few of them need a longer window.
        long = sessions == 10 and rate == 20
        yield point(bench, nodes, edges, sessions, rate, "edge" if edges else "node", sessions if by_symbol else 0, long)


def machine_says(program):
    with open("/proc/cpuinfo") as file:
        said = file.read()
    fields = {key: re.search(rf"^{key}\s*:\s*(.*)", said, re.M)[1] for key in ("vendor_id", "model name", "cpu family", "model")}
    version = subprocess.run(["redis-server", "--version"], capture_output=True, text=True).stdout
    return dict(measured=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), processor=fields, cores=os.cpu_count(), kernel=os.uname().release,
                rowcast=subprocess.run([program, "--version"], capture_output=True, text=True).stdout.strip(),
                redis=re.search(r"v=(\S+)", version)[1], python=".".join(map(str, sys.version_info[:3])))


def measure(program, piece, line=None):
    """Yields the description of the machine, and then each point of the piece, or of one line of it."""
    bench = Bench(program)
    try:
        said = machine_says(program)
        said["postgres"] = bench.psql.ask("show server_version")
        yield said
        nodes, edges = [], []
        for each in PIECES[piece][slice(line and line - 1, line)]:
            yield from measure_line(bench, nodes, edges, *each)
    finally:
        bench.end()
