"""A node that is killed and started again behind nginx with deploy/nginx/rowcast.conf, and the public clients of the Durable Streams
protocol, unmodified, which read all events and a live table from their beginnings, over long polls and over server-sent events.
Each must end with exactly what the database has.
"""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from shared import HTTP, PATIENCE, TOKEN, check

ROOT = Path(__file__).resolve().parents[2]
KILLS, ROUNDS = 3, 30
READERS = [
    (client, what, path, live)
    for client in ("node", "python")
    for live in ("long-poll", "sse")
    for what, path in (
        ("events", "/v1/stream/events?type=note.*"),
        ("events", "/public/v1/stream/events"),
        ("table", "/v1/stream/tables/shop.orders"),
    )
]
SCHEMA = """
create schema shop;
create table shop.orders (id int primary key, state text, total int);
select rowcast.publish('shop.orders');
insert into rowcast.event_types (type, description, public_fields) values ('note.shown', 'A note.', '{n,end}');
insert into shop.orders select i, 'new', i from generate_series(1, 3000) i;
insert into rowcast.events (type, public_safe, payload)
    select (array['note.shown', 'note.kept'])[1 + i % 2], true, jsonb_build_object('n', i, 'text', 'žluťoučký 🐎 ' || repeat('x', i % 200))
      from generate_series(1, 6000) i;
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def sql(statements):
    command = shlex.split(os.environ["CLIENTS_PSQL"]) + ["-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
    return subprocess.run(command, input=statements, text=True, capture_output=True, check=True, timeout=60).stdout


def until_answers(url):
    begun = time.monotonic()
    while time.monotonic() - begun < 4 * PATIENCE:
        try:
            return HTTP.open(url, timeout=PATIENCE).read()
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{url} does not answer")


class Node:
    """One server at an address that stays the same."""

    def __init__(self, folder):
        self.address = f"127.0.0.1:{free_port()}"
        self.log = open(folder / "node.log", "ab")
        self.process = None

    def start(self):
        settings = {
            "DATABASE_URL": os.environ["CLIENTS_DATABASE"],
            "ROWCAST_JWT_SECRET": os.environ["CLIENTS_SECRET"],
            "ROWCAST_LISTEN": self.address,
            "ROWCAST_PUBLIC_STREAM": "on",
            "ROWCAST_HEARTBEAT": "1s",
            "ROWCAST_TRUSTED_PROXIES": "127.0.0.1/32",
            "ROWCAST_RATE_LIMITS": "public=100000/m,private=100000/m,connect=100000/m,snapshot=100000/m",
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ROWCAST_")}
        program = [os.environ["CLIENTS_PROGRAM"], "serve"]
        self.process = subprocess.Popen(program, env={**kept, **settings}, stdout=self.log, stderr=self.log)
        until_answers(f"http://{self.address}/health/ready")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self):
        if self.process:
            self.process.terminate()
            self.process.wait()


def start_nginx(folder, node):
    port, home = free_port(), folder / "nginx"
    home.mkdir()
    configuration = (ROOT / "deploy/nginx/rowcast.conf").read_text(encoding="utf-8")
    for mine, theirs in (
        ("listen 80;", f"listen 127.0.0.1:{port};"),
        ("server 127.0.0.1:8080 ", f"server {node.address} "),
        ("/var/cache/nginx/rowcast", f"{home}/cache"),
    ):
        check(f"how often {mine} stands in the configuration", configuration.count(mine), 1)
        configuration = configuration.replace(mine, theirs)
    temporary = "".join(f"{kind}_temp_path {home}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (home / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {home}/pid; error_log {home}/log; events {{ worker_connections 1024; }}\n"
        f"http {{ access_log off; {temporary}\n{configuration}\n}}\n",
        encoding="utf-8",
    )
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
    nginx = subprocess.Popen([program, "-p", str(home), "-c", str(home / "nginx.conf")], stderr=subprocess.DEVNULL)
    until_answers(f"http://127.0.0.1:{port}/public/v1/tables")
    return nginx, f"http://127.0.0.1:{port}"


def start_reader(folder, url, number, reader):
    client, what, path, live = reader
    here = Path(__file__).parent
    program = ["node", str(here / "durable.mjs")] if client == "node" else [sys.executable, str(here / "durable.py")]
    file = folder / f"read-{number}.json"
    log = open(folder / f"reader-{number}.log", "ab")
    return subprocess.Popen(program + [url + path, what, live, str(file)], stderr=log), file, log.name


def write(number):
    """A round of changes, each in a transaction of its own, some rolled back."""
    sql(
        f"""
        insert into rowcast.events (type, public_safe, payload)
            select (array['note.shown', 'note.kept', 'other.kind'])[1 + i % 3], i % 5 > 0, jsonb_build_object('n', i, 'round', {number})
              from generate_series(1, 40) i;
        update shop.orders set total = total + 1, state = 'round {number}' where id % 17 = {number % 17};
        delete from shop.orders where id % 101 = {number};
        insert into shop.orders values ({5000 + number}, 'new', {number});
        begin; delete from shop.orders; insert into rowcast.events (type) values ('note.shown'); rollback;
        update shop.orders set id = {6000 + number} where id = {5000 + number};
        """
    )


def all_events(node, path):
    headers = {} if path.startswith("/public") else {"Authorization": "Bearer " + TOKEN}
    import urllib.request

    found, cursor = [], "earliest"
    while True:
        address = f"http://{node.address}{path}{'&' if '?' in path else '?'}limit=1000&cursor={cursor}"
        with HTTP.open(urllib.request.Request(address, headers=headers), timeout=PATIENCE) as answer:
            page = json.load(answer)
        found, cursor = found + page["events"], page["cursor"]
        if not page["more"]:
            return found


def truth(node, what, path):
    if what == "events":
        return all_events(node, path.replace("/stream/", "/"))
    rows = sql("select json_agg(json_build_object('key', id::text, 'value', to_json(o)) order by id::text collate \"C\") from shop.orders o")
    return json.loads(rows)


def by_key(rows):
    return sorted(rows, key=lambda row: row["key"])


def compare(node, readers, started):
    failed = 0
    for (client, what, path, live), (process, file, log) in zip(readers, started):
        name = f"{client} {path} over {live}"
        try:
            check(f"{name}: exit code", process.wait(timeout=4 * PATIENCE), 0)
            told = json.loads(file.read_text(encoding="utf-8"))
            expected, read = truth(node, what, path), told["read"]
            if what == "table":
                read = by_key(read)
            check(f"{name}: how many", len(read), len(expected))
            for one, other in zip(read, expected):
                check(name, one, other)
            print(f"durable {name}: {len(read)} {what == 'table' and 'rows' or 'events'}, equal; {told['sessions']} sessions, {told['repeated']} repeated")
        except (AssertionError, subprocess.TimeoutExpired) as wrong:
            failed += 1
            process.kill()
            print(f"durable {name}: {str(wrong)[:500]}\n{Path(log).read_text(encoding='utf-8')[-1500:]}", file=sys.stderr)
    return failed


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sql(SCHEMA)
        node = Node(folder)
        nginx = None
        started = []
        try:
            node.start()
            nginx, url = start_nginx(folder, node)
            readers = [reader for reader in READERS]
            started = [start_reader(folder, url, number, reader) for number, reader in enumerate(readers)]
            for number in range(ROUNDS):
                write(number)
                if number % (ROUNDS // KILLS) == ROUNDS // KILLS // 2:
                    node.kill()
                    write(100 + number)
                    node.start()
            sql("insert into rowcast.events (type, public_safe, payload) values ('note.shown', true, '{\"end\": true}');"
                "insert into shop.orders values (99999, 'end', 0)")
            failed = compare(node, readers, started)
        finally:
            for process, _, _ in started:
                process.kill()
            for process in filter(None, [nginx]):
                process.kill()
                process.wait()
            node.end()
        sys.exit(1 if failed else 0)


main()
