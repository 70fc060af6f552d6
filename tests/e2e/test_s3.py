"""What a person does with hoist up, against real S3 servers: rclone, SeaweedFS, versitygw, and the endpoint of HOIST_TEST_S3.

Each function case_NAME(t, s) runs once per kind of server, test_NAME(t) once. A server is started once for all its cases; each case has a
prefix, a home and a proxy of its own, so that requests can be counted. Answers that no server here gives are made by the proxy.
"""
import glob
import os
import re
import shutil
import subprocess
import time
import uuid

import lib
from proxy import Proxy

HERE = os.path.dirname(os.path.abspath(__file__))
IMAGES = os.path.join(HERE, "..", "images")
MIB = 1 << 20
FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)


class Shared:
    """The servers that run already."""
    folder, running = None, {}

    @classmethod
    def get(cls, kind):
        if kind not in cls.running:
            try:
                cls.folder = cls.folder or lib.Test("servers")
                cls.running[kind] = cls.folder.server(kind)
            except Exception as why:
                cls.running[kind] = why
        server = cls.running[kind]
        if isinstance(server, Exception):
            raise server
        return server

    @classmethod
    def stop(cls):
        if cls.folder:
            cls.folder.close()


class World:
    """One case: a prefix in the bucket, a home, sources, and a proxy that counts."""

    def __init__(self, t, server, through_proxy=True):
        self.t, self.server, self.kind = t, server, server.name
        self.prefix = f"t{uuid.uuid4().hex[:12]}"
        self.to = f"s3://bucket/{self.prefix}"
        host = server.url.removeprefix("http://").split("/")[0]
        self.proxy = None
        if through_proxy and re.fullmatch(r"(127\.0\.0\.1|localhost):\d+", host):
            self.proxy = Proxy(int(host.rsplit(":", 1)[1]))
            t.later(self.proxy.close)
        self.hoist = lib.Hoist(t.path("home"), server, url=self.proxy.url if self.proxy else None, region=os.environ.get("AWS_REGION"))
        self.src = t.path("src")
        os.makedirs(self.src)

    def write(self, name, content=b"some bytes\n"):
        where = os.path.join(os.fsencode(self.src), os.fsencode(name))
        os.makedirs(os.path.dirname(where), exist_ok=True)
        with open(where, "wb") as f:
            f.write(content)
        return os.fsdecode(where)

    def up(self, *args, **kw):
        return self.hoist.up("--to", self.to, *args, **kw)

    def sent(self, *args, **kw):
        """hoist up that must succeed -> {path: its done event}"""
        status, events, err = self.up(*args, **kw)
        assert status == 0, f"exit status {status}: {err}\n{faults(events)}"
        return {e["path"]: e for e in lib.of_kind(events, "done")}

    def objects(self):
        return {k.removeprefix(self.prefix + "/"): self.server.get("bucket", k) for k in self.server.keys("bucket", self.prefix + "/")}

    def head(self, key):
        return self.server.head("bucket", f"{self.prefix}/{key}")

    def open_uploads(self):
        return [k for k in self.server.open_uploads("bucket") if k.startswith(self.prefix)]

    def requests(self, method=".*", target=".*"):
        with self.proxy.lock:
            return [e for e in self.proxy.log if re.fullmatch(method, e["method"]) and re.search(target, e["target"])]

    def states(self):
        out = self.hoist.run("queue", "--json").out
        rows = [lib.json.loads(line) for line in out.splitlines()]
        return {r["name"]: r["state"] for r in rows if r["event"] == "row"}


def faults(events):
    return [(os.path.basename(e.get("path", "")), e["fault"]["name"], e["fault"].get("cause")) for e in events
            if e["event"] in ("failed", "retry", "skipped", "fatal") and "fault" in e]


def same(found, wanted):
    assert sorted(found) == sorted(wanted), f"too many: {sorted(set(found) - set(wanted))}, missing: {sorted(set(wanted) - set(found))}"
    for key, content in wanted.items():
        assert found[key] == content, f"{key} differs ({len(found[key])} bytes, wanted {len(content)})"


def needs_proxy(w):
    if w.proxy is None:
        raise lib.Skip("not a server on this machine: requests cannot be counted")


# ---------------------------------------------------------------------------------------------------------------- single and multipart


def case_sizes_around_the_edges(t, s):
    w = World(t, s)
    sizes = (0, 1, 65535, 65536, 65537, 5 * MIB, 5 * MIB + 1)
    wanted = {f"src/{n}.bin": lib.data(n, seed=n) for n in sizes}
    for name, content in wanted.items():
        w.write(name.removeprefix("src/"), content)
    done = w.sent(w.src)
    assert len(done) == len(sizes)
    same(w.objects(), wanted)
    for e in done.values():
        wanted = {"rclone": "verified by ETag", "seaweedfs": "verified by checksum", "versitygw": "verified by checksum"}.get(s.name)
        assert wanted in (None, e["verified"]), e
        assert e["url"].startswith("http") and "?" not in e["url"]


def case_multipart_of_40_mib(t, s):
    w = World(t, s)
    content = lib.data(40 * MIB, seed=40)
    path = w.write("large.bin", content)
    os.utime(path, ns=(1_700_000_000_123_456_789,) * 2)
    done = w.sent("--part-size", "8MiB", path)
    same(w.objects(), {"large.bin": content})
    assert w.open_uploads() == []
    if w.proxy:
        parts = w.requests("PUT", "partNumber=")
        assert len(parts) == 5 and {e["bytes"] for e in parts} == {8 * MIB}, [(e["target"], e["bytes"]) for e in parts]
    wanted = {"rclone": "verified by ETag", "seaweedfs": "verified by checksum", "versitygw": "verified by checksum"}.get(s.name)
    assert wanted in (None, done[path]["verified"]), done[path]
    metadata = {k.lower(): v for k, v in w.head("large.bin")["Metadata"].items()}
    assert metadata.get("mtime") == "1700000000.123456789", metadata


def case_content_type_and_metadata(t, s):
    w = World(t, s)
    w.write("page.html", b"<!doctype html><title>x</title>")
    w.write("notes.txt", b"hello\n")
    w.write("data.json", b"{}")
    shutil.copy(f"{IMAGES}/webp/small.webp", f"{w.src}/really-webp.jpg")
    w.write("unknown.zzz", lib.data(100))
    w.sent("--images", "none", "--meta", "owner=Zoë", "--header", "Cache-Control: max-age=60", w.src)
    types = {k: w.head(f"src/{k}")["ContentType"] for k in ("page.html", "notes.txt", "data.json", "really-webp.jpg", "unknown.zzz")}
    assert types["page.html"].startswith("text/html") and types["notes.txt"].startswith("text/plain"), types
    assert types["data.json"] == "application/json" and types["really-webp.jpg"] == "image/webp", types
    assert types["unknown.zzz"] == "application/octet-stream", types
    if w.proxy:
        puts = w.requests("PUT")
        assert puts and all(e["head"].get("cache-control") == "max-age=60" and "x-amz-meta-owner" in e["head"] for e in puts)
        assert all(float(e["head"]["x-amz-meta-mtime"]) > 1e9 for e in puts)


def case_awkward_keys(t, s):
    w = World(t, s)
    names = ["ünï cödé.txt", "日本語/файл.txt", "emoji 😀.bin", "a b  c", "plus+and&eq=per%25", "100%", "hash#query?x=1&y=2", "(paren) 'quote' \"dq\"",
             "semi;colon,comma:at@", "~tilde!star*", "back\\slash", "[brackets]{braces}<angle>|pipe^caret`tick`$dollar", "-dash", ".hidden",
             "é-composed", "e\u0301-decomposed", "dir/sub/deeper/leaf", "n" * 200 + ".txt", "%2e%2e%2f", "a.b..c", "%E4%BD%A0", "x" * 100 + "/" + "y" * 100]
    if s.name == "seaweedfs":       # it takes a backslash for a slash
        names.remove("back\\slash")
    wanted = {f"src/{n}": n.encode() for n in names}
    for n in names:
        w.write(n, n.encode())
    w.sent(w.src)
    same(w.objects(), wanted)


def case_bytes_that_are_not_text(t, s):
    """Invalid UTF-8, a newline, control bytes, a blank at the end: uploaded as they are, or refused by name; the rest goes on either way."""
    w = World(t, s)
    names = [b"bad-\xff\xfe.txt", b"new\nline.txt", b"esc-\x1b[31m.txt", b"blank-at-end ", b"tab\there", b"good.txt"]
    for n in names:
        w.write(n, n)
    status, events, err = w.up(w.src, timeout=200)
    done, failed = lib.of_kind(events, "done"), lib.of_kind(events, "failed")
    assert len(done) + len(failed) == len(names), (faults(events), err)
    assert status == (1 if failed else 0)
    assert any(e["path"].endswith("good.txt") for e in done)
    for e in failed:
        assert e["fault"]["name"] in ("bad-key", "refused", "server-error", "bad-answer"), e["fault"]
        assert e["fault"]["remedy"]
    try:
        contents = list(w.objects().values())
    except Exception:       # a listing that is no XML: these bytes have no place in it
        return
    for e in done:
        assert os.fsencode(e["path"]).rsplit(b"/", 1)[1] in contents or "path_b64" in e, e["path"]


def case_key_templates(t, s):
    w = World(t, s)
    path = w.write("album/Photo One.TXT", b"template")
    day = time.strftime("%Y")
    for template, pattern in (("{name}", r"Photo One\.TXT"), ("in/{stem}-x.{ext}", r"in/Photo One-x\.(TXT|txt)"),
                              ("{uuid}.{ext}", r"[0-9a-f-]{36}\.(TXT|txt)"), ("{rand}", r"[0-9a-f]{64}"),
                              ("{date}/{ts}-{name}", day + r".*/\d+-Photo One\.TXT"), ("{dir}/{name}", r".*Photo One\.TXT")):
        before = set(w.objects())
        w.sent("--key", template, path)
        new = set(w.objects()) - before
        if template != "{dir}/{name}":
            assert len(new) == 1 and re.fullmatch(pattern, min(new)), f"{template} gave {new}"


def case_if_exists(t, s):
    w = World(t, s)
    path = w.write("taken.txt", b"first")
    w.sent(path)
    w.write("taken.txt", b"second")
    status, events, err = w.up("--if-exists", "skip", path)
    assert status == 0, (faults(events), err)
    assert w.objects() == {"taken.txt": b"first"}, f"skip: {w.objects()}"
    w.write("taken.txt", b"third")
    status, events, err = w.up("--if-exists", "fail", path)
    assert status == 1 and faults(events)[-1][1] == "exists", (status, faults(events), err)
    assert w.objects() == {"taken.txt": b"first"}, f"fail: {w.objects()}"
    w.write("taken.txt", b"fourth")
    w.sent("--if-exists", "overwrite", path)
    assert w.objects() == {"taken.txt": b"fourth"}


def case_if_exists_looks_before_it_sends(t, s):
    """A large file is not sent first to learn that its key is taken."""
    w = World(t, s)
    path = w.write("large.bin", lib.data(12 * MIB, seed=1))
    w.sent("--part-size", "5MiB", "--if-exists", "fail", path)
    w.write("large.bin", lib.data(12 * MIB, seed=2))
    status, events, err = w.up("--part-size", "5MiB", "--if-exists", "skip", path)
    assert status == 0, (faults(events), err)
    assert w.objects() == {"large.bin": lib.data(12 * MIB, seed=1)}
    assert w.open_uploads() == []
    if w.proxy:
        assert len(w.requests("PUT")) == 3, "it was sent all the same"


def case_each_checksum(t, s):
    if s.name == "rclone":
        needs = ("auto", "none", "sha256", "md5")
    else:
        needs = ("auto", "crc64nvme", "crc32c", "sha256", "md5", "none")
    w = World(t, s)
    for kind in needs:
        small, large = lib.data(1000, seed=1), lib.data(11 * MIB, seed=2)
        w.write(f"{kind}/small.bin", small)
        w.write(f"{kind}/large.bin", large)
        done = w.sent("--checksum", kind, "--part-size", "5MiB", f"{w.src}/{kind}")
        assert len(done) == 2, kind
        found = w.objects()
        assert found[f"{kind}/small.bin"] == small and found[f"{kind}/large.bin"] == large, kind
        levels = {e["verified"] for e in done.values()}
        assert levels <= {"not verified"} if kind == "none" else {"verified by checksum", "verified by ETag", "size only"}, f"{kind}: {levels}"
        if kind in ("crc64nvme", "crc32c", "sha256") and s.name == "seaweedfs":
            assert levels == {"verified by checksum"}, f"{kind}: {levels}"
            assert all(e["checksum"].startswith(kind) for e in done.values())
    assert w.open_uploads() == []


def case_unsigned_payload(t, s):
    w = World(t, s)
    path = w.write("a.bin", lib.data(6 * MIB))
    w.sent("--unsigned-payload", path)
    if w.proxy:
        assert {e["head"]["x-amz-content-sha256"] for e in w.requests("PUT")} == {"UNSIGNED-PAYLOAD"}
    w.sent(w.write("b.bin", b"signed"))
    if w.proxy:
        assert re.fullmatch(r"[0-9a-f]{64}", w.requests("PUT", "/b.bin")[-1]["head"]["x-amz-content-sha256"])


# ---------------------------------------------------------------------------------------------------------------- refused


def refused(w, fault, files=8, **kw):
    """Every try is refused with this fault; after three in a row nothing more is tried."""
    for i in range(files):
        w.write(f"{i}.txt")
    status, events, err = w.up("-j", "1", w.src, **kw)
    assert status == 1, f"exit status {status}: {err}"
    failed = lib.of_kind(events, "failed")
    assert {e["fault"]["name"] for e in failed} == {fault}, faults(events)
    assert all(e["fault"]["remedy"] and e["fault"]["cause"] for e in failed)
    assert len(failed) == 3, f"{len(failed)} files were tried"
    notices = [e for e in events if e["event"] == "notice" and e.get("fault", {}).get("name") == fault]
    assert notices and "paused" in notices[0]["text"], events
    secret = w.hoist.env["AWS_SECRET_ACCESS_KEY"]
    assert secret not in lib.json.dumps(events) + err
    return events


def case_wrong_secret_then_right(t, s):
    w = World(t, s)
    refused(w, "wrong-secret", env={"AWS_SECRET_ACCESS_KEY": "not-the-secret-at-all"})
    r = w.hoist.run("retry", "--all")
    assert r.returncode == 0, r.err
    status, events, err = w.hoist.up()
    assert status == 0, (status, faults(events), err)
    assert len(w.objects()) == 8


def case_wrong_access_key(t, s):
    refused(World(t, s), "unknown-access-key", env={"AWS_ACCESS_KEY_ID": "NOBODYSKEY0000000000"})


def case_wrong_bucket(t, s):
    if s.name == "seaweedfs":
        raise lib.Skip("SeaweedFS makes a bucket that is missing")
    w = World(t, s)
    w.to = f"s3://no-such-bucket-{uuid.uuid4().hex[:8]}/x"
    refused(w, "no-such-bucket")


def case_no_credentials(t, s):
    w = World(t, s)
    del w.hoist.env["AWS_ACCESS_KEY_ID"], w.hoist.env["AWS_SECRET_ACCESS_KEY"]
    status, events, err = w.up(w.write("a.txt"))
    assert status in (1, 3), status
    assert "no-credentials" in lib.json.dumps(events) + err or "AWS_ACCESS_KEY_ID" in err, (events, err)


def clock_off(t, s, shift):
    if not FAKETIME:
        raise lib.Skip("no libfaketime")
    w = World(t, s)
    for i in range(40):
        w.write(f"{i}.txt", b"%d" % i)
    # The library must be loaded first: the address sanitizer refuses to come second, so it is told not to look.
    env = {"LD_PRELOAD": FAKETIME, "FAKETIME": shift, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
           "ASAN_OPTIONS": w.hoist.env["ASAN_OPTIONS"] + ":verify_asan_link_order=0"}
    status, events, err = w.up(w.src, env=env)
    if status == 0:         # the server told its time, and hoist signs with it
        same(w.objects(), {f"src/{i}.txt": b"%d" % i for i in range(40)})
        if w.proxy:     # those that were out before the first answer came learn it too
            assert len(w.requests("PUT")) <= 40 + 20, "the offset is learned again and again"
    else:
        assert status == 1 and {f[1] for f in faults(events)} == {"clock-skew"}, (status, faults(events), err)


def case_clock_an_hour_behind(t, s):
    clock_off(t, s, "-1h")


def case_clock_an_hour_ahead(t, s):
    clock_off(t, s, "+1h")


def case_endpoint_down(t, s):
    w = World(t, s, through_proxy=False)
    w.hoist.env["AWS_ENDPOINT_URL_S3"] = f"http://127.0.0.1:{lib.free_port()}"
    w.write("a.txt")
    began = time.monotonic()
    status, events, err = w.up(w.src, timeout=200)
    assert status == 1, (status, err)
    failed = lib.of_kind(events, "failed")
    assert [e["fault"]["name"] for e in failed] == ["cannot-connect"], faults(events)
    assert len(lib.of_kind(events, "retry")) == 2, "three tries"
    assert time.monotonic() - began < 90


# ---------------------------------------------------------------------------------------------------------------- resume


def parts_sent(w):
    return [e["target"] for e in w.requests("PUT", "partNumber=")]


def killed_among_parts(w, path, *args):
    """kill -9 when some parts have arrived and others are on their way."""
    w.proxy.rule("slow-read", "PUT", "partNumber=[3-9]", times=100, bps=2 * MIB)
    p = w.hoist.start("up", "--json", "--to", w.to, *args, path)
    some = lib.wait_for(lambda: len([e for e in w.requests("PUT", "partNumber=") if e["status"] == 200]) >= 2 and
                        w.proxy.in_flight > 0, 60)
    assert some, f"no two parts arrived: {p.poll()} {w.requests()}"
    time.sleep(0.3)         # until hoist has read and written down what the proxy saw
    in_flight = [e["target"] for e in w.requests("PUT", "partNumber=") if e["status"] == 0]
    p.kill()
    p.communicate()
    with w.proxy.lock:
        w.proxy.rules.clear()
    lib.wait_for(lambda: w.proxy.in_flight == 0, 20)
    return in_flight


def case_resume_after_kill(t, s):
    w = World(t, s)
    needs_proxy(w)
    content = lib.data(48 * MIB, seed=48)
    path = w.write("large.bin", content)
    args = ("--part-size", "5MiB", "--parts", "3")
    in_flight = killed_among_parts(w, path, *args)
    before = len(parts_sent(w))
    status, events, err = w.hoist.up()
    assert status == 0, (faults(events), err)
    same(w.objects(), {"large.bin": content})
    sent = parts_sent(w)
    twice = [x for x in set(sent) if sent.count(x) > 1]
    assert len(twice) <= len(in_flight) and set(twice) <= set(in_flight), f"sent twice {twice}, in flight {in_flight}"
    assert len(sent) > before and w.open_uploads() == []
    assert len({re.search("uploadId=([^&]+)", x)[1] for x in sent}) == 1, "another upload was opened"


def case_killed_twice_then_the_same_command(t, s):
    w = World(t, s)
    needs_proxy(w)
    content = lib.data(48 * MIB, seed=49)
    path = w.write("large.bin", content)
    args = ("--part-size", "5MiB", "--parts", "2")
    hit = killed_among_parts(w, path, *args)
    w.proxy.rule("slow-read", "PUT", "partNumber=", times=100, bps=2 * MIB)
    p = w.hoist.start("up", "--json")
    time.sleep(2.0)
    p.kill()
    p.communicate()
    hit += [e["target"] for e in w.requests("PUT", "partNumber=") if e["status"] == 0]
    with w.proxy.lock:
        w.proxy.rules.clear()
    lib.wait_for(lambda: w.proxy.in_flight == 0, 20)
    w.sent(*args, path)
    same(w.objects(), {"large.bin": content})
    sent = parts_sent(w)
    assert {x for x in sent if sent.count(x) > 1} <= set(hit), "a part that had arrived was sent again"
    assert w.open_uploads() == []


def resume_without_listparts(t, s, answer):
    w = World(t, s)
    content = lib.data(32 * MIB, seed=32)
    path = w.write("large.bin", content)
    in_flight = killed_among_parts(w, path, "--part-size", "5MiB", "--parts", "2")
    if answer:
        w.proxy.rule("answer", "GET", "uploadId=", times=100, answer=answer)
    status, events, err = w.hoist.up()
    assert status == 0, (faults(events), err)
    same(w.objects(), {"large.bin": content})
    sent = parts_sent(w)
    twice = {x for x in sent if sent.count(x) > 1}
    # Without ListParts the journal decides; what it had not yet on disk when the kill came may go out again.
    assert len(twice) <= len(in_flight) + 1, f"sent twice {twice}, in flight {in_flight}"
    out = w.hoist.run("queue", "--json").out
    return next(lib.json.loads(line) for line in out.splitlines() if "large.bin" in line)


def test_listparts_answers_405(t):
    row = resume_without_listparts(t, Shared.get(lib.Rclone), b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
    print(f"# note: {row.get('note')}")


def test_listparts_answers_501(t):
    body = b"<Error><Code>NotImplemented</Code><Message>A header you provided implies functionality that is not implemented.</Message></Error>"
    resume_without_listparts(t, Shared.get(lib.Rclone), b"HTTP/1.1 501 Not Implemented\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n%s"
                             % (len(body), body))


def test_s3rver_resumes_by_the_journal(t):
    resume_without_listparts(t, Shared.get(lib.S3rver), None)


def test_s3rver_takes_files(t):
    w = World(t, Shared.get(lib.S3rver))
    wanted = {"src/a.txt": b"a", "src/empty": b"", "src/large.bin": lib.data(12 * MIB)}
    for name, content in wanted.items():
        w.write(name.removeprefix("src/"), content)
    w.sent("--part-size", "5MiB", w.src)
    same(w.objects(), wanted)


# ---------------------------------------------------------------------------------------------------------------- the queue


def rclone_world(t):
    return World(t, Shared.get(lib.Rclone))


def test_second_run_of_the_same_command(t):
    w = rclone_world(t)
    w.write("a.txt", b"one")
    w.write("b.txt", b"two")
    w.sent(w.src)
    w.write("b.txt", b"changed")
    w.sent(w.src)
    same(w.objects(), {"src/a.txt": b"one", "src/b.txt": b"changed"})


def test_nothing_to_do(t):
    w = rclone_world(t)
    status, events, _ = w.hoist.up("--to", w.to)
    assert status == 0 and events[-1]["event"] == "summary" and events[-1]["done"] == 0


def test_two_hoists_on_one_queue(t):
    w = rclone_world(t)
    w.proxy.rule("slow-read", "PUT", "first", times=10, bps=2 * MIB)
    first, second = w.write("first.bin", lib.data(6 * MIB)), w.write("second.bin", lib.data(1000))
    p = w.hoist.start("up", "--json", "--to", w.to, first)
    assert lib.wait_for(lambda: w.proxy.in_flight > 0, 20)
    r = w.hoist.run("up", "--json", "--to", w.to, second)
    out, err = p.communicate(timeout=60)
    assert p.returncode == 0, err.decode()
    assert r.returncode == 0, (r.out, r.err)
    assert sorted(w.objects()) == ["first.bin", "second.bin"]


def test_commands_of_the_queue(t):
    w = rclone_world(t)
    for i in range(5):
        w.write(f"{i}.txt")
    w.proxy.rule("answer", "PUT", times=3, answer=b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    status, _, _ = w.up("-j", "1", w.src)
    assert status == 1
    states = w.states()
    assert sorted(states.values()) == ["failed"] * 3 + ["queued"] * 2, states
    run = w.hoist.run
    listed = run("queue", "--state", "failed")
    assert listed.returncode == 0 and len([x for x in listed.out.splitlines() if "failed" in x]) == 3, listed.out
    rows = [lib.json.loads(x) for x in run("queue", "--json").out.splitlines()]
    ids = {r["name"]: str(r["id"]) for r in rows if r["event"] == "row"}
    failed = [n for n, s in states.items() if s == "failed"]
    waiting = [n for n, s in states.items() if s == "queued"]
    assert run("cancel", ids[failed[0]]).returncode == 0
    assert w.states()[failed[0]] == "cancelled", w.states()
    assert run("pause", ids[waiting[0]]).returncode == 0
    assert w.states()[waiting[0]] == "paused"
    assert run("forget", ids[failed[0]]).returncode == 0
    assert failed[0] not in w.states()
    assert run("retry", "--state", "failed").returncode == 0
    status, events, err = w.hoist.up()
    assert w.states() == {**{n: "done" for n in failed[1:] + waiting[1:]}, waiting[0]: "paused"}, (w.states(), err)
    assert run("resume", "--all").returncode == 0
    status, events, err = w.hoist.up()
    assert status == 0 and set(w.states().values()) == {"done"}, (status, err)
    assert len(w.objects()) == 4
    assert run("retry", "999999").returncode in (1, 2)
    assert run("retry", "nonsense").returncode == 2
    assert run("forget", "--state", "done").returncode == 0
    assert w.states() == {}


def test_cancel_aborts_at_the_server(t):
    w = rclone_world(t)
    path = w.write("large.bin", lib.data(30 * MIB))
    killed_among_parts(w, path, "--part-size", "5MiB", "--parts", "2")
    assert w.open_uploads(), "there was no upload to abort"
    row = next(lib.json.loads(x) for x in w.hoist.run("queue", "--json").out.splitlines() if "large.bin" in x)
    assert w.hoist.run("cancel", str(row["id"])).returncode == 0
    w.hoist.up()
    assert w.states()["large.bin"] == "cancelled", w.states()
    assert w.open_uploads() == [] and w.objects() == {}


# ---------------------------------------------------------------------------------------------------------------- sources


def test_source_changed_while_queued(t):
    w = rclone_world(t)
    path = w.write("a.bin", b"old")
    w.proxy.rule("answer", "PUT", times=1, answer=b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    assert w.up(path)[0] == 1
    w.write("a.bin", b"newer and longer")
    w.hoist.run("retry", "--all")
    w.hoist.up()
    assert w.objects() == {"a.bin": b"newer and longer"}, w.objects()


def changed_while_sent(t, change, sizes=(20 * MIB,)):
    w = rclone_world(t)
    content = lib.data(sizes[0], seed=3)
    path = w.write("growing.bin", content)
    w.proxy.rule("slow-read", "PUT", times=2, bps=4 * MIB)
    p = w.hoist.start("up", "--json", "--part-size", "5MiB", "--parts", "1", "--to", w.to, path)
    assert lib.wait_for(lambda: w.proxy.in_flight > 0, 20)
    time.sleep(0.3)
    change(path)
    out, err = p.communicate(timeout=120)
    events = [lib.json.loads(x) for x in out.splitlines()]
    assert p.returncode in (0, 1), err.decode()
    return w, p.returncode, events, content


def test_source_overwritten_while_sent(t):
    new = lib.data(20 * MIB, seed=4)

    def overwrite(path):
        with open(path, "r+b") as f:
            f.write(new)
    w, status, events, _ = changed_while_sent(t, overwrite)
    found = w.objects()
    assert "file-changed" in {f[1] for f in faults(events)}, (status, faults(events))
    assert found == ({"growing.bin": new} if status == 0 else {}), "completed from a mixture"
    assert w.open_uploads() == []


def test_source_truncated_while_sent(t):
    w, status, events, _ = changed_while_sent(t, lambda path: os.truncate(path, 7 * MIB))
    found = w.objects()
    assert status == 1 or len(found["growing.bin"]) == 7 * MIB, (status, faults(events))
    assert status == 0 or found == {}


def test_source_removed_while_sent(t):
    w, status, events, content = changed_while_sent(t, os.unlink)
    found = w.objects()
    assert (status == 1 and found == {}) or (status == 0 and found == {"growing.bin": content}), (status, faults(events), list(found))


def test_source_grows_while_sent(t):
    def grow(path):
        with open(path, "ab") as f:
            f.write(b"x" * MIB)
    w, status, events, content = changed_while_sent(t, grow)
    found = w.objects()
    assert found in ({}, {"growing.bin": content + b"x" * MIB}), "completed from a mixture"
    assert (status == 0) == bool(found), (status, faults(events))


def test_paths_that_are_no_files(t):
    w = rclone_world(t)
    good = w.write("good.txt")
    os.mkfifo(f"{w.src}/fifo")
    os.symlink("loop", f"{w.src}/loop")
    os.symlink("missing", f"{w.src}/dangling")
    w.write("folder.jpg/inside.txt")
    began = time.monotonic()
    status, events, err = w.up(w.src, t.path("not-there"), "/dev/null")
    assert time.monotonic() - began < 30
    skipped = {os.path.basename(e["path"]): e["fault"]["name"] for e in lib.of_kind(events, "skipped")}
    assert skipped.get("not-there") == "file-missing" and skipped.get("null") == "not-a-file" and skipped.get("fifo") == "not-a-file", skipped
    assert "loop" in skipped and "dangling" in skipped, skipped
    assert status == 1, "a named path that does not exist is a failure"
    assert sorted(w.objects()) == ["src/folder.jpg/inside.txt", "src/good.txt"], good
    assert events[-1]["skipped"] == len(skipped), events[-1]


def test_unreadable_file(t):
    w = rclone_world(t)
    w.write("good.txt")
    secret = w.write("secret.txt")
    os.chmod(secret, 0)
    args = ("up", "--json", "--to", w.to, w.src)
    if os.geteuid():
        r = w.hoist.run(*args)
    else:
        for where, folders, files in os.walk(t.folder):
            for f in [where] + [os.path.join(where, x) for x in files]:
                os.chown(f, 65534, 65534, follow_symlinks=False)
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", w.hoist.binary]
        if subprocess.run([*command, "--version"], capture_output=True, env=w.hoist.env).returncode:
            raise lib.Skip("the build folder is closed to other users")
        w.hoist.binary = command[0]
        r = w.hoist.run(*command[1:], *args)
    events = [lib.json.loads(x) for x in r.out.splitlines()]
    assert r.returncode == 1, (r.returncode, r.err)
    assert [f[:2] for f in faults(events)] == [("secret.txt", "file-unreadable")], faults(events)
    assert list(w.objects()) == ["src/good.txt"]


def test_paths_from_standard_input(t):
    w = rclone_world(t)
    a, b = w.write("a.txt", b"a"), w.write("new\nline.txt", b"b")
    w.sent("-0", "-", stdin=os.fsencode(a) + b"\0" + os.fsencode(b) + b"\0")
    assert sorted(w.objects().values()) == [b"a", b"b"]
    c = w.write("c.txt", b"c")
    w.sent("-", stdin=os.fsencode(c) + b"\n")
    assert b"c" in w.objects().values()


def test_dry_run_sends_nothing(t):
    w = rclone_world(t)
    w.write("a.txt")
    r = w.hoist.run("up", "--dry-run", "--to", w.to, w.src)
    assert r.returncode == 0 and "src/a.txt" in r.out, (r.out, r.err)
    assert w.requests() == [] and w.states() == {}


def test_limit(t):
    w = rclone_world(t)
    path = w.write("a.bin", lib.data(6 * MIB))
    began = time.monotonic()
    w.sent("--limit", "2M", path)
    took = time.monotonic() - began
    assert 2.0 < took < 12, f"6.3 MB at 2 MB/s took {took:.1f} s"


def test_jobs_at_once(t):
    w = rclone_world(t)
    for i in range(12):
        w.write(f"{i}.bin", lib.data(200000, seed=i))
    w.proxy.rule("late-answer", "PUT", times=12, seconds=0.3)
    w.sent("-j", "2", w.src)
    assert w.proxy.most_in_flight == 2, w.proxy.most_in_flight
    w.proxy.most_in_flight = 0
    w.proxy.rule("late-answer", "PUT", times=12, seconds=0.5)
    w.sent("-j", "8", "--key", "again/{name}", w.src)
    assert 4 <= w.proxy.most_in_flight <= 8, w.proxy.most_in_flight


def test_options_that_make_no_sense(t):
    w = rclone_world(t)
    path = w.write("a.txt")
    for args in (("--part-size", "1k"), ("-j", "0"), ("-j", "many"), ("--checksum", "crc99"), ("--if-exists", "perhaps"), ("--images", "huge"),
                 ("--no-such-option",), ("--limit", "fast"), ("--key", "{nonsense}"), ("--key", "{sha256}"), ("--to", "ftp://x")):
        r = w.hoist.run("up", "--to", w.to, *args, path) if args[0] != "--to" else w.hoist.run("up", *args, path)
        assert r.returncode == 2, f"{args}: exit status {r.returncode}"
        named = {"-j": "jobs", "--to": "destination"}.get(args[0], args[0])
        assert named in r.err, f"{args}: {r.err}"
    lib.write(f"{w.hoist.folder}/config/hoist/config.ini", b"[hoist]\npart-size = huge\n")
    r = w.hoist.run("up", "--to", w.to, path)
    assert r.returncode == 2 and "config.ini" in r.err and "line 2" in r.err, r.err
    assert w.requests() == []


# ---------------------------------------------------------------------------------------------------------------- pictures


def pictures(t, *paths):
    """All go up, each under a key of its own: made smaller, or as they are. What they look like is for test_images.py to judge."""
    w = rclone_world(t)
    for path in paths:
        if os.path.isdir(path):
            shutil.copytree(path, f"{w.src}/pictures", symlinks=True)
        else:
            shutil.copy(path, w.src)
    status, events, err = w.up(w.src, timeout=900)
    files = [os.path.join(d, f) for d, _, fs in os.walk(w.src) for f in fs]
    done = {e["path"]: e for e in lib.of_kind(events, "done")}
    assert status == 0, (faults(events), err)
    assert len(done) == len(files), set(files) - set(done)
    found = w.objects()
    assert len(found) == len({e["key"] for e in done.values()})
    made = 0
    for e in lib.of_kind(events, "prepared"):
        key = done[e["path"]]["key"].removeprefix(w.prefix + "/")
        content, original = found[key], open(e["path"], "rb").read()
        if e.get("recipe"):
            made += 1
            assert len(content) <= max(1_000_000, len(original)), f"{key}: {len(content)} bytes ({e['recipe']})"
            assert w.head(key)["ContentType"].startswith("image/"), key
        else:
            assert content == original, f"{key} was to go up as it is"
    print(f"# {len(files)} files, {made} prepared")
    assert made >= 1


def test_a_few_pictures(t):
    pictures(t, *(f"{IMAGES}/{name}" for name in ("jpeg/base-800.jpg", "png/gray-alpha.png", "orientation/8.jpg", "broken/header-only.jpg")))


def test_pictures_of_every_kind(t):
    pictures(t, IMAGES)


def test_pictures_given(t):
    if not os.environ.get("HOIST_IMAGES"):
        raise lib.Skip("no further pictures (HOIST_IMAGES)")
    pictures(t, os.environ["HOIST_IMAGES"])


def per_server():
    for name, case in [(n[5:], f) for n, f in globals().items() if n.startswith("case_")]:
        for kind in lib.server_kinds():
            yield f"{kind.name}-{name.replace('_', '-')}", lambda t, case=case, kind=kind: case(t, Shared.get(kind))


if __name__ == "__main__":
    once = [(n[5:].replace("_", "-"), f) for n, f in globals().items() if n.startswith("test_")]
    try:
        lib.main(sorted(per_server(), key=lambda x: x[0].split("-")[0]) + once)
    finally:
        Shared.stop()
