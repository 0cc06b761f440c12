"""The servers that the benches in Python measure: Redis, nodes and edges, on 127.0.0.1, beside a database that DATABASE_URL names."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

SECRET = "0123456789abcdef0123456789abcdef"
LIMITS = "public=1000000/s,private=1000000/s,connect=1000000/s,append=1000000/s"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Servers:
    """Redis from the beginning, and whatever is started later. All of it ends with end()."""

    def __init__(self, program):
        self.program, self.url, self.children = program, os.environ["DATABASE_URL"], []
        self.folder = tempfile.mkdtemp(prefix="rowcast-bench-")
        self.redis_port = free_port()
        self.redis = self.start(["redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "", "--dir", self.folder])
        try:
            self.run("migrate")
        except subprocess.CalledProcessError as failed:
            Servers.end(self)
            sys.exit(failed.stderr.strip())

    def environment(self, **more):
        common = dict(DATABASE_URL=self.url, ROWCAST_JWT_SECRET=SECRET, ROWCAST_RELAY_URL=f"redis://127.0.0.1:{self.redis_port}",
                      ROWCAST_RATE_LIMITS=LIMITS, ROWCAST_CONNECTIONS_PER_ADDRESS="100000", ROWCAST_SESSIONS_PER_SUBJECT="100000",
                      ROWCAST_LOG="warn")
        return {**os.environ, **common, **more}

    def start(self, command, **more):
        child = subprocess.Popen(command, env=self.environment(**more), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.children.append(child)
        return child

    def run(self, *args):
        return subprocess.run([self.program, *args], env=self.environment(), check=True, capture_output=True, text=True).stdout.strip()

    def serve(self, **more):
        """Starts a node or an edge, and waits until its live events come from where they should."""
        port = free_port()
        child = self.start([self.program, "serve"], ROWCAST_LISTEN=f"127.0.0.1:{port}", **more)
        child.port = port
        wanted = "redis" if "ROWCAST_LIVE_FROM" in more else "postgres"
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready") as answer:
                    if json.load(answer)["tail"]["live_from"] == wanted:
                        return child
            except OSError:
                pass
            time.sleep(0.1)
        sys.exit(f"a server is not ready from {wanted}")

    def end(self):
        for child in reversed(self.children):
            child.terminate()
        for child in self.children:
            child.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
