#!/usr/bin/env python3
"""What pictures cost: hoist, bare libvips (pool.c) and other programs in turns over 24 photos. Prints Markdown.

run.py [TASK...]      webp2 webp4 jpeg target memory upload; none = all. See README.md one folder up.
Tools run in turns, round by round; medians count, and the ratio to pool in the same round. Everybody makes the same: at most 1920 px, upright, no
metadata, two pictures at a time, WebP at quality 80 or JPEG at quality 80.
"""
import argparse
import contextlib
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
WORK = os.path.join(ROOT, "build/bench")
EFFORT = {"webp2": 2, "webp4": 4}
# hoist counts quality on one scale for all formats, libwebp's: 87 is what makes JPEG's Q81, the next to 80. No file may be left as it is, to compare like with like.
SAME = "metadata=none min-savings=0 max-bytes=none max-edge=1920"


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("task", nargs="*", default=["webp2", "webp4", "jpeg", "target", "memory", "upload"])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--set", default=f"{WORK}/photos", help="folder with the photos; made by mkset.sh when it is not there")
    p.add_argument("--hoist", help="program to measure instead of building one")
    p.add_argument("--sharp", default=os.environ.get("SHARP", f"{WORK}/sharp"), help="folder with node_modules/sharp (npm install sharp)")
    p.add_argument("--caesium", default=os.environ.get("CAESIUM", "caesiumclt"), help="caesiumclt (cargo install caesiumclt)")
    p.add_argument("--only", help="only these tools, such as hoist,pool")
    p.add_argument("--photos", type=int, default=500, help="of the task upload")
    return p.parse_args()


def say(text):
    print(text, file=sys.stderr, flush=True)


def sh(*argv, **kw):
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, **kw)


def build(o):
    os.makedirs(WORK, exist_ok=True)
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "vips"], check=True, capture_output=True, text=True).stdout.split()
    for name, source, libs in (("pool", f"{HERE}/pool.c", flags), ("s3sink", f"{HERE}/../s3sink.c", ["-lssl", "-lcrypto"])):
        if not os.path.exists(f"{WORK}/{name}") or os.path.getmtime(f"{WORK}/{name}") < os.path.getmtime(source):
            sh("cc", "-O2", "-o", f"{WORK}/{name}", source, *libs)
    if o.hoist is None:
        if not os.path.exists(f"{WORK}/release/build.ninja"):
            sh("meson", "setup", f"{WORK}/release", ROOT, "--buildtype=release")
        sh("ninja", "-C", f"{WORK}/release", "tui/hoist", "imgproc/hoist-imgproc")
        o.hoist = f"{WORK}/release/tui/hoist"
    if not os.path.isdir(o.set):
        say(f"the photos into {o.set}")
        sh(f"{HERE}/mkset.sh", o.set)
    o.files = sorted(os.path.join(o.set, f) for f in os.listdir(o.set) if f.lower().endswith(".jpg"))


# ---- tools: each gives its command for a task, or None

def each_file(command, files):
    """One after the other, as people do it in a shell."""
    return ["sh", "-c", f'for f in "$@"; do {command} || exit; done', "sh", *files]


def hoist(o, task, out):
    shutil.rmtree(f"{WORK}/home", ignore_errors=True)
    words = f"format=jpeg quality=87 min-quality=87 {SAME}" if task == "jpeg" else f"format=webp quality=80 effort={EFFORT[task]} {SAME}"
    return [o.hoist, "images", "--json", "--image-workers", "2", "--state", f"{WORK}/home", "--images", f"web {words}", "--out", out, *o.files]


def pool(o, task, out):
    return [f"{WORK}/pool", "-j", "2", *(["-f", "jpg"] if task == "jpeg" else ["-e", str(EFFORT[task])]), "-q", "80", "-o", out, *o.files]


def sharp(o, task, out):
    found = os.path.isdir(f"{o.sharp}/node_modules/sharp") and shutil.which("node")
    return found and ["node", f"{HERE}/sharp.js", "jpg" if task == "jpeg" else "webp", str(EFFORT.get(task, 0)), out, *o.files]


def vipsthumbnail(o, task, out):
    form = "%s.jpg[Q=80,strip,optimize_coding]" if task == "jpeg" else f"%s.webp[Q=80,effort={EFFORT[task]},strip]"
    return shutil.which("vipsthumbnail") and ["vipsthumbnail", "-s", "1920x1920>", "--export-profile", "srgb", "-o", f"{out}/{form}", *o.files]


def imagemagick(o, task, out):
    program = next(filter(None, map(shutil.which, ("magick", "convert-im6", "convert"))), None)
    how = "" if task == "jpeg" else f"-define webp:method={EFFORT[task]}"
    return program and each_file(f'{program} "$f" -auto-orient -resize "1920x1920>" -strip -quality 80 {how} '
                                 f'"{out}/${{f##*/}}.{"jpg" if task == "jpeg" else "webp"}"', o.files)


def caesiumclt(o, task, out):
    if task == "webp2" or not shutil.which(o.caesium):      # it has one effort
        return None
    return [o.caesium, "-q", "80", "--long-edge", "1920", "--no-upscale", "--threads", "2", *([] if task == "jpeg" else ["--format", "webp"]), "-o", out, *o.files]


TOOLS = [hoist, pool, sharp, vipsthumbnail, imagemagick, caesiumclt]


# ---- one run

def clean_env(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "HOIST_", "XDG_")) and "proxy" not in k.lower()}
    return {**env, "VIPS_WARNING": "0", "MAGICK_THREAD_LIMIT": "1", **more}


def measured(argv, o, sample=False, env=None):
    """wall and CPU seconds of a command and its children; with sample, the most memory that all of them had at once, in MiB."""
    peak = Peak() if sample else None
    with open(f"{WORK}/images.log", "wb") as log:
        began = time.monotonic()
        child = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=clean_env(SHARP=o.sharp, **(env or {})))
        if peak:
            peak.watch(child.pid)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "status": child.returncode, **(peak.end() if peak else {})}


class Peak:
    """Samples a process and its descendants every 10 ms: their proportional set sizes (shared pages counted once) and resident set sizes."""

    def watch(self, pid):
        self.pid, self.pss, self.rss, self.stop = pid, 0, 0, threading.Event()
        self.thread = threading.Thread(target=self.loop)
        self.thread.start()

    def family(self):
        found, todo = [], [self.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            with contextlib.suppress(OSError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
                        todo += map(int, f.read().split())
        return found

    def loop(self):
        while not self.stop.wait(0.01):
            pss = rss = 0
            for pid in self.family():
                with contextlib.suppress(OSError, ValueError), open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
                    fields = dict(line.split(":")[:2] for line in f.read().splitlines()[1:])
                    pss += int(fields["Pss"].split()[0])
                    rss += int(fields["Rss"].split()[0])
            self.pss, self.rss = max(self.pss, pss), max(self.rss, rss)

    def end(self):
        self.stop.set()
        self.thread.join()
        return {"pss": self.pss / 1024, "rss": self.rss / 1024}


def turn(o, tool, task, sample=False):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as out:
        argv = tool(o, task, out)
        got = measured(argv, o, sample)
        made = [os.path.join(d, f) for d, _, fs in os.walk(out) for f in fs]
        if got["status"] != 0 or len(made) != len(o.files):
            say(f"  {tool.__name__}: exit {got['status']}, {len(made)} of {len(o.files)} pictures; see {WORK}/images.log")
            return None
        got["out"] = sum(map(os.path.getsize, made)) / 1e6
    return got


def tools(o, task):
    chosen = [t for t in TOOLS if o.only is None or t is pool or t.__name__ in o.only.split(",")]
    present = [t for t in chosen if t(o, task, "/nowhere")]
    missing = [t.__name__ for t in chosen if t not in present]
    say(f"{task}: {', '.join(t.__name__ for t in present)}{' (not here: ' + ', '.join(missing) + ')' if missing else ''}")
    return present


median = statistics.median


def plain(o, task):
    runs = {}
    for number in range(o.rounds + 1):                  # the first warms up, and is the one in which memory is looked at
        for tool in tools(o, task) if number == 0 else runs.keys():
            got = turn(o, tool, task, sample=number == 0)
            say(f"  round {number} {tool.__name__}: " + (f"CPU {got['cpu']:.2f} s, wall {got['wall']:.2f} s" if got else "failed"))
            if number == 0 and got:
                runs[tool] = [got]
            elif got:
                runs[tool].append(got)
    n = len(o.files)
    print(f"\n### {n} photos to {'JPEG Q80' if task == 'jpeg' else f'WebP Q80, effort {EFFORT[task]}'}, 1920 px\n")
    print("| tool | CPU s a picture | × pool | pictures a second | × pool | memory of all, MiB | MB out |")
    print("|---|---|---|---|---|---|---|")
    for tool, (first, *rest) in sorted(runs.items(), key=lambda x: median(r["cpu"] for r in x[1][1:])):
        pairs = list(zip(rest, runs[pool][1:]))
        print(f"| {tool.__name__} | {median(r['cpu'] for r in rest) / n:.3f} | {median(a['cpu'] / b['cpu'] for a, b in pairs):.2f} "
              f"| {n / median(r['wall'] for r in rest):.1f} | {median(b['wall'] / a['wall'] for a, b in pairs):.2f} | {first['pss']:.0f} | {first['out']:.2f} |")


def target(o):
    """A byte target that needs a search, against one plain encode of the same photos: the six whose results are largest, six copies of each."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as work:
        def job(files, out, words):
            shutil.rmtree(f"{WORK}/home", ignore_errors=True)
            argv = [o.hoist, "images", "--json", "--image-workers", "2", "--state", f"{WORK}/home", "--images",
                    f"web format=webp quality=80 effort=2 metadata=none min-savings=0 {words}", "--out", out, *files]
            got = measured(argv, o)
            assert got["status"] == 0, open(f"{WORK}/images.log", errors="replace").read()[-2000:]
            with open(f"{WORK}/images.log", encoding="utf-8") as log:
                got["objects"] = [x for line in log if line.startswith("{") for x in json.loads(line).get("objects", [])]
            shutil.rmtree(out, ignore_errors=True)
            return got

        sizes = {}
        for f in o.files:
            sizes[f] = job([f], f"{work}/out", "max-bytes=none")["objects"][0]["bytes"]
        ratios, encodes = [], []
        for f in sorted(sizes, key=sizes.get)[-6:]:
            copies = [shutil.copy(f, f"{work}/{i}.jpg") for i in range(6)]
            for _ in range(max(1, o.rounds // 2)):
                one = job(copies, f"{work}/out", "max-bytes=none")
                some = job(copies, f"{work}/out", f"max-bytes={sizes[f] * 6 // 10}")
                ratios.append(some["cpu"] / one["cpu"])
            encodes += [x["recipe"].rsplit(", ", 1)[-1] for x in some["objects"][:1]]
    print(f"\n### Byte target of 60 % of the plain size, against one plain encode\n\nCPU × {median(ratios):.2f} (median of {len(ratios)} pairs; "
          f"{min(ratios):.2f} to {max(ratios):.2f}); {', '.join(encodes)}")


def memory(o):
    got = max((turn(o, hoist, "webp2", sample=True) for _ in range(3)), key=lambda x: x["pss"])
    print(f"\n### Memory of hoist and its two workers together\n\n{got['pss']:.0f} MiB with shared pages counted once, {got['rss']:.0f} MiB as the sum of resident sizes.")


# ---- uploading meanwhile

def sink_get(url, path):
    with urllib.request.urlopen(url + path, timeout=10) as answer:
        return answer.read()


def upload(o):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as work:
        for i in range(o.photos):
            shutil.copy(o.files[i % len(o.files)], f"{work}/{i:04}.jpg")
        photos = [f"{work}/{i:04}.jpg" for i in range(o.photos)]
        recipe = f"web format=webp quality=80 effort=2 {SAME}"
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        sink = subprocess.Popen([f"{WORK}/s3sink", "-p", str(port)])
        aws = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "benchsecret", "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}

        def up(images, paths, *more):
            shutil.rmtree(f"{WORK}/home", ignore_errors=True)
            sink_get(url, "/_reset")
            got = measured([o.hoist, "up", "--quiet", "--state", f"{WORK}/home", "--image-workers", "2", "--images", images, "--unsigned-payload", "--endpoint", url,
                            "--to", "s3://bench-bucket/p", *more, *paths], o, env={**aws, "XDG_CACHE_HOME": f"{WORK}/home/cache"})
            assert got["status"] == 0 and json.loads(sink_get(url, "/_stats"))["put"] >= o.photos, open(f"{WORK}/images.log", errors="replace").read()[-2000:]
            return got["wall"]

        def compress(out):
            shutil.rmtree(out, ignore_errors=True)
            shutil.rmtree(f"{WORK}/home", ignore_errors=True)
            got = measured([o.hoist, "images", "--json", "--image-workers", "2", "--state", f"{WORK}/home", "--images", recipe, "--out", out, *photos], o,
                           env={"XDG_CACHE_HOME": f"{WORK}/home/cache"})
            assert got["status"] == 0
            return got["wall"]

        try:
            for _ in range(100):
                with contextlib.suppress(OSError):
                    sink_get(url, "/_reset")
                    break
                time.sleep(0.05)
            rows = []
            for _ in range(max(1, o.rounds // 2)):
                alone = compress(f"{work}/made")
                made = [os.path.join(d, f) for d, _, fs in os.walk(f"{work}/made") for f in fs]
                volume = sum(map(os.path.getsize, made))
                for name, limit in (("as fast as it goes", None), ("half as fast as two workers compress", int(volume / alone / 2))):
                    more = ["--limit", str(limit)] if limit else []
                    sent = up("none", made, *more)
                    both = up(recipe, photos, *more)
                    rows.append((name, alone, sent, both))
                    say(f"  {name}: compressing {alone:.1f} s, uploading {sent:.1f} s, both {both:.1f} s")
        finally:
            sink.terminate()
            sink.wait()
    print(f"\n### {o.photos} photos compressed and uploaded at once, to the sink on loopback\n\n| network | compressing alone | uploading alone | both | × the slower |")
    print("|---|---|---|---|---|")
    for name in dict.fromkeys(r[0] for r in rows):
        a, s, b = (median(r[i] for r in rows if r[0] == name) for i in (1, 2, 3))
        print(f"| {name} | {a:.1f} s | {s:.1f} s | {b:.1f} s | {median(r[3] / max(r[1], r[2]) for r in rows if r[0] == name):.2f} |")


def main():
    o = options()
    build(o)
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((line.split(":")[1].strip() for line in f if line.startswith("model name")), platform.machine())
    load = os.getloadavg()[0]
    for task in o.task:
        {"target": target, "memory": memory, "upload": upload}.get(task, lambda o, task=task: plain(o, task))(o)
    print(f"\n{os.cpu_count()} cores ({model}), Linux {platform.release()}; load {load:.1f} before, {os.getloadavg()[0]:.1f} after.")


if __name__ == "__main__":
    main()
