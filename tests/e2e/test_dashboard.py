#!/usr/bin/env python3
"""The dashboard as a person meets it: drops, keys, resizes, signals and kills in a pseudo-terminal, against rclone behind a slow proxy."""
import atexit
import contextlib
import os
import re
import shutil
import signal
import sqlite3
import tempfile
import threading
import time
import urllib.parse

import lib
from dash import CTRL_C, CTRL_Z, ENTER, Dash, quoted
from proxy import Proxy

FORBIDDEN = b"""<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>not below this prefix</Message></Error>"""
REFUSE = b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % len(FORBIDDEN) + FORBIDDEN
SHARED = {}


def server():
    """One for all tests: each has a bucket of its own."""
    if not SHARED:
        folder = tempfile.mkdtemp(prefix="hoist-dash-")
        SHARED["server"] = lib.Rclone(folder).start()
        atexit.register(lambda: (SHARED["server"].stop(), shutil.rmtree(folder, ignore_errors=True)))
    return SHARED["server"]


class Scene:
    """A bucket, a proxy before it, and a home; open() shows the dashboard."""

    def __init__(self, t, proxied=True):
        self.t, self.server = t, server()
        self.bucket = re.sub("[^a-z0-9]", "-", t.name.lower())[:50]
        self.server.make_bucket(self.bucket)
        self.proxy = Proxy(self.server.port) if proxied else None
        if proxied:
            t.later(self.proxy.close)
        self.hoist = t.hoist(self.server, url=self.proxy.url if proxied else None)
        self.args = ["--to", f"s3://{self.bucket}/in", "--images", "none"]

    def open(self, *args, **kw):
        dash = Dash(self.t, self.hoist, *self.args, *args, **kw)
        dash.wait("hoist")
        return dash

    def slow(self, bps=300_000, times=10_000, target="."):
        return self.proxy.rule("slow-read", "PUT", target, times, bps=bps)

    def keys(self):
        return self.server.keys(self.bucket, "in/")

    def states(self):
        """name -> state, as the store has them"""
        names = ["queued", "preparing", "active", "completing", "done", "failed", "paused", "cancelling", "cancelled"]
        return {os.fsdecode(n): names[s] for n, s in self.hoist.rows("select name, state from job")}

    def sent(self):
        """Last words of the keys in the order in which their PUTs began."""
        return [urllib.parse.unquote(e["target"].split("?")[0]).rsplit("/", 1)[1] for e in self.proxy.log if e["method"] == "PUT"]


def end(dash, status=0):
    """Quits, and holds what is true at every end."""
    got = dash.quit()
    assert got == status, f"exit status {got}\n{dash.text()}\n{dash.errors()}"
    dash.assert_restored()
    dash.check_output()
    assert "Sanitizer" not in dash.errors() and "runtime error" not in dash.errors(), dash.errors()


def drops_folder(t):
    """Awkward names -> (folder, what is dropped, relative names, bytes)."""
    folder = t.path("dröp 'i\"t 写真")
    names = [b"a b.txt", b"it's \"q\" $x !.txt", b"new\nline.txt", "写真 é.txt".encode(), b"back\\slash.txt", b"inv\xff\xfe.txt", b"-dash.txt",
             b"[a]*?{b}&;#~.txt"]
    inside = os.fsencode(folder)
    for name in [*names, b"sub dir/c'd.txt"]:
        lib.write(os.path.join(inside, name), b"x" * 100)
    loose = os.fsencode(t.path("loose"))
    for name in names:
        lib.write(os.path.join(loose, name), b"y" * 10)
    return [inside, *(os.path.join(loose, n) for n in names)], 2 * len(names) + 1, 100 * (len(names) + 1) + 10 * len(names)


SAFE = re.compile(rb"[A-Za-z0-9_./-]+")


def single(p):
    return b"'" + p.replace(b"'", b"'\\''") + b"'"


def ansi_c(p):
    return b"$'" + p.replace(b"\\", b"\\\\").replace(b"'", b"\\'").replace(b"\n", b"\\n").replace(b"\xff", b"\\xff").replace(b"\xfe", b"\\376") + b"'"


STYLES = {  # name -> payloads of the pastes that one drop is made of
    "vte": lambda ps: [b"".join(single(p).replace(b"\n", b"\r") + b" " for p in ps)],
    "konsole": lambda ps: [b"".join((p if SAFE.fullmatch(p) else single(p)).replace(b"\n", b"\r") + b" " for p in ps)],
    "kitty": lambda ps: [b"\n".join(ps)],
    "foot": lambda ps: [b" ".join(ps)],
    "alacritty": lambda ps: [p + b" " for p in ps],
    "backslashes": lambda ps: [b" ".join(re.sub(rb"([^A-Za-z0-9_./\n\x80-\xff-])", rb"\\\1", p).replace(b"\n", b"$'\\n'") for p in ps)],
    "double": lambda ps: [b" ".join(b'"' + re.sub(rb'(["\\$`!])', rb"\\\1", p) + b'"' for p in ps)],
    "ansi-c": lambda ps: [b" ".join(map(ansi_c, ps))],
    "uris": lambda ps: [b"".join(b"file://" + urllib.parse.quote(p).encode() + b"\r\n" for p in ps)],
}


def test_drops_of_every_style(t):
    scene = Scene(t, proxied=False)
    paths, files, size = drops_folder(t)
    dash = scene.open()
    title = f"Add {files} files in 2 folders, {size} B"
    for style, payloads in STYLES.items():
        for payload in payloads(paths):
            dash.paste(payload)
        try:
            dash.wait(title, 6)
        except AssertionError as e:
            raise AssertionError(f"style {style}: {e}") from None
        assert "not found" not in dash.text(), f"{style}\n{dash.text()}"
        dash.escape().wait("nothing added")
        dash.gone(title)
    assert scene.states() == {}, "a discarded drop queued something"
    # rclone has no keys that are not UTF-8
    kept = [p for p in paths if b"\xff" not in p]
    os.unlink(os.path.join(paths[0], b"inv\xff\xfe.txt"))
    files, size = files - 2, size - 110
    dash.paste(STYLES["vte"](kept)[0])
    dash.wait(f"Add {files} files in 2 folders, {size} B")
    dash.send(ENTER).wait(f"Done {files}", 20)
    stored = scene.keys()
    assert len(stored) == files and sum(stored.values()) == size, stored
    end(dash)


def test_drops_that_are_odd(t):
    scene = Scene(t, proxied=False)
    for name in "abc":
        lib.write(t.path("x y", name), b"z" * 1000)
    files = {n: os.fsencode(t.path("x y", n)) for n in "abc"}
    dash = scene.open()
    # without brackets, all at once: never keys
    dash.send(single(files["a"]) + b" ")
    dash.wait("Add 1 file, 1.0 kB")
    # a second and a third drop while the box is open join it; the same again does not
    dash.paste(single(files["b"])).wait("Add 2 files, 2.0 kB")
    dash.paste(single(files["b"]) + b" " + single(files["c"]) + b" " + single(os.fsencode(t.path("gone"))))
    text = dash.wait("Add 3 files, 3.0 kB")
    dash.wait("1 path was not found")
    assert "gone" in dash.text(), text
    dash.escape().wait("nothing added")
    # nothing of it is there
    dash.paste(b"'/no/such/file' '/nor/this'").wait("not found: /no/such/file")
    # no path at all
    dash.paste(b"Dear all,\nplease find enclosed\x1b[31m the q P x").wait("Pasted text is not a file path: Dear all,")
    # a paste whose marks and escapes are cut anywhere, of 100 KB of text that would be keys
    text = (b"x q P a d \x1b[A /etc \r" * 6000)[:100_000]
    dash.paste(text, cuts=(1, 3, 5, 6, 4096, 4097, 65536, 99_990, 100_006, 100_008, 100_011)).wait("Pasted text is not a file path: x q P", 15)
    # 100 KB of paths, cut in the middle of names
    many = t.path("many")
    for i in range(1000):
        lib.write(f"{many}/{'n' * 40} {i:04}", b"1")
    payload = b" ".join(single(os.fsencode(f"{many}/{'n' * 40} {i:04}")) for i in range(1000))
    assert len(payload) > 60_000
    dash.paste(payload, cuts=range(7000, 60_000, 7001)).wait("Add 1,000 files, 1.0 kB", 20)
    dash.escape().wait("nothing added")
    # the dialog of the key a: ~/ typed, a path pasted
    lib.write(f"{scene.hoist.folder}/under home.txt", b"h" * 500)
    dash.send("a").wait("Add a file or folder")
    dash.send("~/under home.txt", ENTER).wait("Add 1 file, 500 B")
    dash.escape().wait("nothing added")
    dash.send("a").wait("Add a file or folder")
    dash.paste(single(files["a"])).wait("Add 1 file, 1.0 kB")
    dash.escape()
    dash.send("a").wait("Add a file or folder")
    dash.send("/no/such", ENTER).wait("not found")
    dash.escape()
    assert scene.states() == {}
    end(dash)


def files_of(t, names, size, folder="q"):
    for name in names:
        lib.write(t.path(folder, name), os.urandom(size))
    return t.path(folder)


def test_order_of_the_queue(t):
    scene = Scene(t)
    folder = files_of(t, ["f1", "f2", "f3", "f4", "f5", "f6"], 60_000)
    go = threading.Event()
    scene.proxy.rule("slow-read", "PUT", bps=1e9, before=go.wait)
    dash = scene.open("-j", "1", folder)
    dash.wait("Queued 5")
    first = scene.sent()[0]
    rest = [f for f in ["f1", "f2", "f3", "f4", "f5", "f6"] if f != first]
    dash.send("3").gone(f"q/{first}")

    def becomes(*order):
        dash.wait(lambda s: re.findall(r"q/(f\d)", s) == [rest[i] for i in order], 5)

    def select(i):
        dash.wait(lambda s: f"▌· q/{rest[i]}" in s)

    becomes(0, 1, 2, 3, 4)
    dash.send("G")
    select(4)
    dash.send("T")
    becomes(4, 0, 1, 2, 3)
    dash.send("g", "j")
    select(0)
    dash.send("J")
    becomes(4, 1, 0, 2, 3)
    dash.send("G")
    select(3)
    dash.send("K")
    becomes(4, 1, 0, 3, 2)
    dash.send("g", "j")
    select(1)
    dash.send("B")
    becomes(4, 0, 3, 2, 1)
    go.set()
    dash.wait("Done 6", 20)
    assert scene.sent() == [first, *(rest[i] for i in (4, 0, 3, 2, 1))], scene.sent()
    end(dash)


def test_pause_resume_limit_slots(t):
    scene = Scene(t)
    folder = files_of(t, ["a", "b", "c"], 400_000)
    dash = scene.open("-j", "1", "--limit", "20k", folder)
    dash.wait(lambda s: "Active 1" in s and "limit 20.0 kB/s" in s)
    first = next(name for name in "abc" if "»" in dash.row(f"q/{name}"))       # whichever was read first
    others = [name for name in "abc" if name != first]
    for _ in others:
        if "▌" not in dash.row(f"q/{first}"):
            before = [line for line in dash.lines() if "▌" in line]
            dash.send("j").wait(lambda _: [line for line in dash.lines() if "▌" in line][0][1:9] != before[0][1:9])
    dash.send("p").wait("Paused 1")
    dash.wait(lambda _: scene.states()[f"q/{first}"] == "paused")
    dash.wait(lambda _: any("»" in dash.row(f"q/{name}") for name in others))
    dash.send("6").wait(lambda s: f"q/{first}" in s and f"q/{others[0]}" not in s)
    dash.send("p").wait("Paused 0")
    dash.send("1", "P").wait(lambda s: "Everything is paused" in s and " paused " in s.split("\n")[0])
    dash.wait("P resume all")
    dash.wait("Active 0")
    dash.send("P").gone("Everything is paused")
    dash.wait("Active 1")
    dash.send("+").wait(lambda s: "/2 at once" in s and "Active 2" in s)
    dash.send("+").wait("3/3 at once")
    dash.send("-").wait("/2 at once")
    dash.send("t").wait("no speed limit")
    dash.wait(lambda s: "limit 20.0" not in s)
    dash.wait("Done 3", 15)
    end(dash)


def test_details_filter_tabs_and_the_rest(t):
    scene = Scene(t)
    folder = files_of(t, ["apple", "banana", "cherry"], 5_000)
    scene.proxy.rule("answer", "PUT", "banana", 99, answer=REFUSE)
    dash = scene.open("--log", t.path("hoist.log"), folder, width=120, height=36)
    dash.wait(lambda s: "Done 2" in s and "Failed 1" in s, 15)
    dash.wait("R retry all")
    dash.send("/ban").wait(lambda s: "q/banana" in s and "✓ q/apple" not in s)
    dash.send(ENTER).wait("403 AccessDenied")
    dash.wait("what to do")
    dash.send("e").wait(lambda s: "access-denied" in s and "Grant s3:PutObject" in s)
    dash.escape().gone("access-denied")
    dash.escape().wait(lambda s: "q/apple" in s)
    dash.send("4").wait(lambda s: "q/apple" in s and "! q/banana" not in s)
    dash.send("g").wait("verified by ETag")
    mark = dash.mark()
    dash.send("y").wait("copied (if your terminal allows it): http://")
    assert re.search(rb"\x1b\]52;c;[A-Za-z0-9+/=]{20,}\x07", dash.since(mark))
    dash.resize(80, 24)
    dash.wait(lambda s: "SPEED" in s and "verified" not in s)
    dash.send("j", ENTER).wait("verified by ETag")
    dash.wait("cherry")
    dash.send("k").wait("apple")
    dash.escape().wait("PROGRESS")
    dash.send("?").wait("mark, step down")
    dash.escape().gone("mark, step down")
    dash.send("L").wait("log, newest first")
    dash.wait("failed  q/banana")
    dash.escape().send("1").wait("q/banana")
    dash.send("d").wait("All 2")
    dash.send(" ", " ").wait("2 marked")
    dash.send("u").gone("2 marked")
    end(dash)       # what failed was taken off the list
    log = open(t.path("hoist.log")).read()
    assert "q/apple" in log and "AccessDenied" in log and "q/banana" in log, log


def test_retry(t):
    scene = Scene(t)
    folder = files_of(t, ["one", "two", "three"], 5_000)
    rule = scene.proxy.rule("answer", "PUT", "/(one|two)", 2, answer=REFUSE)
    dash = scene.open("-j", "1", folder)
    dash.wait(lambda s: "Failed 2" in s and "Done 1" in s, 15)
    assert rule.times == 0
    dash.send("5").wait("! q/one")
    dash.send("r").wait(lambda s: "Failed 1" in s and "Done 2" in s)
    scene.proxy.rule("answer", "PUT", "/one", 1, answer=REFUSE)
    dash.send("R").wait("Done 3")
    end(dash)


def test_refused_destination(t):
    scene = Scene(t)
    folder = files_of(t, [f"f{i}" for i in range(8)], 5_000)
    rule = scene.proxy.rule("answer", "PUT", ".", 10_000, answer=REFUSE)
    dash = scene.open("-j", "1", folder)
    dash.wait("Failed 3", 15)
    dash.wait("refused 3 files in a row and is paused: 403 AccessDenied")
    for key in ("j", "k", "?"):
        dash.send(key)
    dash.escape().wait(lambda s: "refused 3 files in a row" in s and "Grant s3:PutObject" in s and "P goes on." in s)
    dash.wait(lambda s: s.rstrip("\n").split("\n")[-1].startswith(" P resume all"))
    dash.resize(40, 10)
    dash.wait(lambda s: "refused 3 f" in s and s.startswith("hoist paused"))
    dash.resize(80, 24)
    rule.times = 0
    dash.send("P").wait("Done 8", 15)
    dash.gone("in a row")
    end(dash)


def test_cancel(t):
    scene = Scene(t)
    scene.slow(bps=2_500_000)
    lib.write(t.path("big.bin"), os.urandom(12_000_000))
    dash = scene.open("--part-size", "5MiB", "--parts", "1", t.path("big.bin"))
    assert lib.wait_for(lambda: scene.proxy.count("PUT", "partNumber=1") == 1), dash.text()
    dash.wait(lambda _: re.search(r"[1-9]\d*%", dash.row("big.bin")) is not None)
    dash.send("x").wait("Cancel 1 upload?")
    dash.send(ENTER).gone("Cancel 1 upload?")
    assert "»" in dash.row("big.bin"), dash.text()
    dash.send("x").wait("Cancel 1 upload?")
    dash.send("n").gone("Cancel 1 upload?")
    dash.send("x").wait("already sent is discarded")
    dash.send("y").wait(lambda _: "cancelled" in dash.row("big.bin"))
    assert lib.wait_for(lambda: scene.proxy.count("DELETE", "uploadId", status=204) == 1), "the upload was not aborted"
    assert scene.server.open_uploads(scene.bucket) == [] and scene.keys() == {}
    dash.send("d").wait("Nothing queued")
    end(dash)


def test_quit_dialog(t):
    scene = Scene(t)
    scene.slow(bps=50_000)
    folder = files_of(t, ["a", "b"], 400_000)
    dash = scene.open(folder)
    dash.wait("Active 2")
    dash.send("q").wait("Pause and quit")
    dash.send("k").gone("Pause and quit")
    dash.send("q").wait("Pause and quit")
    dash.escape().gone("Pause and quit")
    assert set(scene.states().values()) <= {"queued", "preparing", "active"}, scene.states()
    dash.send(CTRL_C).wait("Pause and quit")
    dash.send(CTRL_C)       # twice: at once
    assert dash.wait_end() == 0
    dash.assert_restored()
    assert b"2 left: run hoist again to go on" in dash.since(dash.began)
    dash.start(*scene.args)
    dash.wait("All 2")
    dash.wait("Active 2")
    dash.send("q").wait("Cancel all")
    dash.send("c").wait(lambda s: "cancelled" in s and "Active 0" in s)
    end(dash)


def test_suspend(t):
    scene = Scene(t)
    scene.slow(bps=100_000)
    folder = files_of(t, ["a", "b", "c"], 150_000)
    dash = scene.open("-j", "1", folder)
    dash.wait("Active 1")
    mark = dash.mark()
    dash.send(CTRL_Z)
    dash.expect_raw(b"READY> ", mark)
    written = dash.since(mark)
    assert b"Stopped" in written and b"\x1b[?2004l" in written and b"\x1b[?1049l" in written, written
    assert dash.stty() == dash.before
    dash.resize(100, 30)
    dash.foreground()
    dash.wait(lambda s: "PROGRESS" in s and s.split("\n")[0].endswith("at once"))
    assert any(line == "─" * 100 for line in dash.lines()), dash.text()
    mark = dash.mark()
    # a stop that nobody announced: the modes come back
    dash.kill(signal.SIGSTOP)
    dash.expect_raw(b"Stopped", mark)
    assert lib.wait_for(lambda: b"READY> " in dash.since(mark))
    dash.foreground()
    dash.wait("Done 3", 15)
    end(dash)


def test_resizes(t):
    scene = Scene(t)
    scene.slow(bps=60_000)
    folder = files_of(t, [f"写真 {i}" for i in range(12)], 100_000)
    dash = scene.open(folder)
    dash.wait("Active")
    sizes = [(80, 24), (39, 24), (80, 9), (20, 5), (1, 1), (40, 10), (200, 60), (120, 40), (41, 11), (300, 12)]
    for i in range(30):
        dash.resize(*sizes[i % len(sizes)])
        time.sleep(0.02)
        if i == 13:
            dash.wait("too small")
    dash.resize(120, 40)
    text = dash.wait(lambda s: "写真" in s and "? help" in s and s.startswith(" hoist"))
    assert all(len(line) <= 120 for line in text.split("\n"))
    dash.resize(80, 24)
    dash.wait(lambda s: len(s.split("\n")) == 24 and s.split("\n")[-1].endswith("? help") and "写真 1" in s)
    dash.send("1", "P").wait("Everything is paused")
    end(dash)


def test_signals_end_it_in_order(t):
    scene = Scene(t)
    scene.slow(bps=50_000)
    folder = files_of(t, ["a", "b"], 300_000)
    dash = scene.open(folder)
    for signo in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        dash.wait("Active 2")
        dash.kill(signo)
        assert dash.wait_end() == 130
        dash.assert_restored()
        assert set(scene.states().values()) == {"queued"}, scene.states()
        dash.start(*scene.args)
    dash.wait("Active 2")
    # the window is closed: the terminal is gone
    pid = dash.pid
    dash.shell.kill()
    dash.shell.wait()
    assert lib.wait_for(lambda: not os.path.exists(f"/proc/{pid}") or "Z" in open(f"/proc/{pid}/stat").read().split(")")[1][:3], 10)
    assert set(scene.states().values()) == {"queued"}, scene.states()


def test_crash_restores_the_terminal(t):
    scene = Scene(t)
    scene.slow(bps=50_000)
    dash = scene.open(files_of(t, ["a"], 300_000))
    dash.wait("Active 1")
    dash.kill(signal.SIGSEGV)
    assert dash.wait_end() not in (0, 1, 2, 3), dash.text()
    dash.assert_restored()


def test_kill_in_the_middle(t):
    scene = Scene(t)
    slow = scene.slow(bps=3_000_000)
    big = lib.write(t.path("k", "big.bin"), os.urandom(31_000_000))
    files_of(t, ["s1", "s2", "s3"], 1_000, "k")
    dash = scene.open("-j", "1", "--parts", "2", "--part-size", "5MiB", t.path("k"))
    done = lib.wait_for(lambda: scene.proxy.count("PUT", "partNumber", status=200) >= 2, 30)
    assert done, dash.text()
    dash.wait("Queued 3")
    dash.kill(signal.SIGKILL)
    dash.wait_end()
    parts = {e["target"].split("partNumber=")[1].split("&")[0] for e in scene.proxy.log if "partNumber" in e["target"] and e["status"] == 200}
    slow.times = 0
    dash.send(f"stty {dash.before}\n")     # nobody could give the terminal back
    dash.start(*scene.args)
    dash.wait(lambda s: "All 4" in s, 10)
    dash.wait("Done 4", 30)
    assert lib.sha(scene.server.get(scene.bucket, "in/k/big.bin")) == lib.sha(open(big, "rb").read())
    puts = scene.proxy.count("PUT", "partNumber")
    assert puts <= 6 + 2, f"{puts} part PUTs for 6 parts, {len(parts)} confirmed before the kill"
    assert scene.proxy.count("POST", r"\?uploads") == 1, "a second upload was begun"
    dash.send("g").wait(lambda _: "big.bin" in dash.row("▌"))
    dash.send(ENTER).wait("of 6 parts were there")
    dash.escape()
    end(dash)


HOSTILE = ["\x1b]0;owned\x07\x1b[31m", "c1\x9b31m\x9d0;x\x9c", "bidi\u202egpj.exe\u2066", "zero\u200bwidth\ufeff", b"raw\x9b2J\xff", "nl\r\ncr\x08\x7f",
           "\x1b[?1049l\x1b[2J", "\x1bP$q\x1b\\dcs", "写\u0301" + "\u0300" * 60, "tag\U000e0041"]


def test_hostile_names_never_reach_the_terminal(t):
    scene = Scene(t)
    folder = os.fsencode(t.path("host\x1b[7mile"))
    for name in HOSTILE:
        lib.write(os.path.join(folder, os.fsencode(name)), os.urandom(2000))
    scene.proxy.rule("answer", "PUT", "owned|tag", 2, answer=REFUSE.replace(b"not below", b"\x1b[41mno\x9b "))
    dash = scene.open(width=120, height=40)
    dash.paste(single(folder)).wait(f"Add {len(HOSTILE)} files")
    dash.send(ENTER).wait(lambda s: re.search(r"Queued 0 .*Active 0|Active 0 .*Queued 0", s) and "All 10" in s, 15)
    for _ in HOSTILE:
        dash.send("j", gap=0.05)
    dash.send("e", gap=0.1).escape().send("y", gap=0.1).send("L", gap=0.1).escape().send("x", gap=0.1).escape()
    dash.resize(40, 10)
    time.sleep(0.2)
    dash.paste(b"text \x1b]0;owned\x07 \xc2\x9b31m \xe2\x80\xae").wait("Pasted")
    dash.paste(b"'/no/such/\xe2\x80\xae\x1b[31m'").wait("not found")
    mark = dash.since(dash.began)
    assert b"owned" in mark and b"\x1b]0;" not in mark
    assert "^[]0;owned" in mark.decode(errors="replace")
    end(dash, status=1)


def test_no_color(t):
    scene = Scene(t)
    dash = scene.open(files_of(t, ["a"], 3_000), env={"NO_COLOR": "1"})
    dash.wait("Done 1")
    colours = re.findall(rb"\x1b\[(?:\d+;)*(?:3[0-9]|4[0-9]|9[0-7]|10[0-7])(?:;\d+)*m", dash.since(dash.began))
    assert not colours, colours
    assert re.search(rb"\x1b\[(?:\d+;)*7m", dash.since(dash.began)), "the selected row is not to be seen"
    end(dash)
    dash.start(*scene.args)
    dash.wait("Done 1")


def test_no_terminal(t):
    hoist = t.hoist(url="http://127.0.0.1:9")
    r = hoist.run("--to", "s3://b")
    assert r.returncode == 2 and "terminal" in r.err and r.out == "", r
    for term in ("dumb", ""):
        dash = DumbShell(t, hoist, term)
        assert dash.status == 2 and b"needs a terminal" in dash.out and b"\x1b" not in dash.out, (dash.status, dash.out)


class DumbShell:
    """hoist alone in a pseudo-terminal that can do nothing."""

    def __init__(self, t, hoist, term):
        pid, master = os.forkpty()
        if pid == 0:
            os.execve(hoist.binary, [hoist.binary, "--to", "s3://b"], {**hoist.env, "TERM": term})
        self.out = b""
        with contextlib.suppress(OSError):
            while piece := os.read(master, 4096):
                self.out += piece
        self.status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(master)


def switches(pid):
    """Voluntary context switches of each thread."""
    found = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            found[tid] = int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", open(f"/proc/{pid}/task/{tid}/status").read(), re.M)[1])
    return found


def test_idle(t):
    scene = Scene(t)
    dash = scene.open(files_of(t, ["a", "b"], 3_000))
    dash.wait("all done")
    dash.send("j").wait("▌")
    time.sleep(6)       # messages run out, the connections and the image worker are let go
    mark, before = dash.mark(), switches(dash.pid)
    time.sleep(10)
    after = switches(dash.pid)
    assert dash.since(mark) == b"", f"written while idle: {dash.since(mark)!r}"
    woken = {k: after[k] - before.get(k, 0) for k in after if after[k] != before.get(k)}
    assert not woken, f"woken while idle: {woken}"
    end(dash)


PICTURES = os.path.join(lib.ROOT, "tests/images/photo")


def pictures(t, most=3):
    """A folder with a few of the photographs, the smallest ones -> folder, names in order."""
    names = sorted(os.listdir(PICTURES), key=lambda n: os.path.getsize(os.path.join(PICTURES, n)))[:most]
    for name in names:
        lib.write(t.path("shots", name), open(os.path.join(PICTURES, name), "rb").read())
    return t.path("shots"), sorted(names)


def picture(dash):
    """The coloured cells, when no more of them come; {} when there are none."""
    def still():
        cells = dash.coloured(8)
        time.sleep(0.15)
        return cells if cells == dash.coloured(8) else {}
    return lib.wait_for(still, 20)


def test_pictures_are_shown_as_cells(t):
    scene = Scene(t)
    folder, names = pictures(t)
    scene.slow(2000)
    dash = scene.open(width=130, height=40)
    dash.paste(single(os.fsencode(folder)))
    dash.wait(f"Add {len(names)} files")
    dash.send(ENTER).wait(names[0])
    seen = []
    for name in names:
        dash.wait(lambda s, name=name: f"▌» shots/{name}" in s or f"▌· shots/{name}" in s or f"▌▸ shots/{name}" in s)
        cells = picture(dash)
        assert cells, f"no picture of {name}\n{dash.text()}"
        left, right, top, bottom = min(x for x, _ in cells), max(x for x, _ in cells), min(y for _, y in cells), max(y for _, y in cells)
        assert left > 80 and top > 6 and bottom < 38, f"outside of the pane: {left}..{right} x {top}..{bottom}\n{dash.text()}"
        seen.append(cells)
        if name != names[-1]:
            dash.send("j").gone(f"│ shots/{name}", 5)
    assert len({str(sorted(c.items())) for c in seen}) == len(names), "one picture for several files"
    # keys are answered while previews are made, and the picture of a file that was seen is there again
    dash.send("g", "j", "k", "j", "k").wait(lambda s: f"│ shots/{names[0]}" in s)
    assert picture(dash) == seen[0], dash.text()
    # a window too narrow for the pane shows it in the details
    dash.resize(80, 24)
    dash.gone("│ shots")
    assert not dash.coloured(8)
    dash.send(ENTER).wait("source")
    assert lib.wait_for(lambda: dash.coloured(8), 10), dash.text()
    assert b"\x1b_" not in dash.since(dash.began) and b"\x1bP" not in dash.since(dash.began)
    dash.escape()
    scene.proxy.rules.clear()
    end(dash)


def test_no_pictures_unless_wanted(t):
    scene = Scene(t, proxied=False)
    folder, names = pictures(t, 2)
    dash = scene.open("--graphics", "none", folder, width=130, height=40)
    dash.wait("all done", 20)
    dash.send("j", "k")
    assert not lib.wait_for(lambda: dash.coloured(8), 1.5), dash.text()
    end(dash)
    # asked for, but this terminal does not answer that it can: cells, and one notice
    dash.start(*scene.args, "--graphics", "kitty")
    dash.wait("does not answer that it draws pictures (--graphics kitty)")
    dash.send("k").gone("does not answer")
    assert lib.wait_for(lambda: dash.coloured(8), 20), dash.text()
    assert b"\x1b_" not in dash.since(dash.began)
    end(dash)


def test_pictures_by_the_terminal_itself(t):
    """A terminal that says it knows the kitty protocol: it gets pictures, and is told to take them away."""
    scene = Scene(t, proxied=False)
    folder, names = pictures(t, 2)
    dash = Dash(t, scene.hoist, *scene.args, "--graphics", "auto", folder, width=130, height=40, env={"TERM": "rxvt"},
                answer=b"\x1b_Gi=31;OK\x1b\\\x1b[6;20;10t\x1b[?62;22c")
    dash.expect_raw(b"\x1b_Ga=T,", dash.began, 20)
    mark = dash.mark()
    dash.send("j")
    dash.expect_raw(b"\x1b_Ga=d", mark)
    dash.expect_raw(b"\x1b_Ga=T,", mark)
    lib.wait_for(lambda: scene.states() and set(scene.states().values()) == {"done"})
    mark = dash.mark()
    dash.send("L")
    dash.expect_raw(b"\x1b_Ga=d", mark)
    mark = dash.mark()
    dash.escape()
    dash.expect_raw(b"\x1b_Ga=T,", mark)
    dash.send("q")
    assert dash.wait_end() == 0
    written = dash.since(dash.began)
    assert written.rindex(b"\x1b_Ga=d") > written.rindex(b"\x1b_Ga=T,"), "a picture was left behind"
    assert dash.stty() == dash.before


def test_first_frame_of_a_long_queue(t):
    """Measured and printed, not judged."""
    scene = Scene(t)
    dash = scene.open(files_of(t, ["a"], 10))
    dash.wait("Done 1")
    end(dash)
    rows = 200_000
    with contextlib.closing(sqlite3.connect(f"{scene.hoist.folder}/state/hoist/queue.db")) as db:
        columns = [c[1] for c in db.execute("pragma table_info(job)") if c[1] != "id"]
        names = ", ".join(columns)
        values = ", ".join({"name": "cast(name || n.x as blob)", "path": "cast(path || n.x as blob)", "key": "cast(key || n.x as blob)", "pos": "pos + n.x", "state": "6"}.get(c, c)
                           for c in columns)
        db.execute(f"with recursive n(x) as (select 1 union all select x + 1 from n where x < {rows}) "
                   f"insert into job({names}) select {values} from job, n where job.id = (select min(id) from job)")
        db.commit()
    began = time.monotonic()
    dash.start(*scene.args)
    dash.wait(lambda s: "q/a1" in s and "Paused" in s, 30)
    print(f"# first frame with {rows} files: {(time.monotonic() - began) * 1000:.0f} ms")
    began = time.monotonic()
    dash.send("G").wait(lambda s: "▲" in s)
    print(f"# to the end of the list: {(time.monotonic() - began) * 1000:.0f} ms")
    end(dash)


if __name__ == "__main__":
    lib.main()
