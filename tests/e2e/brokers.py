"""Applications that hand out uploads, as programs: the one of broker/app.mjs, and Uppy Companion (broker/companion.mjs). They need node and what
install.sh puts into node/broker.
"""
import json
import os
import shutil
import socket
import urllib.request
import uuid

import lib

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "broker")
MODULES = os.path.join(lib.SERVERS, "node/broker")


def store_of(server, url=None, prefix="", bucket="bucket", **more):
    """What an application must know to sign for server; url: a proxy before it."""
    return {"endpoint": url or server.url, "bucket": bucket, "prefix": prefix, "key": server.key, "secret": server.secret, **more}


class Node(lib.Server):
    """A program of broker/; seen() gives the requests that it saw, oldest first."""
    program = "?"

    def __init__(self, folder, **env):
        super().__init__(folder)
        self.env = env
        self.requests = os.path.join(folder, "requests.jsonl")
        open(self.requests, "w").close()

    def command(self):
        if not shutil.which("node") or not os.path.exists(f"{MODULES}/done"):
            raise lib.Skip("the applications are not here (they need node 20 and npm)")
        env = {"PORT": self.port, "MODULES": MODULES, "LOG": self.requests, "DATA": self.folder, "NODE_NO_WARNINGS": 1, **self.env}
        return ["env", *(f"{k}={v}" for k, v in env.items()), "node", os.path.join(HERE, self.program)]

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


class App(Node):
    name, program = "app", "app.mjs"

    def case(self, store, **settings):
        return Case(self, store, settings)


class Case:
    """One application of its own below the base URL; what settings there are stands in app.mjs."""

    def __init__(self, app, store, settings):
        self.app, self.name = app, f"c{uuid.uuid4().hex[:12]}"
        self.base = f"{app.url}/{self.name}"
        self.set(store=store, **settings)

    def set(self, **settings):
        """Changes these, leaves the others."""
        urllib.request.urlopen(urllib.request.Request(self.base, json.dumps(settings).encode(), method="PUT")).close()

    def grants(self):
        return self.app.seen(self.name, kind="grant")

    def notifies(self):
        return self.app.seen(self.name, kind="notify")


class Companion(Node):
    """stores: name -> store_of(); the routes of a store lie below base(name)."""
    name, program = "companion", "companion.mjs"

    def __init__(self, folder, stores, token=""):
        super().__init__(folder, STORES=json.dumps(stores), TOKEN=token)

    def base(self, name):
        return f"{self.url}/{name}"
