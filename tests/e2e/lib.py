"""What the end-to-end tests share: real servers, hoist as a program, and TAP.

A test file defines functions test_NAME(t) and ends with lib.main(). Servers come from the folder that tests/e2e/install.sh fills
(HOIST_SERVERS); a further S3 endpoint from HOIST_TEST_S3=URL with the usual AWS_* variables. Everything listens on loopback, and
everything that is started is stopped by its own process id.
"""
import base64
import contextlib
import hashlib
import importlib.util
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("HOIST_BUILD", os.path.join(ROOT, "build/tests"))
SERVERS = os.environ.get("HOIST_SERVERS", os.path.join(ROOT, "build/servers"))
KEY, SECRET = "hoistkey", "hoistsecret"

# boto3, the judge of what a server holds, pyte, the terminal emulator, and Pillow, the judge of pictures, live with the servers.
if (any(importlib.util.find_spec(name) is None for name in ("boto3", "pyte", "pillow_heif")) and os.access(f"{SERVERS}/venv/bin/python", os.X_OK) and
        sys.prefix == sys.base_prefix):
    os.execv(f"{SERVERS}/venv/bin/python", [f"{SERVERS}/venv/bin/python", *sys.argv])


class Skip(Exception):
    """Raised with the reason; printed loudly."""


def free_port(span=1):
    """A port with span-1 free neighbours behind it."""
    for _ in range(200):
        port = random.randrange(20000, 45000)
        socks = []
        try:
            for p in list(range(port, port + span)) + ([port + 10000 + i for i in range(span)] if span > 1 else []):
                s = socket.socket()
                socks.append(s)
                s.bind(("127.0.0.1", p))
            return port
        except OSError:
            continue
        finally:
            for s in socks:
                s.close()
    raise RuntimeError("no free port")


def wait_for(what, seconds=20.0, every=0.02):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = what()
        if value:
            return value
        time.sleep(every)
    return what()


# ---------------------------------------------------------------------------------------------------------------- servers


class Server:
    """One running S3 server. url, key, secret; files(bucket) gives key -> bytes through the server itself."""

    name = "?"
    plain_files = False
    checksums = True
    key, secret = KEY, SECRET

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.port = free_port(4)
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = open(os.path.join(folder, "server.log"), "wb")
        self.process = None

    def command(self):
        raise NotImplementedError

    def start(self):
        for _ in range(3):              # a port may be taken between the look and the start
            self.process = subprocess.Popen(self.command(), stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, cwd=self.folder)
            if wait_for(self.answers, 40) and self.process.poll() is None:
                return self
            self.kill()
            self.port = free_port(4)
            self.url = f"http://127.0.0.1:{self.port}"
        raise RuntimeError(f"{self.name} did not start: {open(self.log.name, errors='replace').read()[-2000:]}")

    def answers(self):
        if self.process.poll() is not None:
            return True
        try:
            self.client().list_buckets()
            return True
        except Exception:
            return False

    def client(self):
        import boto3
        from botocore.config import Config
        return boto3.client("s3", endpoint_url=self.url, aws_access_key_id=self.key, aws_secret_access_key=self.secret,
                            region_name="us-east-1",
                            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}, connect_timeout=3,
                                          request_checksum_calculation="when_required", response_checksum_validation="when_required"))

    def make_bucket(self, bucket):
        self.client().create_bucket(Bucket=bucket)

    def keys(self, bucket, prefix=""):
        found = {}
        for page in self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for o in page.get("Contents", []):
                found[o["Key"]] = o["Size"]
        return found

    def get(self, bucket, key):
        return self.client().get_object(Bucket=bucket, Key=key)["Body"].read()

    def head(self, bucket, key):
        return self.client().head_object(Bucket=bucket, Key=key)

    def open_uploads(self, bucket):
        client = self.client()
        try:
            return [u["Key"] for u in client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]
        except client.exceptions.NoSuchUpload:      # rclone, of a bucket that never had one
            return []

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def stop(self):
        self.kill()
        self.log.close()


class Rclone(Server):
    name, plain_files, checksums = "rclone", True, False

    def command(self):
        return [os.path.join(SERVERS, "venv/bin/rclone"), "--config", "/dev/null", "serve", "s3", "--addr", f"127.0.0.1:{self.port}",
                "--auth-key", f"{KEY},{SECRET}", os.path.join(self.folder, "data")]

    def start(self):
        os.makedirs(os.path.join(self.folder, "data"), exist_ok=True)
        return super().start()


class SeaweedFS(Server):
    name = "seaweedfs"

    def command(self):
        os.makedirs(os.path.join(self.folder, "data"), exist_ok=True)
        config = os.path.join(self.folder, "s3.json")
        with open(config, "w") as f:
            json.dump({"identities": [{"name": "hoist", "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
                                       "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}, f)
        p = self.port
        return [os.path.join(SERVERS, "venv/bin/weed"), "-logtostderr", "-v=-1", "server", f"-dir={self.folder}/data", "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1", f"-master.port={p + 1}", f"-volume.port={p + 2}", "-filer", f"-filer.port={p + 3}", "-s3",
                f"-s3.port={p}", f"-s3.config={config}", "-volume.max=100", "-master.volumeSizeLimitMB=1024", "-volume.minFreeSpace=1",
                "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]


class VersityGW(Server):
    name, plain_files = "versitygw", True

    def command(self):
        binary = os.path.join(SERVERS, "bin/versitygw")
        if not os.path.exists(binary):
            raise Skip("versitygw is not here (it needs Go 1.25 to build)")
        for d in ("root", "iam", "meta"):
            os.makedirs(os.path.join(self.folder, d), exist_ok=True)
        cmd = [binary, "--port", f"127.0.0.1:{self.port}", "--access", KEY, "--secret", SECRET, "--region", "us-east-1", "--iam-dir",
               os.path.join(self.folder, "iam"), "--keep-alive", "--quiet", "posix"]
        try:
            os.setxattr(os.path.join(self.folder, "root"), "user.hoist", b"1")
        except OSError:
            cmd += ["--sidecar", os.path.join(self.folder, "meta")]
        return cmd + [os.path.join(self.folder, "root")]


class S3rver(Server):
    """Odd answers (405 for ListParts, 501): never proof of signing."""
    name, checksums = "s3rver", False
    key = secret = "S3RVER"

    def command(self):
        binary = os.path.join(SERVERS, "node/s3rver/node_modules/.bin/s3rver")
        if not os.path.exists(binary):
            raise Skip("s3rver is not here (it needs npm)")
        data = os.path.join(self.folder, "data")
        os.makedirs(data, exist_ok=True)
        return [binary, "--directory", data, "--address", "127.0.0.1", "--port", str(self.port), "--silent"]


class Given(Server):
    """An endpoint that somebody else runs: HOIST_TEST_S3."""
    name = "given"

    def __init__(self, folder):
        super().__init__(folder)
        self.url = os.environ["HOIST_TEST_S3"].rstrip("/")
        self.key, self.secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]

    def start(self):
        return self

    def make_bucket(self, bucket):
        with contextlib.suppress(Exception):
            self.client().create_bucket(Bucket=bucket)

    def stop(self):
        self.log.close()


def server_kinds():
    kinds = [Rclone, SeaweedFS, VersityGW]
    if os.environ.get("HOIST_TEST_S3"):
        kinds.append(Given)
    return kinds


# ---------------------------------------------------------------------------------------------------------------- hoist


class Hoist:
    """hoist as a program with a home of its own."""

    def __init__(self, folder, server=None, url=None, binary=None, region=None):
        self.folder = folder
        self.server = server
        self.url = url or (server.url if server else None)
        self.binary = binary or os.path.join(BUILD, "tui/hoist")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "HOIST_", "XDG_")) and "proxy" not in k.lower()}
        self.env.update(HOME=folder, XDG_STATE_HOME=f"{folder}/state", XDG_CACHE_HOME=f"{folder}/cache", XDG_CONFIG_HOME=f"{folder}/config",
                        AWS_EC2_METADATA_DISABLED="true", LC_ALL="C.UTF-8",
                        ASAN_OPTIONS="abort_on_error=0:detect_leaks=1:exitcode=99", UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:exitcode=98")
        if server:
            self.env.update(AWS_ACCESS_KEY_ID=server.key, AWS_SECRET_ACCESS_KEY=server.secret, AWS_REGION=region or "us-east-1")
        if self.url:
            self.env["AWS_ENDPOINT_URL_S3"] = self.url
        os.makedirs(folder, exist_ok=True)

    def run(self, *args, timeout=120, env=None, stdin=None):
        """-> CompletedProcess with text output; a sanitizer's report fails the test."""
        r = subprocess.run([self.binary, *map(os.fspath, args)], env={**self.env, **(env or {})}, capture_output=True, timeout=timeout,
                           input=stdin, cwd=self.folder)
        r.out, r.err = r.stdout.decode("utf-8", "surrogateescape"), r.stderr.decode("utf-8", "surrogateescape")
        assert r.returncode not in (98, 99) and "ERROR: AddressSanitizer" not in r.err, f"sanitizer:\n{r.err[-4000:]}"
        return r

    def up(self, *args, **kw):
        """hoist up --json -> (exit status, events)."""
        r = self.run("up", "--json", *args, **kw)
        events = []
        for line in r.out.splitlines():
            events.append(json.loads(line))
        return r.returncode, events, r.err

    def start(self, *args, env=None):
        return subprocess.Popen([self.binary, *map(os.fspath, args)], env={**self.env, **(env or {})}, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd=self.folder)

    def rows(self, sql):
        import sqlite3
        path = f"{self.folder}/state/hoist/queue.db"
        with contextlib.closing(sqlite3.connect(path)) as db:
            return db.execute(sql).fetchall()


def told(event, name):
    """A path in an event, whatever its bytes."""
    return os.fsdecode(base64.b64decode(event[name + "_b64"])) if name + "_b64" in event else event.get(name)


def of_kind(events, kind):
    return [e for e in events if e["event"] == kind]


def data(n, seed=1):
    return random.Random(seed).randbytes(n)


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(content)
    return path


def sha(content):
    return hashlib.sha256(content).hexdigest()


def tree(folder):
    """relative path below folder's parent -> content"""
    found = {}
    base = os.path.dirname(folder)
    for where, _, names in os.walk(folder):
        for n in names:
            p = os.path.join(where, n)
            if os.path.isfile(p):
                found[os.path.relpath(p, base)] = open(p, "rb").read()
    return found


# ---------------------------------------------------------------------------------------------------------------- TAP


class Test:
    """What a test function gets: a folder of its own, and things that are stopped at its end."""

    def __init__(self, name):
        self.name = name
        self.folder = tempfile.mkdtemp(prefix="hoist-e2e-")
        self.ends = []

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def later(self, fn):
        self.ends.append(fn)

    def server(self, kind, bucket="bucket"):
        s = kind(self.path(kind.name))
        self.later(s.stop)
        s.start()
        s.make_bucket(bucket)
        return s

    def hoist(self, server=None, **kw):
        return Hoist(self.path("home"), server, **kw)

    def close(self):
        for fn in reversed(self.ends):
            with contextlib.suppress(Exception):
                fn()
        shutil.rmtree(self.folder, ignore_errors=True)


def main(tests=None):
    """Runs the test_* functions of the calling module (or the (name, function) pairs) and prints TAP."""
    module = sys.modules["__main__"]
    tests = tests or [(n[5:], f) for n, f in list(vars(module).items()) if n.startswith("test_") and callable(f)]
    wanted = [a for a in sys.argv[1:] if not a.startswith("-")]
    if wanted:
        tests = [x for x in tests if any(w in x[0] for w in wanted)]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"1..{len(tests)}", flush=True)
    bad = 0
    for i, (name, fn) in enumerate(tests, 1):
        t = Test(name)
        began = time.monotonic()
        try:
            fn(t)
            print(f"ok {i} - {name} # {time.monotonic() - began:.1f} s", flush=True)
        except Skip as why:
            print(f"ok {i} - {name} # SKIP {why}", flush=True)
            print(f"*** SKIPPED: {name}: {why}", file=sys.stderr, flush=True)
        except Exception:
            bad += 1
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
            print(f"not ok {i} - {name}", flush=True)
        finally:
            t.close()
    sys.exit(1 if bad else 0)
