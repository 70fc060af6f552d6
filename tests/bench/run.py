#!/usr/bin/env python3
"""What an upload costs the client: hoist, bare libcurl and other clients in turns against a sink on loopback. Prints Markdown.

run.py [WORKLOAD...]      big-http big-https s4-http s4-https; default: big-http big-https s4-http
A WORKLOAD is DATA-SCHEME: big = one large file, s4 = many files of 4 KiB. Clients take turns, round by round; what counts is the CPU time
(median) and the ratio to bare libcurl in the same round. Wall times on a machine that does other things are only good for their minimum.
"""
import argparse
import json
import os
import platform
import random
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MIB = 1 << 20
SMALL_BYTES = 4096


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("workload", nargs="*", default=["big-http", "big-https", "s4-http"])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--big-mib", type=int, default=4096, help="size of the large file")
    p.add_argument("--files", type=int, default=10000, help="number of small files")
    p.add_argument("--jobs", type=int, default=16, help="transfers at once, of every client that can be told")
    p.add_argument("--clients", help="only these, such as floor,hoist,mc (floor always runs)")
    p.add_argument("--peers", default=os.environ.get("PEERS"), help="folder with bin/{s5cmd,rclone,mc} and venv (awscrt); also $PEERS; else PATH")
    p.add_argument("--hoist", help="program to measure instead of building one")
    p.add_argument("--data", default="/dev/shm/hoist-bench", help="where the files are made; removed afterwards unless --keep")
    p.add_argument("--keep", action="store_true")
    p.add_argument("--scale", action="store_true", help="measure a queue of a million files and the dashboard on it instead")
    return p.parse_args()


def say(text):
    print(text, file=sys.stderr, flush=True)


def sh(*argv, **kw):
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, **kw)


# ---- what is needed

def build(o, work):
    for name, libs in (("s3sink", ("-lssl", "-lcrypto")), ("floor", ("-lcurl", "-lssl", "-lcrypto")), ("measure", ())):
        program, source = f"{work}/{name}", f"{HERE}/{name}.c"
        if not os.path.exists(program) or os.path.getmtime(program) < os.path.getmtime(source):
            sh("cc", "-O2", "-o", program, source, *libs)
    if o.hoist is None:
        if not os.path.exists(f"{work}/release/build.ninja"):
            sh("meson", "setup", f"{work}/release", ROOT, "--buildtype=release")
        sh("ninja", "-C", f"{work}/release", "tui/hoist")
        o.hoist = f"{work}/release/tui/hoist"


def certificates(work):
    tls = f"{work}/tls"
    if not os.path.exists(f"{tls}/cert.pem"):
        os.makedirs(tls, exist_ok=True)
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        with open(f"{tls}/names", "w", encoding="utf-8") as f:
            f.write("subjectAltName=DNS:localhost,IP:127.0.0.1")
        for argv in (["req", "-x509", *key, "-days", "3650", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=bench-ca"],
                     ["req", *key, "-keyout", "key.pem", "-out", "req.pem", "-subj", "/CN=localhost"],
                     ["x509", "-req", "-in", "req.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "3650", "-extfile", "names", "-out", "cert.pem"]):
            sh("openssl", *argv, cwd=tls, stderr=subprocess.DEVNULL)
    return tls


def make_data(o, workloads):
    """Bytes that do not compress, on tmpfs, so that no disk is measured."""
    os.makedirs(o.data, exist_ok=True)
    block = random.Random(1).randbytes(MIB)
    big = f"{o.data}/big.bin"
    if any(w.startswith("big") for w in workloads) and not (os.path.exists(big) and os.path.getsize(big) == o.big_mib * MIB):
        with open(big, "wb") as f:
            for i in range(o.big_mib):
                f.write(block[i % MIB:] + block[:i % MIB])
    if any(w.startswith("s4") for w in workloads):
        for i in range(o.files):
            path = f"{o.data}/s4/d{i // 100:04d}/f{i:06d}.bin"
            if not os.path.exists(path):
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as f:
                    f.write(block[i:i + SMALL_BYTES])


# ---- clients: each gives its command line, and the environment it wants

class Run:
    def __init__(self, o, work, tls, workload):
        self.o, self.work = o, work
        self.data, self.scheme = workload.split("-")
        self.is_big = self.data == "big"
        self.src = f"{o.data}/big.bin" if self.is_big else f"{o.data}/s4"
        self.files = 1 if self.is_big else o.files
        self.bytes = o.big_mib * MIB if self.is_big else o.files * SMALL_BYTES
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.hostport = f"127.0.0.1:{self.port}"
        self.url = f"{self.scheme}://{self.hostport}"
        self.tls = tls
        ca = f"{tls}/ca.pem"
        self.env = {**os.environ, "CA": ca, "SSL_CERT_FILE": ca, "AWS_CA_BUNDLE": ca, "AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "benchsecret",
                    "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "SRC": self.src, "PART_MB": "16",
                    "SCHEME": self.scheme, "HOSTPORT": self.hostport, "XDG_CACHE_HOME": f"{work}/cache"}

    def peer(self, name):
        path = f"{self.o.peers}/bin/{name}" if self.o.peers else None
        return path if path and os.access(path, os.X_OK) else shutil.which(name)


def floor(r):
    """libcurl multi, one thread, signed headers, no journal: for large files a read callback with 256 KiB, for small ones POSTFIELDS and epoll."""
    how = {"UPLOAD_KB": "256"} if r.is_big else {"SIGN": "1", "EPOLL": "1"}
    return [f"{r.work}/floor", "big" if r.is_big else "post", str(r.o.jobs), "16", r.src, r.url, "/bench-bucket/p"], how


def hoist(r):
    shutil.rmtree(f"{r.work}/state", ignore_errors=True)
    return [r.o.hoist, "up", "--quiet", "--images", "none", "--unsigned-payload", "--state", f"{r.work}/state", "--endpoint", r.url, "-j", str(r.o.jobs),
            "--to", "s3://bench-bucket/p", r.src], {}


def s5cmd(r):
    program = r.peer("s5cmd")
    head = [program, "--numworkers", str(r.o.jobs), "--endpoint-url", r.url, "--log", "error", "cp"]
    if r.is_big:
        return program and head + ["--concurrency", str(r.o.jobs), "--part-size", "16", r.src, "s3://bench-bucket/p/big.bin"], {}
    return program and head + ["--concurrency", "1", "--part-size", "64", r.src + "/", "s3://bench-bucket/p/"], {}


def rclone(r):
    program = r.peer("rclone")
    head = [program, "--config", "/dev/null", "-q", "--stats", "0", "--ignore-checksum", "--no-check-dest", "--no-traverse", "--s3-provider", "Other", "--s3-env-auth",
            "--s3-region", "us-east-1", "--s3-no-check-bucket", "--s3-no-head", "--s3-disable-checksum", "--s3-use-unsigned-payload=true", "--s3-endpoint", r.url]
    if r.is_big:
        return program and head + ["--s3-upload-concurrency", str(r.o.jobs), "--s3-chunk-size", "16M", "copyto", r.src, ":s3:bench-bucket/p/big.bin"], {}
    return program and head + ["--transfers", str(r.o.jobs), "--checkers", str(r.o.jobs), "--s3-upload-cutoff", "100M", "copy", r.src, ":s3:bench-bucket/p"], {}


def mc(r):
    program = r.peer("mc")
    env = {"MC_HOST_bench": f"{r.scheme}://bench:benchsecret@{r.hostport}", "MC_CONFIG_DIR": f"{r.work}/mc"}
    if r.is_big:
        return program and [program, "-q", "put", "--parallel", str(r.o.jobs), "--part-size", "16MiB", r.src, "bench/bench-bucket/p/big.bin"], env
    return program and [program, "-q", "cp", "--recursive", r.src + "/", "bench/bench-bucket/p/"], env


def crt(r):
    python = f"{r.o.peers}/venv/bin/python" if r.o.peers and os.path.exists(f"{r.o.peers}/venv/bin/python") else sys.executable
    found = subprocess.run([python, "-c", "import awscrt"], check=False, stderr=subprocess.DEVNULL).returncode == 0
    return found and [python, f"{HERE}/crt_put.py"], {}


CLIENTS = [floor, hoist, s5cmd, rclone, mc, crt]


# ---- one run

def sink_get(r, path):
    import ssl
    context = ssl.create_default_context(cafile=f"{r.tls}/ca.pem") if r.scheme == "https" else None
    with urllib.request.urlopen(r.url + path, context=context, timeout=10) as answer:
        return answer.read()


def start_sink(r):
    argv = [f"{r.work}/s3sink", "-p", str(r.port)] + (["-t", "-c", f"{r.tls}/cert.pem", "-k", f"{r.tls}/key.pem"] if r.scheme == "https" else [])
    sink = subprocess.Popen(argv)
    for _ in range(100):
        try:
            sink_get(r, "/_reset")
            return sink
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the sink did not start")


def measure(r, client):
    """One run in a sink of its own; None when it did not do the work."""
    argv, env = client(r)
    if not argv:
        return None
    sink = start_sink(r)
    try:
        out = subprocess.run([f"{r.work}/measure", *argv], env={**r.env, **env, "MEASURE_LOG": f"{r.work}/{client.__name__}.log"}, check=True,
                             capture_output=True, text=True).stdout
        stats = json.loads(sink_get(r, "/_stats"))
    finally:
        sink.terminate()
        sink.wait()
    wall, user, system, rss_kib, status = out.strip().split(",")
    if int(status) != 0 or stats["object_bytes"] < r.bytes or stats["put"] + stats["complete"] < r.files:
        say(f"  {client.__name__}: did not upload everything (exit {status}); see {r.work}/{client.__name__}.log")
        return None
    return {"wall": float(wall), "cpu": float(user) + float(system), "rss": int(rss_kib) / 1024, "sink": stats["cpu"],
            "conns": stats["connections"] - 1, "requests": stats["requests"] - 1}


def table(r, runs):
    median = statistics.median
    big = r.is_big
    unit, per = ("CPU s/GB", r.bytes / 1e9) if big else ("CPU µs/file", r.files / 1e6)
    size = f"1 file of {r.bytes / (1 << 30):g} GiB" if big else f"{r.files:,} files of 4 KiB"
    print(f"\n### {size} over {r.scheme}\n")
    print(f"| client | CPU, × bare libcurl | {unit} (median) | least | with the sink's | wall s, least | × bare libcurl | peak MiB | connections | requests |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    bare = runs["floor"]
    for name, rows in sorted(runs.items(), key=lambda x: median(v["cpu"] for v in x[1].values())):
        cpu = [v["cpu"] for v in rows.values()]
        ratios = [v["cpu"] / bare[i]["cpu"] for i, v in rows.items() if i in bare]
        least = min(v["wall"] for v in rows.values())
        both = median(v["cpu"] + v["sink"] for v in rows.values())
        show = (lambda x: f"{x / per:.2f}") if big else (lambda x: f"{x / per:.0f}")
        last = list(rows.values())[-1]
        print(f"| {'bare libcurl' if name == 'floor' else name} | {median(ratios):.2f} | {show(median(cpu))} | {show(min(cpu))} | {show(both)} | {least:.2f} "
              f"| {least / min(v['wall'] for v in bare.values()):.2f} | {max(v['rss'] for v in rows.values()):.0f} | {last['conns']} | {last['requests']} |")


def bench(o, work, tls, workload):
    r = Run(o, work, tls, workload)
    wanted = [c for c in CLIENTS if o.clients is None or c is floor or c.__name__ in o.clients.split(",")]
    present = [c for c in wanted if c(r)[0]]
    say(f"{workload}: " + ", ".join(c.__name__ for c in present)
        + (f" (not found: {', '.join(c.__name__ for c in wanted if c not in present)})" if len(present) < len(wanted) else ""))
    runs = {}
    for number in range(o.rounds + 1):          # the first round warms up
        for client in present:
            got = measure(r, client)
            say(f"  round {number} {client.__name__}: " + (f"CPU {got['cpu']:.2f} s, wall {got['wall']:.2f} s" if got else "failed"))
            if got and number > 0:
                runs.setdefault(client.__name__, {})[number] = got
    if "floor" not in runs:
        raise SystemExit("the yardstick itself failed")
    table(r, runs)


def machine(o, load):
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((line.split(":")[1].strip() for line in f if line.startswith("model name")), platform.machine())
    with open("/proc/meminfo", encoding="utf-8") as f:
        memory = int(f.readline().split()[1]) >> 20
    versions = subprocess.run([o.hoist, "--version"], check=False, capture_output=True, text=True).stdout.strip()
    print(f"{os.cpu_count()} cores ({model}), {memory} GiB, Linux {platform.release()}; load {load:.1f} before, {os.getloadavg()[0]:.1f} after. {versions}")


def main():
    o = options()
    work = f"{ROOT}/build/bench"
    os.makedirs(work, exist_ok=True)
    build(o, work)
    tls = certificates(work)
    load = os.getloadavg()[0]
    made = not os.path.exists(o.data)
    try:
        if o.scale:
            sys.path.insert(0, HERE)
            import scale
            scale.run(o, Run(o, work, tls, "big-http"), start_sink)
        else:
            make_data(o, o.workload)
            for workload in o.workload:
                bench(o, work, tls, workload)
    finally:
        if made and not o.keep:
            shutil.rmtree(o.data, ignore_errors=True)
    print()
    machine(o, load)


main()
