"""Qiniu Kodo: hoist against the strict stand-in of kodo.py, which the SDKs of the vendor judge in the same run.

What was sent is counted at the server. Every test has a store of its own.
"""
import concurrent.futures
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request

import lib
from kodo import BLOCK, Kodo, etag_of

ACCESS, SECRET = "hoist-access-EXAMPLE", "hoist-secret-EXAMPLE"
LARGE = 2 * BLOCK + 1234567
NAMES = ["plain.txt", "图片/中文 文件.jpg", "a+b&c=d%20e;f.bin", "q'uo\"te\\s.txt", "ünï🙂.bin"]


class Rig:
    """hoist, a store, files to send, and what came of them."""

    def __init__(self, t, buckets=None, doors=1, **files):
        self.t = t
        self.kodo = Kodo(t.path("kodo"), {ACCESS: SECRET}, buckets or {"bucket": {}}, doors)
        t.later(self.kodo.close)
        self.hoist = t.hoist()
        self.hoist.env.update(QINIU_ACCESS_KEY=ACCESS, QINIU_SECRET_KEY=SECRET)
        self.src = t.path("src")
        os.makedirs(self.src)
        for name, content in files.items():
            lib.write(f"{self.src}/{name}", content)

    def args(self, *more, to="qiniu://bucket/p"):
        return ["--to", to, "--uc", self.kodo.url, "--images", "none", *more]

    def up(self, *more, status=0, resume=False, to="qiniu://bucket/p", env=None):
        args = [] if resume else [*self.args(*more, to=to), self.src]
        got, self.events, self.err = self.hoist.up(*args, env=env)
        assert got == status, f"exit status {got}, expected {status}: {self.err}\n" + "\n".join(map(str, self.events[-12:])) + f"\n{self.kodo.log[-8:]}"
        said = json.dumps(self.events) + self.err
        assert SECRET not in said and "UpToken" not in said, "a secret is told"
        return self.events

    def arrived(self):
        wanted = {f"p/{k}": v for k, v in lib.tree(self.src).items()}
        found = self.kodo.contents("bucket")
        assert sorted(found) == sorted(wanted), f"{sorted(found)} instead of {sorted(wanted)}"
        for key, content in wanted.items():
            assert found[key] == content, f"{key} differs"
            assert self.kodo.objects["bucket", key]["hash"] == etag_of(content), key
        assert not self.kodo.uploads, "an upload is left open"

    def failed(self, fault):
        found = [e["fault"]["name"] for e in lib.of_kind(self.events, "failed")]
        assert found and set(found) == {fault}, found
        for e in lib.of_kind(self.events, "failed"):
            assert e["fault"]["cause"] and e["fault"]["remedy"], e

    def done(self, name="large"):
        return [e for e in lib.of_kind(self.events, "done") if e["path"].endswith(f"/{name}")][0]

    def kill_when(self, reached, *args):
        """kill -9 as soon as the store has seen enough. What is in flight then stays without an answer."""
        run = self.hoist.start("up", "--json", *args)
        self.t.later(run.kill)
        assert lib.wait_for(lambda: reached() or run.poll() is not None, 60) and run.poll() is None, run.communicate()
        run.kill()
        run.communicate()


# ---------------------------------------------------------------------------------------------------------------- the judges


def sdk(kodo):
    try:
        import qiniu
    except ImportError:
        raise lib.Skip("the qiniu package is not here")
    region = qiniu.Region(up_host=kodo.url, up_host_backup=kodo.url, io_host=kodo.url, rs_host=kodo.url, scheme="http", home_dir=kodo.folder)
    qiniu.set_default(default_zone=region)
    return qiniu


def upload_by_python(kodo, folder, sizes):
    qiniu = sdk(kodo)
    token = qiniu.Auth(ACCESS, SECRET).upload_token
    for way, size in sizes:
        path, key = f"{folder}/{way}-{size}", f"python/{way}-{size}"
        args = {"version": way, "bucket_name": "bucket", "part_size": BLOCK} if way == "v2" else {"version": "v1"}
        result, info = qiniu.put_file_v2(token("bucket", key), key, path, **args)
        assert info.status_code == 200 and result == {"hash": qiniu.etag(path), "key": key}, (way, size, info)


def upload_by_go(kodo, folder, sizes):
    binary = os.path.join(lib.SERVERS, "bin/kodo-go")
    for way, size in sizes:
        path, key = f"{folder}/{way}-{size}", f"go/{way}-{size}"
        r = subprocess.run([binary, way, kodo.url, ACCESS, SECRET, "bucket", key, path], capture_output=True, text=True, timeout=60,
                           env={**os.environ, "HOME": folder, "TMPDIR": folder})
        assert r.returncode == 0 and json.loads(r.stdout)["hash"] == etag_of(open(path, "rb").read()), (way, size, r.stdout, r.stderr)


def agree(t, name, upload):
    """hoist and the SDK leave the same objects with the same etags, whatever the way."""
    rig = Rig(t)
    sizes = [("form", 0), ("form", 70001), ("form", BLOCK), ("v1", BLOCK + 1), ("v2", BLOCK + 1), ("v1", LARGE), ("v2", LARGE)]
    folder = t.path("given")
    for i, (way, size) in enumerate(sizes):
        lib.write(f"{folder}/{way}-{size}", lib.data(size, seed=i))
    upload(rig.kodo, folder, sizes)
    shutil.copytree(folder, rig.src, dirs_exist_ok=True)
    for way in ("v1", "v2"):
        rig.up("--qiniu-version", way, to=f"qiniu://bucket/{way}")
        for other, size in sizes:
            ours, theirs = (rig.kodo.objects["bucket", k] for k in (f"{way}/src/{other}-{size}", f"{name}/{other}-{size}"))
            assert (ours["hash"], ours["fsize"]) == (theirs["hash"], theirs["fsize"]), (way, other, size)
            assert rig.kodo.content("bucket", f"{way}/src/{other}-{size}") == rig.kodo.content("bucket", f"{name}/{other}-{size}")
        assert all(e["verified"] == "verified by checksum" for e in lib.of_kind(rig.events, "done")), rig.events
    assert rig.kodo.count("part") == rig.kodo.count("part", status=200) and rig.kodo.count("mkblk") == rig.kodo.count("mkblk", status=200)


def test_the_python_sdk_and_hoist_leave_the_same(t):
    agree(t, "python", upload_by_python)


def test_the_go_sdk_and_hoist_leave_the_same(t):
    if not os.access(os.path.join(lib.SERVERS, "bin/kodo-go"), os.X_OK):
        raise lib.Skip("Qiniu's Go library is not here (it needs Go)")
    agree(t, "go", upload_by_go)


def test_the_stand_in_refuses_what_the_sdk_gets_wrong(t):
    """A judge that says yes to everything is none."""
    rig = Rig(t)
    qiniu = sdk(rig.kodo)
    good, wrong = qiniu.Auth(ACCESS, SECRET), qiniu.Auth(ACCESS, "other")
    path = lib.write(t.path("f"), lib.data(BLOCK + 5))
    for token, status in ((wrong.upload_token("bucket", "k"), 401), (good.upload_token("bucket", "other"), 403),
                          (good.upload_token("nowhere", "k"), 631), (good.upload_token("bucket", "k", expires=-10), 401),
                          (good.upload_token("bucket", "k", policy={"fsizeLimit": 10}), 413),
                          (good.upload_token("bucket", "k", policy={"mimeLimit": "image/*"}), 403)):
        for way in ("v1", "v2"):
            _, info = qiniu.put_file_v2(token, "k", path, version=way, bucket_name=token and "bucket", mime_type="text/plain")
            assert info.status_code == status, (way, status, info)
        _, info = qiniu.put_data(token, "k", b"a few bytes of no picture", mime_type="text/plain")
        assert info.status_code == status, (status, info)
    assert not rig.kodo.objects
    assert qiniu.BucketManager(wrong).stat("bucket", "k")[1].status_code == 401


# ---------------------------------------------------------------------------------------------------------------- good days


def test_names_types_and_what_is_told(t):
    rig = Rig(t, empty=b"", **{n: lib.data(3000 + i, seed=i) for i, n in enumerate(NAMES)})
    rig.up("--public-url", "https://cdn.example/base/", "--fop", "imageView2/2/w/300|imageMogr2/strip", "--meta", "author=Zoë", "--callback-var", "user=7",
           "--header", "Cache-Control: max-age=60")
    rig.arrived()
    for n in NAMES:
        e = [e for e in lib.of_kind(rig.events, "done") if e["key"] == f"p/src/{n}"][0]
        assert e["url"].startswith("https://cdn.example/base/p/src/") and e["url"].endswith("?imageView2/2/w/300%7CimageMogr2/strip"), e
        assert e["checksum"] == f"qetag:{etag_of(open(f'{rig.src}/{n}', 'rb').read())}", e
        o = rig.kodo.objects["bucket", f"p/src/{n}"]
        assert o["meta"] == {"x-qn-meta-author": "Zoë"} and o["fname"].replace("%22", '"') == os.path.basename(n), o
    assert rig.kodo.objects["bucket", "p/src/plain.txt"]["mimeType"] == "text/plain"
    assert rig.kodo.count("query") <= rig.kodo.count("form") == len(NAMES) + 1
    before = rig.kodo.count("query")
    lib.write(f"{rig.src}/later", b"the hosts are known by now")
    rig.up()
    assert rig.kodo.count("query") == before
    rig.arrived()


def test_large_files_by_each_way(t):
    for way in ("v2", "v1", "form"):
        rig = Rig(Sub(t, way), large=lib.data(LARGE))
        rig.up("--qiniu-version", way, "--meta", "a=1", "--callback-var", "b=2", "--file-type", "1", "--return-body",
               '{"key":$(key),"hash":$(etag),"b":"$(x:b)"}')
        rig.arrived()
        o = rig.kodo.objects["bucket", "p/src/large"]
        assert o["meta"] == {"x-qn-meta-a": "1"} and o["type"] == 1 and o["fname"] == "large", o
        assert rig.kodo.count("part", "mkblk") == (0 if way == "form" else 3)
        assert rig.done()["verified"] == ("size only" if way == "form" else "verified by checksum")


class Sub:
    """A test's tools in a folder of its own."""

    def __init__(self, t, name):
        self.t, self.folder, self.later = t, t.path(name), t.later
        os.makedirs(self.folder)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def hoist(self):
        return lib.Hoist(self.path("home"))


# ---------------------------------------------------------------------------------------------------------------- kills


def resumed(t, way, op, context_life=86400):
    """Killed with three parts in the journal and the fourth on its way."""
    rig = Rig(t, large=lib.data(5 * BLOCK + 99))
    rig.kodo.context_life = context_life
    hold = threading.Event()
    t.later(hold.set)
    seen = []
    lock = threading.Lock()

    def slow(rq):
        with lock:
            seen.append(rq.target)
        if len(seen) > 3:
            hold.wait(60)
    rig.kodo.rule(op, times=4, do=slow)

    def journal():
        return rig.hoist.rows("SELECT count(*) FROM part") == [(3,)]
    rig.kill_when(lambda: len(seen) == 4 and journal(), *rig.args("--qiniu-version", way, "--parts", "1"), rig.src)
    hold.set()
    assert lib.wait_for(lambda: rig.kodo.count(op) == 4)
    return rig


def test_v2_goes_on_after_a_kill(t):
    rig = resumed(t, "v2", "part")
    rig.up(resume=True)
    rig.arrived()
    # the fourth part reached the store, though nobody was there to hear it
    assert rig.kodo.count("part") == 6 and rig.kodo.count("init") == 1 and rig.kodo.count("list") == 1, rig.kodo.log
    assert "resumed: 4 of 6" in rig.done()["note"], rig.done()


def test_v1_goes_on_after_a_kill(t):
    rig = resumed(t, "v1", "mkblk")
    rig.up(resume=True)
    rig.arrived()
    assert rig.kodo.count("mkblk") == 7, [e["op"] for e in rig.kodo.log]    # what was in flight is sent again: the store lists no blocks
    assert "resumed: 3 of 6" in rig.done()["note"], rig.done()


def test_v2_upload_that_ended_meanwhile_begins_anew(t):
    rig = resumed(t, "v2", "part")
    rig.kodo.uploads.clear()
    rig.up(resume=True)
    rig.arrived()
    assert rig.kodo.count("init") == 2 and rig.kodo.count("list", status=612) == 1 and rig.kodo.count("stat", status=612) == 1


def test_v1_blocks_that_end_within_the_hour_are_sent_again(t):
    rig = resumed(t, "v1", "mkblk", context_life=1800)
    rig.kodo.context_life = 86400
    rig.kodo.contexts.clear()
    rig.up(resume=True)
    rig.arrived()
    assert rig.kodo.count("mkblk") == 4 + 6 and rig.kodo.count("mkfile") == 1, [(e["op"], e["status"]) for e in rig.kodo.log]


def test_killed_while_completing(t):
    for way, op in (("v1", "mkfile"), ("v2", "complete")):
        rig = Rig(Sub(t, way), large=lib.data(BLOCK + 1))
        reached, hold = threading.Event(), threading.Event()
        t.later(hold.set)
        rule = rig.kodo.rule(op, do=lambda rq: (reached.set(), hold.wait(60)))
        rig.kill_when(reached.is_set, *rig.args("--qiniu-version", way), rig.src)
        hold.set()
        assert rule.hits == 1 and lib.wait_for(lambda: rig.kodo.count(op) == 1)
        rig.up(resume=True)
        rig.arrived()
        assert rig.kodo.count("part", "mkblk") == 2 and rig.kodo.count("stat") == 1, [(e["op"], e["status"]) for e in rig.kodo.log]


# ---------------------------------------------------------------------------------------------------------------- faults


def test_wrong_region_is_left_and_remembered(t):
    rig = Rig(t, doors=2, small=lib.data(1000), large=lib.data(LARGE))
    rig.kodo.up_hosts = [rig.kodo.hosts[1]]
    rig.up("-j", "1")
    rig.arrived()
    wrong = [e for e in rig.kodo.log if e["status"] == 400]
    assert len(wrong) == 1 and "incorrect region" in wrong[0]["error"], wrong
    lib.write(f"{rig.src}/later", b"later")
    rig.up()
    assert len([e for e in rig.kodo.log if e["status"] == 400]) == 1, "not remembered"


def test_wrong_region_that_names_a_stranger_gets_no_token(t):
    rig = Rig(t, small=b"x")
    rig.kodo.rule("form", times=9, status=400, error="incorrect region, please use up.evil.example, bucket is: bucket")
    rig.up(status=1)
    rig.failed("wrong-region")
    assert rig.kodo.count("form") == 1


def test_hosts_that_fail_are_left(t):
    rig = Rig(t, small=lib.data(1000), large=lib.data(LARGE))
    rig.kodo.up_hosts = [f"127.0.0.1:{lib.free_port()}", rig.kodo.host]
    rig.up("-j", "1")
    rig.arrived()
    retries = [e["fault"]["name"] for e in lib.of_kind(rig.events, "retry")]
    assert retries == ["cannot-connect"], retries


def together(t, rows, one):
    """Rows are tried some at once: most of the time passes in waiting for the next try."""
    def row(i):
        try:
            one(Rig(Sub(t, str(i)), **rows[i][0]), *rows[i][1:])
        except Exception as why:
            raise AssertionError(f"row {i}, {rows[i][1:]}: {why}") from why
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(row, range(len(rows))))


def cured(rig, op, what, count=None):
    rule = rig.kodo.rule(op, **what)
    rig.up("--qiniu-version", "v1" if op in ("mkblk", "mkfile") else "v2")
    assert rule.hits == 1, "never asked"
    if op == "init":
        rig.kodo.uploads.clear()        # the id that nobody heard: it ends by itself
    rig.arrived()
    asked = [(e["op"], e["status"]) for e in rig.kodo.log]
    assert count is None or count == (rig.kodo.count("form"), rig.kodo.count("part"), rig.kodo.count("mkblk")), asked


def test_faults_that_time_cures(t):
    """With how often the bytes were sent: forms, parts, blocks."""
    small, large = {"small": lib.data(1000)}, {"large": lib.data(BLOCK + 1000)}
    html = b"<html>log in</html>"
    together(t, [
        (small, "query", dict(status=502), (1, 0, 0)), (small, "query", dict(body=html, status=200), (1, 0, 0)),
        (small, "form", dict(status=599), (2, 0, 0)), (small, "form", dict(status=573, error="too busy"), (2, 0, 0)),
        (small, "form", dict(status=406), (2, 0, 0)), (small, "form", dict(body=html, status=200), (2, 0, 0)),
        (small, "form", dict(body=html, status=200, after=True), (1, 0, 0)), (small, "form", dict(drop=True), (2, 0, 0)),
        (small, "form", dict(body=b"x" * 50_000_000, status=200, after=True), (2, 0, 0)),
        (large, "init", dict(status=503), (0, 2, 0)), (large, "init", dict(drop=True, after=True), (0, 2, 0)),
        (large, "init", dict(body=b"{}", status=200), (0, 2, 0)),
        (large, "part", dict(status=504), (0, 3, 0)), (large, "part", dict(drop=True, after=True), (0, 3, 0)),
        (large, "part", dict(body={"etag": "e", "md5": "0" * 32}, status=200), (0, 3, 0)),
        (large, "complete", dict(status=599), (0, 2, 0)), (large, "complete", dict(drop=True), (0, 2, 0)),
        (large, "complete", dict(drop=True, after=True), (0, 2, 0)), (large, "complete", dict(body=html, status=200), (0, 2, 0)),
        (large, "complete", dict(body=html, status=200, after=True), (0, 2, 0)), (large, "complete", dict(status=612), (0, 2, 0)),
        (large, "mkblk", dict(status=599), (0, 0, 3)), (large, "mkblk", dict(drop=True, after=True), (0, 0, 3)),
        (large, "mkblk", dict(body={"ctx": "c", "crc32": 1, "offset": BLOCK, "expired_at": 9999999999}, status=200), (0, 0, 3)),
        (large, "mkfile", dict(status=701, error="ctx is expired"), (0, 0, 2)), (large, "mkfile", dict(drop=True), (0, 0, 2)),
        (large, "mkfile", dict(drop=True, after=True), (0, 0, 2)),
    ], cured)


def test_blocks_that_are_gone_are_sent_again(t):
    rig = Rig(t, large=lib.data(BLOCK + 1000))
    rig.kodo.rule("mkfile", do=lambda rq: rig.kodo.contexts.clear())
    rig.up("--qiniu-version", "v1")
    rig.arrived()
    assert rig.kodo.count("mkblk") == 4 and rig.kodo.count("mkfile", status=701) == 2, [(e["op"], e["status"]) for e in rig.kodo.log]


def test_faults_that_a_person_cures(t):
    rows = [(dict(status=419, error="account is frozen"), "access-denied"), (dict(status=413, error="too large"), "too-large"),
            (dict(status=403, error="limited mimeType"), "refused"), (dict(status=631, error="no such bucket"), "no-such-bucket")]
    rig = Rig(t, small=b"x")
    for what, fault in rows:
        rule = rig.kodo.rule("form", times=9, **what)
        rig.up(status=1)
        rig.failed(fault)
        assert rule.hits == 1, "asked again in vain"
        rule.times = 0
        rig.hoist.run("forget", "--all")
    rig.up(status=1, env={"QINIU_SECRET_KEY": "wrong"})
    rig.failed("wrong-secret")
    rig.hoist.run("forget", "--all")
    rig.up(status=1, to="qiniu://nowhere/p")
    rig.failed("no-such-bucket")
    assert not rig.kodo.objects


def test_a_clock_that_is_off_is_learned(t):
    rig = Rig(t, small=lib.data(1000), large=lib.data(LARGE))
    rig.kodo.skew = 2 * 86400
    rig.up("-j", "1")
    rig.arrived()
    assert len([e for e in rig.kodo.log if e["status"] == 401]) == 1, rig.kodo.log


def test_limits_of_the_token_are_known_before_anything_is_sent(t):
    rig = Rig(t, **{"large.bin": lib.data(LARGE)})
    for args, fault in ((["--fsize-limit", "1MiB"], "too-large"), (["--mime-limit", "image/*;video/mp4"], "refused")):
        rig.up(*args, status=1)
        rig.failed(fault)
        rig.hoist.run("forget", "--all")
    assert rig.kodo.count("init", "part", "form") == 0


def test_what_is_there_is_not_replaced(t):
    rig = Rig(t, small=b"one", large=lib.data(LARGE))
    rig.up()
    before = dict(rig.kodo.objects)
    lib.write(f"{rig.src}/small", b"two")
    rig.up("--if-exists", "skip")
    rig.hoist.run("forget", "--all")
    rig.up("--if-exists", "fail", status=1)
    rig.failed("exists")
    assert rig.kodo.objects == before and rig.kodo.count("form") == 1 and rig.kodo.count("part") == 3
    # somebody was faster: other bytes are a conflict, the same bytes are what was wanted
    for content, status in ((b"other", 1), (b"race", 0)):
        lib.write(f"{rig.src}/race", b"race")
        rig.kodo.rule("form", "", do=lambda rq, c=content: rig.kodo.store({"scope": "bucket:p/src/race"}, "p/src/race", c, etag_of(c), "x", "", {}, {}))
        os.unlink(f"{rig.src}/small") if os.path.exists(f"{rig.src}/small") else None
        os.unlink(f"{rig.src}/large") if os.path.exists(f"{rig.src}/large") else None
        rig.hoist.run("forget", "--all")
        rig.up("--if-exists", "fail", status=status)
        assert rig.kodo.content("bucket", "p/src/race") == content
        rig.kodo.objects.pop(("bucket", "p/src/race"))


# ---------------------------------------------------------------------------------------------------------------- callbacks


class App(http.server.ThreadingHTTPServer):
    """An application that is told of uploads."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), AppHandler)
        self.heard, self.status = [], 200
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class AppHandler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.heard.append((self.headers["Content-Type"], self.rfile.read(int(self.headers["Content-Length"])).decode()))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(b'{"id": 17, "hash": "not the etag"}')

    def log_message(self, *args):
        pass


def test_the_application_is_called_back(t):
    app = App()
    t.later(app.server_close)
    t.later(app.shutdown)
    rig = Rig(t, small=lib.data(1000), large=lib.data(LARGE))
    url = f"http://127.0.0.1:{app.server_port}/cb"
    rig.up("--callback-url", url, "--callback-body", '{"key":$(key),"size":$(fsize),"user":$(x:user)}', "--callback-body-type", "application/json",
           "--callback-var", "user=seven")
    rig.arrived()
    assert sorted(json.loads(b)["key"] for _, b in app.heard) == ["p/src/large", "p/src/small"]
    assert all(json.loads(b)["user"] == "seven" for _, b in app.heard), app.heard
    assert rig.done()["verified"] == "verified by checksum"      # by a look: the application's answer proves nothing


def test_a_callback_that_fails_is_no_failed_upload(t):
    app = App()
    app.status = 500
    t.later(app.server_close)
    t.later(app.shutdown)
    rig = Rig(t, small=lib.data(1000), large=lib.data(LARGE))
    rig.up("--callback-url", f"http://127.0.0.1:{app.server_port}/cb", "--if-exists", "fail")
    rig.arrived()
    assert len(app.heard) == 2 and rig.kodo.count("form") == 1 and rig.kodo.count("complete") == 1
    for name in ("small", "large"):
        assert "callback to the application failed" in rig.done(name)["note"], rig.done(name)


# ---------------------------------------------------------------------------------------------------------------- afterwards


def command(rig, *args):
    r = rig.hoist.run(*args)
    if r.returncode == 2 and "p/src" not in r.err and re.search(r"no such command|not a command|unknown|no such file", r.err, re.I):
        raise lib.Skip(f"hoist has no command {args[0]}")
    return r


def test_share_and_rm(t):
    rig = Rig(t, {"bucket": {"private": True}}, small=lib.data(1000))
    rig.up()
    config = lib.write(t.path("config.ini"), f"[dest kodo]\nto = qiniu://bucket/p\nuc = {rig.kodo.url}\npublic-url = {rig.kodo.url}\n".encode())
    r = command(rig, "share", "--config", config, "kodo/src/small")
    assert r.returncode == 0, (r.returncode, r.err)
    with urllib.request.urlopen(r.out.strip(), timeout=10) as answer:
        assert answer.read() == lib.data(1000)
    for broken in (r.out.strip()[:-2], re.sub(r"e=\d+", "e=9999999999", r.out.strip()), r.out.strip().partition("?")[0]):
        try:
            urllib.request.urlopen(broken, timeout=10)
            raise AssertionError("an unsigned link works")
        except urllib.error.HTTPError as why:
            assert why.code == 401, why
    r = command(rig, "rm", "--config", config, "kodo/src/small")
    assert r.returncode == 0 and not rig.kodo.objects, (r.returncode, r.err)


if __name__ == "__main__":
    lib.main()
