"""A queue of a million files and the dashboard on it: memory, first frame, wake-ups while nothing moves, CPU with 16 transfers.

hoist queues 16 real files and is ended; the other rows are copies of those, written straight into the queue. Used by run.py --scale.
"""
import fcntl
import glob
import os
import pty
import select
import shutil
import signal
import sqlite3
import struct
import subprocess
import termios
import time

ROWS, MOVING, FILE_MIB = 1_000_000, 16, 64
QUEUED, PAUSED = 0, 6
LIMIT = "4M"                # keeps 16 transfers moving for as long as is measured
LOOK_S = 10


class Dashboard:
    """hoist in a pseudo-terminal of 120x40."""

    def __init__(self, argv, env):
        self.started = time.monotonic()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(argv[0], argv, {**env, "TERM": "xterm-256color"})
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))

    def read(self, seconds, until=None):
        """What the dashboard draws; returns when until was drawn, else after that time."""
        seen, end = b"", time.monotonic() + seconds
        while time.monotonic() < end:
            if not select.select([self.fd], [], [], max(end - time.monotonic(), 0))[0]:
                break
            try:
                seen += os.read(self.fd, 65536)
            except OSError:             # it has ended
                break
            if until is not None and until in seen:
                break
        return seen

    def numbers(self):
        """(voluntary switches of all threads, CPU seconds, resident MiB)"""
        switches = 0
        for path in glob.glob(f"/proc/{self.pid}/task/*/status"):
            with open(path, encoding="ascii") as f:
                switches += next(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt_switches"))
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as f:
            fields = f.read().rpartition(")")[2].split()
        with open(f"/proc/{self.pid}/status", encoding="utf-8") as f:
            peak = next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
        return switches, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), peak / 1024

    def close(self):
        os.kill(self.pid, signal.SIGTERM)
        end = time.monotonic() + 20
        while os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            self.read(0.1)
            time.sleep(0.02)
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
        os.close(self.fd)


def fill(state):
    """Copies the last row until there are ROWS; they are paused, so that what moves are the real files."""
    db = sqlite3.connect(f"{state}/queue.db")
    columns = [row[1] for row in db.execute("PRAGMA table_info(job)")]
    copied = {"id": "id + n", "pos": "pos + n * 1048576", "path": "CAST(path || '-' || n AS BLOB)", "name": "CAST(name || '-' || n AS BLOB)",
              "key": "CAST(key || '-' || n AS BLOB)", "state": str(PAUSED), "ino": "ino + n", "acked": "0"}
    db.execute(f"""WITH RECURSIVE more(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < {ROWS - MOVING})
        INSERT INTO job({','.join(columns)}) SELECT {','.join(copied.get(c, c) for c in columns)} FROM more, (SELECT * FROM job ORDER BY id DESC LIMIT 1)""")
    db.commit()
    db.close()


def set_real(state, number):
    db = sqlite3.connect(f"{state}/queue.db")
    db.execute("UPDATE job SET state=? WHERE id IN (SELECT id FROM job ORDER BY id LIMIT ?)", (number, MOVING))
    db.commit()
    db.close()


def queue_files(o, r, folder, state):
    os.makedirs(folder)
    for i in range(MOVING):
        with open(f"{folder}/real-{i:02d}.bin", "wb") as f:
            f.truncate(FILE_MIB << 20)
    argv = [o.hoist, "up", "--quiet", "--images", "none", "--state", state, "--endpoint", r.url, "--limit", "1k", "--unsigned-payload",
            "--checksum", "none", "--parts", "1", "--to", "s3://bench-bucket/p", folder]
    with subprocess.Popen(argv, env=r.env, stderr=subprocess.DEVNULL) as first:
        time.sleep(3)
        first.terminate()


def measure(argv, env, shown):
    d = Dashboard(argv, env)
    frame = b"" if shown is None else d.read(20, until=shown)
    first = time.monotonic() - d.started
    if shown is not None and shown not in frame:
        d.close()
        raise SystemExit(f"the dashboard does not show {shown!r}")
    d.read(5)                           # what is begun at the start is over
    before = d.numbers()
    drawn = len(d.read(LOOK_S))
    after = d.numbers()
    d.close()
    return first, after[0] - before[0], (after[1] - before[1]) / LOOK_S, after[2], drawn


def run(o, r, start_sink):
    folder, state = f"{o.data}/queue", f"{r.work}/queue-state"
    shutil.rmtree(state, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    sink = start_sink(r)
    try:
        queue_files(o, r, folder, state)
        fill(state)
        base = [o.hoist, "--state", state, "--endpoint", r.url]
        set_real(state, PAUSED)
        firsts = []
        for _ in range(3):
            first, switches, cpu, peak, drawn = measure(base, r.env, b"real-")
            firsts.append(first)
        print(f"\n| {ROWS:,} files in the queue | |\n|---|---|")
        print(f"| first frame with rows, least of 3 | {min(firsts) * 1000:.0f} ms |")
        print(f"| peak memory, nothing moving | {peak:.0f} MiB |")
        print(f"| idle for {LOOK_S} s: wake-ups of all threads, bytes drawn, CPU | {switches}, {drawn}, {cpu * 100:.1f} % of a core |")
        set_real(state, QUEUED)
        first, switches, cpu, peak, drawn = measure([*base, "-j", str(MOVING), "--limit", LIMIT], r.env, b"real-")
        print(f"| {MOVING} transfers at {LIMIT}B/s together: CPU of the whole program | {cpu * 100:.1f} % of a core |")
        print(f"| peak memory then | {peak:.0f} MiB |")
    finally:
        sink.terminate()
        sink.wait()
        shutil.rmtree(state, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
