"""kill -9 at every write and every request, then: the same objects as without, nothing left open, nothing done that is not there.

hoist is built with fault points (-Dcrash_points=true): HOIST_CRASH_COUNT=FILE counts those of a run, HOIST_CRASH_AT=N kills it at the N-th.
rclone gets every point; the slower servers every fifth, each from another one on. Other kills come after a random time, with a fixed seed.
"""
import concurrent.futures
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.parse

import brokers
import lib
import nextcloud
from kodo import Kodo
from oss import Oss
from proxy import Proxy
from sessions import TOKEN, Stores
from test_dav import RcloneDav
from tusd import Tusd

AT_ONCE = 2
IMAGES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "images")
DONE, CANCELLED = 4, 8


class World:
    """One server, the files, and what an undisturbed run made of them: key below the prefix -> content."""

    def __init__(self, t, kind):
        if not fault_points():
            raise lib.Skip("hoist is built without fault points (meson -Dcrash_points=true)")
        self.t, self.server = t, t.server(kind)
        self.client = self.server.client()
        self.src = t.path("src")
        self.lock, self.cases = threading.Lock(), 0
        self.write_sources()
        self.wanted, self.points = self.undisturbed()

    def write_sources(self):
        lib.write(f"{self.src}/empty", b"")
        lib.write(f"{self.src}/small.txt", b"a few bytes\n")
        lib.write(f"{self.src}/sub/middle.bin", lib.data(300000))
        lib.write(f"{self.src}/large.bin", lib.data(17 * 1024 * 1024 + 123, seed=2))
        for name in ("jpeg/base-800.jpg", "png/gray-alpha.png"):
            shutil.copy(f"{IMAGES}/{name}", self.src)

    def args(self, case):
        return ["--to", f"s3://{case.bucket}/{case.prefix}", "--part-size", "5MiB", "--images", "web", self.src]

    def undisturbed(self):
        case = Case(self)
        count = self.t.path("count")
        status, events, err = case.up(case.args, env={"HOIST_CRASH_COUNT": count})
        assert status == 0, f"undisturbed: {status} {err}"
        found = case.objects()
        self.check_undisturbed(found)
        case.close()
        return found, int(open(count).read())

    def check_undisturbed(self, found):
        sources = {k: v for k, v in lib.tree(self.src).items() if not k.endswith((".jpg", ".png"))}
        assert {k: v for k, v in found.items() if not k.endswith(".webp")} == sources, sorted(found)
        assert len(found) == len(sources) + 2

    def check(self, case):
        """What else has to be so at the end of a case."""

    def jobs(self, found):
        """Files of these objects."""
        return len(found)

    def same(self, key, content):
        return content == self.wanted[key]

    def orphans(self, case):
        """Unfinished uploads that nobody can find again."""
        return 0

    def get(self, bucket, key):
        return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()

    def next_case(self):
        with self.lock:
            self.cases += 1
            return self.cases


class Renditions(World):
    """Pictures that become several objects each, the original beside them, one of these in parts; and a file that stays one."""
    pictures = ("yellowflower.jpg", "office-24mp.jpg")

    def write_sources(self):
        lib.write(f"{self.src}/small.txt", b"a few bytes\n")
        for name in self.pictures:
            shutil.copy(f"{IMAGES}/photo/{name}", f"{self.src}/{name}")

    def args(self, case):
        return ["--to", f"s3://{case.bucket}/{case.prefix}", "--part-size", "5MiB", "--renditions", "web,thumb", "--keep-original", self.src]

    def check_undisturbed(self, found):
        folder = os.path.basename(self.src)
        stems = [os.path.splitext(name)[0] for name in self.pictures]
        made = [f"{folder}/{stem}@{rendition}.webp" for stem in stems for rendition in ("web", "thumb")]
        sources = {f"originals/{k}" if k.endswith(".jpg") else k: v for k, v in lib.tree(self.src).items()}
        assert sorted(found) == sorted([*made, *sources]), sorted(found)
        assert {k: found[k] for k in sources} == sources

    def jobs(self, found):
        return 1 + len(self.pictures)

    def same(self, key, content):
        """A rendition that is made alone, because the others were there already, is scaled from other pixels: whole, but not the same bytes."""
        wanted = self.wanted[key]
        if not key.endswith(".webp"):
            return content == wanted
        whole = content[:4] == b"RIFF" and int.from_bytes(content[4:8], "little") + 8 == len(content)
        return whole and abs(len(content) - len(wanted)) < len(wanted) / 4


class Brokered(World):
    """Below rclone, by way of an application that hands out uploads: Uppy Companion, so one file in parts, or one that is told of each file."""

    def __init__(self, t, program, to, content):
        self.program, self.to, self.content = program(t.path(program.name)), to, content
        t.later(self.program.stop)
        self.program.start()
        self.apps = {}
        super().__init__(t, lib.Rclone)

    def write_sources(self):
        lib.write(f"{self.src}/file.bin", self.content)

    def args(self, case):
        store = brokers.store_of(self.server, case.proxy.url, case.prefix, case.bucket)
        app = self.apps[case] = self.program.case(store, name="file.bin")
        lines = ["[dest app]", *(line.replace("BASE", app.base) for line in self.to), ""]
        lib.write(f"{case.home}/config/hoist/config.ini", "\n".join(lines).encode())
        return ["--to", "app", "--images", "none", f"{self.src}/file.bin"]

    def check_undisturbed(self, found):
        assert list(found.values()) == [self.content], sorted(found)

    def check(self, case):
        if self.program.name == "app":
            assert len(self.apps[case].notifies()) >= 1, "the application did not hear of it"

    def orphans(self, case):
        """Killed before the answer to create: Companion does not list uploads."""
        creates = [e for e in self.apps[case].seen(method="POST") if e["target"].endswith("/s3/multipart")]
        return max(0, len(creates) - 1)


class AliyunServer(lib.Server):
    """The emulator of OSS, as the cases see a server."""
    name = "oss"

    def start(self):
        self.oss = Oss(self.folder)
        self.url = self.oss.url
        return self

    def client(self):
        return None

    def make_bucket(self, bucket):
        assert bucket in self.oss.objects

    def keys(self, bucket, prefix=""):
        return {k: o["size"] for k, o in self.oss.objects[bucket].items() if k.startswith(prefix)}

    def open_uploads(self, bucket):
        return [u["key"] for u in self.oss.uploads.values() if u["bucket"] == bucket]

    def stop(self):
        self.oss.close()
        super().stop()


class Aliyun(World):
    """One file in parts."""

    def __init__(self, t):
        self.content = lib.data(700000, seed=7)
        super().__init__(t, AliyunServer)

    def write_sources(self):
        lib.write(f"{self.src}/file.bin", self.content)

    def args(self, case):
        oss = self.server.oss
        case.hoist.env.update(OSS_ENDPOINT=case.proxy.url, OSS_ACCESS_KEY_ID=oss.key, OSS_ACCESS_KEY_SECRET=oss.secret)
        return ["--to", f"oss://{case.bucket}/{case.prefix}", "--part-size", "128KiB", "--images", "none", f"{self.src}/file.bin"]

    def check_undisturbed(self, found):
        assert list(found.values()) == [self.content], sorted(found)

    def get(self, bucket, key):
        return self.server.oss.get(key, bucket)


class TusServer(lib.Server):
    """The strict tus server, as the cases see a server. Keys are what the metadata says."""
    name = "tus"

    def start(self):
        self.tus = Tusd(extensions="creation,creation-with-upload,checksum,termination")
        self.url = self.tus.url
        return self

    def client(self):
        return None

    def make_bucket(self, bucket):
        pass

    def keys(self, bucket, prefix=""):
        return {k: len(v) for k, v in self.tus.contents().items() if k.startswith(prefix)}

    def open_uploads(self, bucket):
        with self.tus.lock:
            return [u.metadata["relativePath"] for u in self.tus.uploads.values() if not u.done]

    def stop(self):
        self.tus.close()
        super().stop()


class Tus(World):
    """One file in chunks with checksums."""

    def __init__(self, t):
        self.content = lib.data(3 * 1024 * 1024 + 7, seed=8)
        super().__init__(t, TusServer)

    def write_sources(self):
        lib.write(f"{self.src}/file.bin", self.content)

    def args(self, case):
        return ["--to", f"tus+{case.proxy.url}/files/", "--key", case.prefix + "{name}", "--part-size", "1MiB", "--images", "none",
                f"{self.src}/file.bin"]

    def check_undisturbed(self, found):
        assert list(found.values()) == [self.content], sorted(found)

    def get(self, bucket, key):
        return self.server.tus.contents()[key]

    def check(self, case):
        assert self.server.tus.violations == [], self.server.tus.violations

    def orphans(self, case):
        """Killed before the answer to the creation was written down: nobody knows where that upload is, and it expires."""
        return len([e for e in case.proxy.log if e["method"] == "POST" and e["forwarded"]]) - 1


class KodoServer(lib.Server):
    """The stand-in for Qiniu Kodo, as the cases see a server."""
    name = "kodo"

    def start(self):
        self.kodo = Kodo(self.folder, {self.key: self.secret}, {"bucket": {}})
        self.url = self.kodo.url
        return self

    def client(self):
        return None

    def make_bucket(self, bucket):
        assert bucket in self.kodo.buckets

    def keys(self, bucket, prefix=""):
        return {k: o["fsize"] for (_, k), o in self.kodo.objects.items() if k.startswith(prefix)}

    def open_uploads(self, bucket):
        return [u["key"] for u in self.kodo.uploads.values()]

    def stop(self):
        self.kodo.close()
        super().stop()


class Qiniu(World):
    """One file in parts, or in blocks."""

    def __init__(self, t, way):
        self.content, self.way = lib.data(8 * 1024 * 1024 + 7, seed=9), way
        super().__init__(t, KodoServer)

    def write_sources(self):
        lib.write(f"{self.src}/file.bin", self.content)

    def args(self, case):
        case.hoist.env.update(QINIU_ACCESS_KEY=lib.KEY, QINIU_SECRET_KEY=lib.SECRET)
        return ["--to", f"qiniu://{case.bucket}/{case.prefix}", "--endpoint", case.proxy.url, "--qiniu-version", self.way, "--images", "none",
                f"{self.src}/file.bin"]

    def check_undisturbed(self, found):
        assert list(found.values()) == [self.content], sorted(found)

    def get(self, bucket, key):
        return self.server.kodo.content(bucket, key)

    def orphans(self, case):
        """Killed before the answer to init was written down: Kodo does not list uploads, they end after a week."""
        return max(0, len([e for e in case.proxy.log if e["method"] == "POST" and e["target"].endswith("/uploads")]) - 1)

    def check(self, case):
        parts = [e["target"] for e in case.proxy.log if e["method"] == "PUT" and e["status"] == 200]
        assert len(parts) == len(set(parts)), f"sent again though the store had it: {parts}"


class Dav(World):
    """One file to a WebDAV server that removes a file when it is told twice to rename another one to it."""

    def __init__(self, t, kind=RcloneDav, size=300000):
        self.content = lib.data(size, seed=9)
        super().__init__(t, kind)

    def write_sources(self):
        lib.write(f"{self.src}/file.bin", self.content)

    def base(self, case):
        return case.proxy.url

    def args(self, case):
        case.hoist.env["HOIST_DAV_PASSWORD"] = nextcloud.PASSWORD
        return ["--to", f"dav+{self.base(case)}", "--key", case.prefix + "{name}", "--user", nextcloud.USER, "--part-size", "5MiB", "--images", "none",
                f"{self.src}/file.bin"]

    def check_undisturbed(self, found):
        assert list(found.values()) == [self.content], sorted(found)

    def get(self, bucket, key):
        return self.server.get(bucket, key)


class NextcloudServer(lib.Server):
    """The strict Nextcloud, as the cases see a server."""
    name = "nextcloud"

    def start(self):
        self.cloud = nextcloud.Nextcloud()
        self.url = f"http://127.0.0.1:{self.cloud.port}"
        return self

    def client(self):
        return None

    def make_bucket(self, bucket):
        pass

    def keys(self, bucket, prefix=""):
        with self.cloud.lock:
            return {k[1:]: len(f.content) for k, f in self.cloud.files.items() if k.startswith(f"/{prefix}")}

    def get(self, bucket, key):
        return self.cloud.files[f"/{key}"].content

    def open_uploads(self, bucket):
        with self.cloud.lock:
            return [u.destination[1:] for u in self.cloud.uploads.values()]

    def stop(self):
        self.cloud.close()
        super().stop()


class DavChunks(Dav):
    """One file in chunks."""

    def __init__(self, t):
        super().__init__(t, NextcloudServer, 11 * 1024 * 1024)

    def base(self, case):
        return case.proxy.url + self.server.cloud.path

    def check(self, case):
        assert not self.server.cloud.faults, self.server.cloud.faults
        again = [e for e in case.proxy.log if e["method"] == "PUT" and e["status"] == 204]
        assert len(again) <= 4, "chunks that the server had were sent again"      # at most what was on its way


class StoresServer(lib.Server):
    """The stand-ins for Cloud Storage and Azure, as the cases see a server: a bucket is what stands in front of a key."""
    name, plain_files = "stores", True

    def start(self):
        self.stores = Stores()
        self.url = self.stores.url
        return self

    def client(self):
        return self

    def create_bucket(self, Bucket):
        pass

    def keys(self, bucket, prefix=""):
        with self.stores.lock:
            return {k.removeprefix(f"{bucket}/"): len(v) for k, v in self.stores.objects.items() if k.startswith(f"{bucket}/{prefix}")}

    def open_uploads(self, bucket):
        with self.stores.lock:
            open_keys = [s.key for s in self.stores.sessions.values() if not s.done] + [k for k, blocks in self.stores.blocks.items() if blocks]
        return [k.removeprefix(f"{bucket}/") for k in open_keys if k.startswith(f"{bucket}/")]

    def stop(self):
        self.stores.close()
        super().stop()


class Sessions(World):
    """One file to a session of Cloud Storage that an application grants, or in blocks to Azure by one's own SAS."""

    def __init__(self, t, road):
        self.content, self.road = lib.data(900001, seed=10), road
        super().__init__(t, StoresServer)

    def write_sources(self):
        lib.write(f"{self.src}/file.bin", self.content)

    def args(self, case):
        stores, to = self.server.stores, "app"
        if self.road == "azure":
            case.hoist.env["AZURE_STORAGE_SAS_TOKEN"] = stores.sas("cont")
            to = f"azure+{case.proxy.url}/azure/cont/{case.bucket}"
        else:
            case.hoist.env["APP_TOKEN"] = TOKEN
            lines = ["[dest app]", "to = broker:gcs-session", f"var = base={case.proxy.url}/app/{case.bucket}", "sign-in = bearer", "secret = token=env:APP_TOKEN", ""]
            lib.write(f"{case.home}/config/hoist/config.ini", "\n".join(lines).encode())
        return ["--to", to, "--part-size", "256KiB", "--images", "none", f"{self.src}/file.bin"]

    def check_undisturbed(self, found):
        assert list(found.values()) == [self.content], sorted(found)

    def get(self, bucket, key):
        return self.server.stores.objects[f"{bucket}/{key}"]

    def orphans(self, case):
        """Killed before the session was written down: nobody knows its address, and it ends after a week."""
        return max(0, len([e for e in case.proxy.log if e["method"] == "POST" and e["target"].startswith("/gcs/")]) - 1)

    def check(self, case):
        assert self.server.stores.violations == [], self.server.stores.violations


class Case:
    """A home and a prefix of its own, with a proxy that counts what is sent."""

    def __init__(self, world):
        self.world = world
        name = f"case-{world.next_case()}"
        # a bucket of its own is as new to hoist as can be, but costs SeaweedFS volumes
        self.bucket, self.prefix = (name, "") if world.server.plain_files else ("bucket", f"{name}/")
        if world.server.plain_files:
            world.client.create_bucket(Bucket=name)
        self.proxy = proxy_of(world.server)
        self.home = world.t.path(name)
        self.hoist = lib.Hoist(self.home, world.server, url=self.proxy.url if self.proxy else None, region=os.environ.get("AWS_REGION"))
        self.args = world.args(self)
        self.hit_in_flight = set()
        self.over = {}          # objects that the journal had as stored when it was killed -> how often they had been sent

    def close(self):
        if self.proxy:
            self.proxy.close()
        shutil.rmtree(self.home, ignore_errors=True)

    # ---- runs

    def up(self, args, env=None):
        return self.hoist.up(*args, env=env, timeout=180)

    def next_args(self):
        """Resumes; names the paths again when the queue did not have them yet."""
        return [] if self.journal("SELECT count(*) FROM batch") not in (None, [(0,)]) else self.args

    def killed(self, args, at=None, after_s=None):
        """True when the run was killed, False when it ended before."""
        env = {**self.hoist.env, **({"HOIST_CRASH_AT": str(at)} if at else {})}
        p = subprocess.Popen([self.hoist.binary, "up", "--json", *args], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=self.home)
        if after_s is not None:
            time.sleep(after_s)
            p.kill()
        _, err = p.communicate(timeout=180)
        if p.returncode == 0:
            return False
        assert p.returncode == -signal.SIGKILL, f"exit status {p.returncode}: {err.decode()}"
        self.hit_in_flight |= {part_of(e) for e in self.part_puts() if e["status"] == 0}
        self.check_journal()
        return True

    # ---- what was left

    def journal(self, sql):
        """Looks into a copy: opening the queue would already mend what the kill left."""
        state, copy = f"{self.home}/state/hoist", f"{self.home}/copy"
        shutil.rmtree(copy, ignore_errors=True)
        if not os.path.exists(f"{state}/queue.db"):
            return None
        shutil.copytree(state, copy)
        fsck = subprocess.run([os.path.join(lib.BUILD, "tests/fsck"), copy], capture_output=True, text=True)
        assert fsck.returncode == 0, f"fsck {fsck.returncode}: {fsck.stdout}{fsck.stderr}"
        import sqlite3
        with sqlite3.connect(f"{copy}/queue.db") as db:
            rows = db.execute(sql).fetchall()
        db.close()
        return rows

    def check_journal(self):
        """Invariants hold, and what is marked done is really there."""
        done = self.journal(f"SELECT CAST(key AS TEXT) FROM job WHERE state={DONE}") or []
        objects = self.journal("SELECT CAST(key AS TEXT) FROM object WHERE state=1") or []
        for (key,) in done + objects:
            assert self.world.same(key.removeprefix(self.prefix), self.world.get(self.bucket, key)), f"{key} is done but not there"
        self.over.update({key: self.puts_of(key) for (key,) in objects if self.proxy})

    def puts_of(self, key):
        with self.proxy.lock:
            targets = [urllib.parse.unquote(e["target"].partition("?")[0]) for e in self.proxy.log if e["method"] == "PUT"]
        return targets.count(f"/{self.bucket}/{key}")

    def part_puts(self):
        if not self.proxy:
            return []
        with self.proxy.lock:
            return [e for e in self.proxy.log if e["method"] == "PUT" and "partNumber=" in e["target"]]

    def objects(self):
        keys = self.world.server.keys(self.bucket, self.prefix)
        return {k.removeprefix(self.prefix): self.world.get(self.bucket, k) for k in keys}

    def check(self):
        """Everything arrived as without a kill, and nothing else is left."""
        found = self.objects()
        assert sorted(found) == sorted(self.world.wanted), f"{sorted(found)}"
        for key, content in found.items():
            assert self.world.same(key, content), f"{key} differs"
        left = [k for k in self.world.server.open_uploads(self.bucket) if k.startswith(self.prefix)]
        assert len(left) <= self.world.orphans(self), f"open uploads: {left}"
        states = self.journal("SELECT state,count(*) FROM job GROUP BY state")
        assert states == [(DONE, self.world.jobs(found))], f"states: {states}"
        assert self.journal("SELECT count(*) FROM upload WHERE state<3") == [(0,)]
        sent = [part_of(e) for e in self.part_puts()]
        twice = {x for x in sent if sent.count(x) > 1}
        assert twice <= self.hit_in_flight, f"sent again though not in flight: {twice - self.hit_in_flight}"
        again = {key for key, n in self.over.items() if self.puts_of(key) != n}
        assert not again, f"stored already, and sent again: {again}"
        spooled = [n for _, _, names in os.walk(f"{self.home}/cache/hoist/spool") for n in names]
        assert not [n for n in spooled if n.endswith((".webp", ".jpg", ".tmp", ".meta"))], f"left in the spool: {spooled}"
        assert lib.wait_for(lambda: not self.workers(), 10), f"image workers outlive hoist: {self.workers()}"
        self.world.check(self)

    def workers(self):
        """Processes that stand in this case's home."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{pid}/cwd") == self.home:
                    found.append(int(pid))
            except OSError:
                pass
        return found

    def finish(self):
        status, _, err = self.up(self.next_args())
        assert status == 0, f"resumed: exit status {status}: {err}"
        self.check()


def part_of(entry):
    """Which part of which upload, without a signature."""
    return (entry["target"].partition("?")[0], *sorted(re.findall(r"(?:partNumber|uploadId)=[^&]*", entry["target"])))


def fault_points():
    return b"HOIST_CRASH_AT" in open(os.path.join(lib.BUILD, "tui/hoist"), "rb").read()


def proxy_of(server):
    """None for an endpoint that is not plain http on this machine."""
    host = server.url.removeprefix("http://").split("/")[0]
    return Proxy(int(host.split(":")[1])) if host.startswith(("127.0.0.1:", "localhost:")) else None


def together(world, name, steps):
    """Runs name(case, step) for each step, some at once; returns how many were killed. All failures are told at the end."""
    bad, killed = [], 0

    def one(step):
        case = Case(world)
        try:
            hit = step(case)
            case.finish()
            return hit
        finally:
            case.close()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        futures = {pool.submit(one, step): label for label, step in steps}
        for future in concurrent.futures.as_completed(futures):
            try:
                killed += bool(future.result())
            except Exception as why:
                bad.append(f"{name} {futures[future]}: {type(why).__name__} {why}")
    assert not bad, f"{len(bad)} of {len(steps)} failed:\n" + "\n".join(sorted(bad)[:10])
    return killed


def at_points(world, points):
    steps = [(f"{n:03}", lambda case, n=n: case.killed(case.args, at=n)) for n in points]
    return together(world, "killed at point", steps)


def sampled(t, kind, first):
    world = World(t, kind)
    points = list(range(first, world.points + 1, 5))
    killed = at_points(world, points)
    print(f"# {world.server.name}: {world.points} points, killed at {killed}")
    assert killed >= len(points) * 3 // 4


def test_every_point_rclone(t):
    world = World(t, lib.Rclone)
    # What happens at once differs from run to run, and so does the number of points.
    killed = at_points(world, range(1, world.points + 6))
    print(f"# rclone: {world.points} points, killed at {killed}")
    assert killed >= world.points * 3 // 4


def test_renditions(t):
    world = Renditions(t, lib.Rclone)
    swept(world, "renditions", first=2, step=4)


def test_every_fifth_point_seaweedfs(t):
    sampled(t, lib.SeaweedFS, 2)


def test_every_fifth_point_versitygw(t):
    sampled(t, lib.VersityGW, 4)


def test_every_fifth_point_given(t):
    if not os.environ.get("HOIST_TEST_S3"):
        raise lib.Skip("no further endpoint (HOIST_TEST_S3)")
    sampled(t, lib.Given, 1)


def swept(world, label, first=1, step=2):
    """Kills a run of one file at every few points from the first on; most of them must have been reached."""
    points = list(range(first, world.points + 3, step))
    killed = at_points(world, points)
    print(f"# {label}: {world.points} points, killed at {killed}")
    assert killed >= len(points) * 3 // 4


def test_presigned_parts(t):
    world = Brokered(t, brokers.Companion, ["to = broker:uppy-companion", "var = companion=BASE", "part-size = 5MiB", "parts-from = 5MiB"],
                     lib.data(12 * 1024 * 1024 + 1))
    swept(world, "uppy-companion")


def test_presigned_and_announced(t):
    world = Brokered(t, brokers.App, ["to = broker:presigned-put-notify", "var = base=BASE;cdn=https://cdn.example.com"], b"a few bytes\n")
    killed = at_points(world, range(1, world.points + 3))
    print(f"# presigned-put-notify: {world.points} points, killed at {killed}")
    assert killed >= world.points * 3 // 4


def test_oss(t):
    world = Aliyun(t)
    swept(world, "oss")


def test_tus(t):
    world = Tus(t)
    swept(world, "tus")


def test_qiniu_in_parts(t):
    world = Qiniu(t, "v2")
    swept(world, "kodo, v2")


def test_qiniu_in_blocks(t):
    world = Qiniu(t, "v1")
    swept(world, "kodo, v1", first=2, step=5)


def test_webdav(t):
    world = Dav(t)
    swept(world, "webdav")


def test_nextcloud(t):
    world = DavChunks(t)
    swept(world, "nextcloud", first=2)


def test_cloud_storage(t):
    world = Sessions(t, "gcs")
    swept(world, "cloud storage")


def test_azure(t):
    world = Sessions(t, "azure")
    swept(world, "azure", first=2)


def test_killed_again_in_the_resume(t):
    world = World(t, lib.Rclone)
    dice = random.Random(20)
    pairs = [(dice.randint(5, world.points), dice.randint(1, 25)) for _ in range(14)]

    def twice(case, first, second):
        return case.killed(case.args, at=first) and case.killed(case.next_args(), at=second)
    killed = together(world, "killed at", [(p, lambda case, p=p: twice(case, *p)) for p in pairs])
    print(f"# killed twice: {killed} of {len(pairs)}")


def test_killed_in_the_middle_of_parts(t):
    """Slow parts, so that the kill finds several of them half sent."""
    world = World(t, lib.Rclone)
    dice = random.Random(21)

    def in_parts(case, delay):
        case.proxy.rule("slow-read", "PUT", "partNumber=", times=4, bps=4 << 20)
        return case.killed(case.args, after_s=delay) and case.killed(case.next_args(), after_s=delay / 2)
    delays = [round(dice.uniform(0.1, 2.0), 2) for _ in range(8)]
    together(world, "killed after", [(d, lambda case, d=d: in_parts(case, d)) for d in delays])


if __name__ == "__main__":
    lib.main()
