"""Applications that hand out uploads, as programs: the one of broker/app.mjs, and Uppy Companion (broker/companion.mjs). They need node and what
install.sh puts into node/broker.
"""
import json
import os
import shutil
import socket
import subprocess
import urllib.request
import uuid

import lib

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "broker")
MODULES = os.path.join(lib.SERVERS, "node/broker")


def store_of(server, url=None, prefix="", bucket="bucket", **more):
    """What an application must know to sign for server; url: a proxy before it."""
    return {"endpoint": url or server.url, "bucket": bucket, "prefix": prefix, "key": server.key, "secret": server.secret, **more}


class Node(lib.Server):
    """A program of broker/."""
    program = "?"

    def __init__(self, folder):
        super().__init__(folder)
        self.requests = os.path.join(folder, "requests.jsonl")
        open(self.requests, "w").close()

    def command(self):
        if not shutil.which("node") or not os.path.exists(f"{MODULES}/done"):
            raise lib.Skip("the applications are not here (they need node 20 and npm)")
        return self.with_env("node", os.path.join(HERE, self.program))

    def with_env(self, *command):
        env = {"PORT": self.port, "MODULES": MODULES, "LOG": self.requests, "DATA": self.folder, "NODE_NO_WARNINGS": 1, "NEXT_TELEMETRY_DISABLED": 1}
        return ["env", *(f"{k}={v}" for k, v in env.items()), *command]

    def answers(self):
        if self.process.poll() is not None:
            return True
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def seen(self, case, **like):
        with open(self.requests) as f:
            entries = [json.loads(line) for line in f]
        return [e for e in entries if e["case"] == case and all(e.get(k) == v for k, v in like.items())]

    def case(self, store, **settings):
        return Case(self, store, settings)


class Case:
    """One application of its own below the base URL; what settings there are stands in the program."""

    def __init__(self, program, store, settings):
        self.program, self.name = program, f"c{uuid.uuid4().hex[:12]}"
        self.base = f"{program.url}/{self.name}"
        self.set(store=store, **settings)

    def set(self, **settings):
        """Changes these; those of app.mjs that are not named stay."""
        body = json.dumps(settings).encode()
        urllib.request.urlopen(urllib.request.Request(self.base, body, {"Content-Type": "application/json"}, method="PUT")).close()

    def seen(self, **like):
        """Requests, oldest first: method, target, headers; of app.mjs also kind (grant, notify) and body."""
        return self.program.seen(self.name, **like)

    def grants(self):
        return self.seen(kind="grant")

    def notifies(self):
        return self.seen(kind="notify")


class App(Node):
    name, program = "app", "app.mjs"


class Companion(Node):
    name, program = "companion", "companion.mjs"


class Next(Node):
    """The routes of broker/next in a Next.js application, built and started as for production."""
    name = "next"

    def command(self):
        site = os.path.join(lib.SERVERS, "node/next")
        if not os.path.exists(f"{site}/done"):
            raise lib.Skip("Next.js is not here (tests/e2e/install.sh FOLDER next; it needs node 20 and npm)")
        next_js = os.path.join(site, "node_modules/next/dist/bin/next")
        shutil.copytree(os.path.join(HERE, "next"), site, dirs_exist_ok=True)
        subprocess.run(self.with_env("node", next_js, "build"), cwd=site, stdout=self.log, stderr=self.log, check=True)
        return self.with_env("node", next_js, "start", site, "-H", "127.0.0.1", "-p", str(self.port))
