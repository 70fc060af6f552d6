"""kill -9 at every write and every request, then: the same objects as without, nothing left open, nothing done that is not there.

hoist is built with fault points (-Dcrash_points=true): HOIST_CRASH_COUNT=FILE counts those of a run, HOIST_CRASH_AT=N kills it at the N-th.
rclone gets every point; the slower servers every fifth, each from another one on. Other kills come after a random time, with a fixed seed.
"""
import concurrent.futures
import os
import random
import shutil
import signal
import subprocess
import threading
import time

import lib
from proxy import Proxy

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
        lib.write(f"{self.src}/empty", b"")
        lib.write(f"{self.src}/small.txt", b"a few bytes\n")
        lib.write(f"{self.src}/sub/middle.bin", lib.data(300000))
        lib.write(f"{self.src}/large.bin", lib.data(17 * 1024 * 1024 + 123, seed=2))
        for name in ("plain.jpg", "alpha.png"):
            shutil.copy(f"{IMAGES}/{name}", f"{self.src}/{name}")
        self.wanted, self.points = self.undisturbed()

    def undisturbed(self):
        case = Case(self)
        count = self.t.path("count")
        status, events, err = case.up(case.args, env={"HOIST_CRASH_COUNT": count})
        assert status == 0, f"undisturbed: {status} {err}"
        found = case.objects()
        sources = {k: v for k, v in lib.tree(self.src).items() if not k.endswith((".jpg", ".png"))}
        assert {k: v for k, v in found.items() if not k.endswith(".webp")} == sources, sorted(found)
        assert len(found) == len(sources) + 2
        case.close()
        return found, int(open(count).read())

    def get(self, bucket, key):
        return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()

    def next_case(self):
        with self.lock:
            self.cases += 1
            return self.cases


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
        self.args = ["--to", f"s3://{self.bucket}/{self.prefix}", "--part-size", "5MiB", "--images", "web", world.src]
        self.hit_in_flight = set()

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
        self.hit_in_flight |= {e["target"] for e in self.part_puts() if e["status"] == 0}
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
        for (key,) in done:
            assert self.world.get(self.bucket, key) == self.world.wanted[key.removeprefix(self.prefix)], f"{key} is done but not there"

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
            assert content == self.world.wanted[key], f"{key} differs"
        left = [k for k in self.world.server.open_uploads(self.bucket) if k.startswith(self.prefix)]
        assert not left, f"open uploads: {left}"
        states = self.journal("SELECT state,count(*) FROM job GROUP BY state")
        assert states == [(DONE, len(found))], f"states: {states}"
        assert self.journal("SELECT count(*) FROM upload WHERE state<3") == [(0,)]
        sent = [e["target"] for e in self.part_puts()]
        twice = {x for x in sent if sent.count(x) > 1}
        assert twice <= self.hit_in_flight, f"sent again though not in flight: {twice - self.hit_in_flight}"
        spooled = [n for _, _, names in os.walk(f"{self.home}/cache/hoist/spool") for n in names]
        assert not [n for n in spooled if n.endswith((".webp", ".jpg", ".tmp", ".meta"))], f"left in the spool: {spooled}"
        assert lib.wait_for(lambda: not self.workers(), 10), f"image workers outlive hoist: {self.workers()}"

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


def test_every_fifth_point_seaweedfs(t):
    sampled(t, lib.SeaweedFS, 2)


def test_every_fifth_point_versitygw(t):
    sampled(t, lib.VersityGW, 4)


def test_every_fifth_point_given(t):
    if not os.environ.get("HOIST_TEST_S3"):
        raise lib.Skip("no further endpoint (HOIST_TEST_S3)")
    sampled(t, lib.Given, 1)


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
