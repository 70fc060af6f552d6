"""tus 1.0: @tus/server, as it is installed everywhere, and a strict server of the tests' own for what no real one does (tusd.py).

What was sent is judged at the server: by what it holds, and by how many bytes it was given to get there.
"""
import base64
import contextlib
import json
import os

import lib
from proxy import Proxy
from tusd import Tusd

MIB = 1 << 20
CHUNK = 8 * MIB


class TusNode(lib.Server):
    """@tus/server with its file store."""
    name = "tus-node"

    def __init__(self, folder):
        super().__init__(folder)
        self.data = os.path.join(folder, "data")
        os.makedirs(self.data, exist_ok=True)

    def command(self):
        home = os.path.join(lib.SERVERS, "node/tus")
        if not os.path.isdir(f"{home}/node_modules/@tus/server"):
            raise lib.Skip("@tus/server is not here (it needs npm)")
        return ["env", f"TUS_HOME={home}", f"DATADIR={self.data}", f"PORT={self.port}", "node",
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "tus-server.mjs")]

    def answers(self):
        import socket
        if self.process.poll() is not None:
            return True
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def make_bucket(self, bucket):
        pass

    def uploads(self):
        """(metadata, length, bytes) of each upload"""
        found = []
        for name in sorted(n for n in os.listdir(self.data) if n.endswith(".json")):
            with contextlib.suppress(ValueError, FileNotFoundError):        # it is being written, or taken away
                info = json.load(open(f"{self.data}/{name}"))
                found.append((info.get("metadata") or {}, info["size"], open(f"{self.data}/{name.removesuffix('.json')}", "rb").read()))
        return found

    def contents(self):
        return {m.get("relativePath", m.get("filename")): content for m, length, content in self.uploads() if len(content) == length}


class World:
    """A server, a home, and sources."""

    def __init__(self, t, server=None, to=None, **features):
        self.t = t
        self.server = server or Tusd(**features)
        if server is None:
            t.later(self.server.close)
        self.to = to or self.server.to
        self.hoist = lib.Hoist(t.path("home"))
        self.src = t.path("src")

    def write(self, name, content):
        path = os.path.join(os.fsencode(self.src), os.fsencode(name))
        lib.write(path, content)
        return os.fsdecode(path)

    def up(self, *args, **kw):
        return self.hoist.up("--to", self.to, "--images", "none", *args, **kw)

    def sent(self, *args, **kw):
        status, events, err = self.up(*args, **kw)
        assert status == 0, f"exit status {status}: {err}\n{faults(events)}"
        return {os.path.basename(e["path"]): e for e in lib.of_kind(events, "done")}

    def failed(self, *args, **kw):
        status, events, err = self.up(*args, **kw)
        assert status == 1, f"exit status {status}: {err}\n{faults(events)}"
        return lib.of_kind(events, "failed")[-1]["fault"]

    def got(self):
        """Bytes of the file that reached the server."""
        return sum(e["got"] for e in self.server.asked("PATCH") + self.server.asked("POST"))

    def lawful(self):
        assert self.server.violations == [], self.server.violations


def faults(events):
    return [(os.path.basename(e.get("path", "")), e["fault"]["name"], e["fault"].get("cause")) for e in events if "fault" in e]


def same(found, wanted):
    assert sorted(found) == sorted(wanted), f"too many: {sorted(set(found) - set(wanted))}, missing: {sorted(set(wanted) - set(found))}"
    for key, content in wanted.items():
        assert found[key] == content, f"{key} differs ({len(found[key])} bytes, wanted {len(content)})"


# ---------------------------------------------------------------------------------------------------------------- @tus/server


def node(t):
    server = t.server(TusNode)
    proxy = Proxy(server.port)
    t.later(proxy.close)
    return World(t, server, f"tus+{proxy.url}/files"), proxy


def test_node_sizes_and_names(t):
    w, proxy = node(t)
    wanted = {"src/empty": b"", "src/small": lib.data(5000), "src/at the edge": lib.data(MIB), "src/large": lib.data(20 * MIB + 1, seed=2),
              "src/ünï/日本語 😀.txt": b"names", "src/plus+and,comma=%25": b"x"}
    for name, content in wanted.items():
        w.write(name.removeprefix("src/"), content)
    done = w.sent("--tus-metadata", "album=Zoë", w.src)
    same(w.server.contents(), wanted)
    metadata = {m["filename"]: m for m, _, _ in w.server.uploads()}
    assert metadata["日本語 😀.txt"]["filetype"].startswith("text/plain") and metadata["small"]["album"] == "Zoë", metadata
    assert len(done) == len(wanted)
    for e in done.values():
        assert e["verified"] == "size only" and e["url"].startswith(f"{proxy.url}/files/") and e["key"] == e["url"].rsplit("/", 1)[1], e
    assert proxy.count("POST") == len(wanted) and proxy.count("PATCH") == 1, "a small file takes one request"


def test_node_kill_9_in_a_patch(t):
    w, proxy = node(t)
    content = lib.data(24 * MIB, seed=3)
    path = w.write("large.bin", content)
    proxy.rule("slow-read", "PATCH", bps=8 * MIB, times=10)
    p = w.hoist.start("up", "--json", "--to", w.to, path)
    assert lib.wait_for(lambda: [1 for _, _, kept in w.server.uploads() if len(kept) > 6 * MIB], 60), p.poll()
    p.kill()
    p.communicate()
    proxy.rules.clear()
    lib.wait_for(lambda: proxy.in_flight == 0, 20)
    status, events, err = w.hoist.up()
    assert status == 0, (faults(events), err)
    same(w.server.contents(), {"large.bin": content})
    first, second = [e for e in proxy.log if e["method"] == "PATCH" and e["forwarded"]]
    offset = int(second["head"]["upload-offset"])
    assert int(first["head"]["upload-offset"]) == 0 and offset > 6 * MIB and second["bytes"] == len(content) - offset
    assert proxy.count("POST") == 1 and proxy.count("HEAD") >= 1


def test_node_reset_in_a_patch(t):
    w, proxy = node(t)
    content = lib.data(12 * MIB, seed=4)
    path = w.write("large.bin", content)
    proxy.rule("reset", "PATCH", times=1)
    w.sent(path)
    same(w.server.contents(), {"large.bin": content})
    assert proxy.count("POST") == 1 and proxy.count("HEAD") >= 1


def test_node_cancel_takes_it_away(t):
    w, proxy = node(t)
    path = w.write("large.bin", lib.data(24 * MIB, seed=5))
    proxy.rule("slow-read", "PATCH", bps=4 * MIB, times=10)
    p = w.hoist.start("up", "--json", "--to", w.to, path)
    assert lib.wait_for(lambda: [1 for _, _, kept in w.server.uploads() if len(kept) > MIB], 60), p.poll()
    r = w.hoist.run("cancel", "1")
    assert r.returncode == 0, r.err
    p.communicate(timeout=60)
    assert lib.wait_for(lambda: w.server.uploads() == [], 30), "the upload is still there"
    assert proxy.count("DELETE") >= 1


# ---------------------------------------------------------------------------------------------------------------- the strict server


def test_small_files_travel_with_their_creation(t):
    w = World(t)
    wanted = {"src/empty": b"", "src/ü": b"u", "src/sub/b": lib.data(70000)}
    for name, content in wanted.items():
        w.write(name.removeprefix("src/"), content)
    w.write(b"bad-\xff.txt", b"bytes")
    w.sent(w.src)
    same(w.server.contents(), {**wanted, "src/bad-\ufffd.txt": b"bytes"})
    assert len(w.server.asked("POST")) == 4 and not w.server.asked("PATCH") and not w.server.asked("HEAD")
    w.lawful()


def test_checksums_of_chunks(t):
    w = World(t, extensions="creation,checksum")
    content = lib.data(20 * MIB, seed=1)
    w.server.fault("flip", "PATCH")
    done = w.sent(w.write("a.bin", content))
    same(w.server.contents(), {"a.bin": content})
    sums = [e["head"]["upload-checksum"].split()[0] for e in w.server.asked("PATCH")]
    assert sums == ["sha1"] * 4 and [e["status"] for e in w.server.asked("PATCH")] == [460, 204, 204, 204]
    assert w.got() == len(content) + CHUNK, "more than the one chunk was sent again"
    assert done["a.bin"]["verified"] == "verified by checksum", done
    w.lawful()


def test_checksum_that_never_fits(t):
    w = World(t, extensions="creation,checksum")
    w.server.fault("flip", "PATCH", times=99)
    fault = w.failed(w.write("a.bin", lib.data(3 * MIB)))
    assert fault["name"] == "checksum-differs" and "460" in fault["cause"], fault
    assert w.server.contents() == {}


def test_checksum_by_name(t):
    w = World(t, extensions="creation,creation-with-upload,checksum", sums=("sha1", "md5"))
    done = w.sent("--checksum", "md5", w.write("small", b"some bytes"))
    assert w.server.asked("PATCH")[0]["head"]["upload-checksum"].startswith("md5 ") and done["small"]["verified"] == "verified by checksum"
    fault = w.failed("--checksum", "sha256", w.write("other", b"some bytes"))
    assert fault["name"] == "not-supported" and "sha256" in fault["cause"], fault
    w.lawful()


def test_parts_are_joined(t):
    w = World(t, extensions="creation,concatenation")
    content = lib.data(40 * MIB, seed=6)
    w.server.fault("cut", "PATCH", after=5 * MIB)
    w.server.fault("lose", "PATCH")
    done = w.sent(w.write("a.bin", content))
    same(w.server.contents(), {"a.bin": content})
    assert w.got() == len(content), f"{w.got()} bytes were sent of {len(content)}"
    assert len([u for u in w.server.uploads.values() if u.partial]) == 3 and done["a.bin"]["verified"] == "size only", done
    assert [v for v in w.server.violations if ": 409" not in v] == [], w.server.violations


def test_joined_parts_are_checked_too(t):
    w = World(t)
    content = lib.data(33 * MIB, seed=7)
    done = w.sent(w.write("a.bin", content))
    same(w.server.contents(), {"a.bin": content})
    assert done["a.bin"]["verified"] == "verified by checksum" and w.got() == len(content)
    w.lawful()


def test_not_a_byte_twice(t):
    """Cut connections, lost answers, and a server that takes less than it was given."""
    w = World(t, extensions="creation,termination", query="sig=a%2Fb")
    content = lib.data(10 * MIB, seed=8)
    w.server.fault("cut", "PATCH", after=3 * MIB + 1)
    w.server.fault("lose", "PATCH")
    path = w.write("a.bin", content)
    w.sent(path)
    same(w.server.contents(), {"a.bin": content})
    assert w.got() == len(content) and len(w.server.asked("POST")) == 1
    w.server.fault("take", "PATCH", bytes=MIB)
    w.server.fault("lose", "POST")
    w.sent(w.write("b.bin", content))
    assert w.server.contents()["b.bin"] == content
    offsets = [e["offset"] for e in w.server.asked("PATCH")[2:]]
    assert offsets == [0, MIB], offsets
    w.lawful()


def test_kill_9_resumes_to_the_byte(t):
    for extensions, least in (("creation", 1), ("creation,concatenation", 2)):
        w = World(t, extensions=extensions)
        w.hoist = lib.Hoist(t.path(f"home-{least}"))
        content = lib.data(36 * MIB, seed=9)
        path = w.write("a.bin", content)
        w.server.fault("slow", "PATCH", times=99, bps=6 * MIB)
        p = w.hoist.start("up", "--json", "--to", w.to, path)
        assert lib.wait_for(lambda: len([u for u in w.server.uploads.values() if len(u.data) > 2 * MIB]) >= least, 60), p.poll()
        p.kill()
        p.communicate()
        w.server.faults.clear()
        lib.wait_for(lambda: not [u for u in w.server.uploads.values() if u.busy], 20)
        kept = sum(len(u.data) for u in w.server.uploads.values())
        before = len(w.server.asked("PATCH"))
        status, events, err = w.hoist.up()
        assert status == 0, (faults(events), err)
        same(w.server.contents(), {"a.bin": content})
        again = sum(e["got"] for e in w.server.asked("PATCH")[before:])
        assert again == len(content) - kept and w.got() == len(content), f"{extensions}: {again} bytes sent, {len(content) - kept} were missing"
        w.lawful()


def test_expired_begins_anew(t):
    """The server has it no more, or still has it but says that it is over."""
    past = {"Upload-Offset": MIB, "Upload-Expires": "Thu, 01 Jan 2026 00:00:00 GMT", "Date": "Thu, 01 Jan 2026 00:00:01 GMT"}
    for name, rule in (("gone", {"kind": "expire"}), ("over", {"kind": "answer", "status": 200, "headers": past})):
        w = World(t, extensions="creation,expiration", expires_s=3600)
        w.hoist = lib.Hoist(t.path(f"home-{name}"))
        content = lib.data(4 * MIB, seed=10)
        w.server.fault("cut", "PATCH", after=MIB)
        w.server.fault(method="HEAD", **rule)
        w.sent(w.write("a.bin", content))
        same(w.server.contents(), {"a.bin": content})
        assert len(w.server.asked("POST")) == 2, name


def test_gone_or_changed_between_runs(t):
    """The server removed the upload, or the file is another one now: begun anew, and nothing is left of the old one."""
    for what in ("gone", "changed"):
        w = World(t, extensions="creation,termination")
        w.hoist = lib.Hoist(t.path(f"home-{what}"))
        path = w.write("a.bin", lib.data(24 * MIB, seed=14))
        w.server.fault("slow", "PATCH", times=1, bps=6 * MIB)
        p = w.hoist.start("up", "--json", "--to", w.to, path)
        assert lib.wait_for(lambda: [1 for u in w.server.uploads.values() if len(u.data) > MIB], 60), p.poll()
        p.kill()
        p.communicate()
        lib.wait_for(lambda: not [u for u in w.server.uploads.values() if u.busy], 20)
        content = lib.data(24 * MIB, seed=14 if what == "gone" else 15)
        if what == "gone":
            w.server.uploads.clear()
        else:
            w.write("a.bin", content)
        status, events, err = w.hoist.up()
        assert status == 0, (what, faults(events), err)
        same(w.server.contents(), {"a.bin": content})
        assert w.server.unfinished() == [] and len(w.server.asked("POST")) == 2, what


def test_locks_are_waited_for(t):
    w = World(t, extensions="creation")
    content = lib.data(4 * MIB, seed=11)
    w.server.fault("cut", "PATCH", after=MIB)
    w.server.fault("lock", "HEAD", seconds=2)
    w.sent(w.write("a.bin", content))
    same(w.server.contents(), {"a.bin": content})
    assert 423 in [e["status"] for e in w.server.asked("HEAD")] and w.got() == len(content)


def test_a_proxy_limits_bodies(t):
    w = World(t, extensions="creation")
    content = lib.data(5 * MIB, seed=12)
    for _ in range(2):
        w.server.fault("answer", "PATCH", status=413)
    w.sent(w.write("a.bin", content))
    same(w.server.contents(), {"a.bin": content})
    assert [e["bytes"] for e in w.server.asked("PATCH")][:3] == [5 * MIB, 5 * MIB // 2, 5 * MIB // 4]
    assert w.got() == len(content)


def test_chunks_as_the_person_wants(t):
    w = World(t, extensions="creation")
    content = lib.data(5 * MIB + 1, seed=13)
    w.sent("--part-size", "2MiB", "--tus-override", w.write("a.bin", content))
    same(w.server.contents(), {"a.bin": content})
    patches = w.server.asked("PATCH")
    assert [e["bytes"] for e in patches] == [2 * MIB, 2 * MIB, MIB + 1]
    assert all(e["head"]["x-http-method-override"] == "PATCH" for e in patches)
    w.lawful()


def test_too_large_is_known_before(t):
    w = World(t, max_size=1000)
    fault = w.failed(w.write("a.bin", b"x" * 1001))
    assert fault["name"] == "too-large" and "1000" in fault["cause"], fault
    assert not w.server.asked("POST")
    w.sent(w.write("b.bin", b"x" * 1000))


def test_a_server_without_options(t):
    w = World(t, options=False, extensions="creation", relative=False)
    content = lib.data(MIB + 5)
    w.sent(w.write("a", b"small"), w.write("b", content))
    same(w.server.contents(), {"a": b"small", "b": content})
    w.lawful()


def test_token(t):
    w = World(t, token="s3cr3t-token")
    path = w.write("a.bin", b"some bytes")
    fault = w.failed(path, env={"HOIST_TUS_TOKEN": "another-token"})
    assert fault["name"] == "credentials-expired" and "another-token" not in str(fault), fault
    fault = w.failed(path)
    assert fault["name"] == "access-denied" and "HOIST_TUS_TOKEN" in fault["cause"], fault
    w.sent(path, env={"HOIST_TUS_TOKEN": "s3cr3t-token"})
    same(w.server.contents(), {"a.bin": b"some bytes"})
    for folder, _, names in os.walk(w.hoist.folder):
        for name in names:
            content = open(os.path.join(folder, name), "rb").read()
            assert b"s3cr3t-token" not in content and b"another-token" not in content, name


def test_a_token_that_ends_is_read_anew(t):
    w = World(t, extensions="creation", token="first")
    file = lib.write(t.path("token"), b"first")
    os.chmod(file, 0o600)

    def change():
        w.server.token = "second"
        lib.write(file, b"second")
    w.server.fault("cut", "PATCH", after=MIB, then=change)
    content = lib.data(2 * MIB)
    w.sent("--secret", f"token=file:{file}", w.write("a.bin", content))
    same(w.server.contents(), {"a.bin": content})
    assert [e["status"] for e in w.server.asked("HEAD")] == [401, 200] and w.got() == len(content)


def test_user_and_password(t):
    w = World(t)
    w.sent("--user", "zoe", w.write("a.bin", b"x"), env={"HOIST_TUS_PASSWORD": "pässword"})
    wanted = "Basic " + base64.b64encode("zoe:pässword".encode()).decode()
    assert {e["head"].get("authorization") for e in w.server.log} == {wanted}


def test_rm(t):
    w = World(t)
    key = w.sent(w.write("a.bin", b"x"))["a.bin"]["key"]
    r = w.hoist.run("rm", w.to + key)
    assert r.returncode == 0 and w.server.uploads == {}, (r.out, r.err)
    w.lawful()


def test_other_origins_get_no_credentials(t):
    """An upload that is named on another host gets the file, and nothing else."""
    storage = Tusd(extensions="creation")
    t.later(storage.close)
    w = World(t, extensions="creation")
    content = lib.data(MIB + 1)
    from tusd import Upload
    storage.uploads["x"] = Upload("x", len(content))
    w.server.fault("answer", "POST", status=201, headers={"Location": f"{storage.url}/files/x"})
    w.sent("--header", "X-Key: of the person", w.write("a.bin", content), env={"HOIST_TUS_TOKEN": "s3cr3t-token"})
    assert bytes(storage.uploads["x"].data) == content
    assert w.server.asked("POST")[0]["head"]["authorization"] == "Bearer s3cr3t-token"
    assert not [e for e in storage.log if "authorization" in e["head"] or "x-key" in e["head"]]


def test_redirects_are_followed_by_hand(t):
    w = World(t)
    w.to = w.to.rstrip("/")
    w.server.fault("answer", "POST", status=308, headers={"Location": "/files/"})
    w.server.fault("answer", "HEAD", status=307, headers={"Location": "/files/up-1-%C3%A9"})
    w.server.fault("cut", "PATCH", after=MIB)
    w.server.extensions = ["creation"]
    content = lib.data(2 * MIB)
    w.sent(w.write("a.bin", content))
    same(w.server.contents(), {"a.bin": content})
    w.server.fault("answer", "POST", status=307, headers={"Location": "http://localhost:1/files/"})
    fault = w.failed(w.write("b.bin", b"x"))
    assert fault["name"] == "wrong-endpoint", fault


def test_servers_that_break_the_protocol(t):
    body = lib.data(2 * MIB)
    cases = [
        ("no Location", "bad-answer", "Location", [("hide", "POST", {"headers": ("Location",)})]),
        ("a page", "bad-answer", "no tus server", [("answer", "POST", {"status": 200, "headers": {"Tus-Resumable": None}})]),
        ("no URL", "bad-answer", "URL", [("answer", "POST", {"status": 201, "headers": {"Location": "ftp://x/y"}})]),
        ("not here", "wrong-endpoint", "404", [("answer", "POST", {"status": 404})]),
        ("offset too far", "size-differs", "counts", [("answer", "PATCH", {"status": 204, "headers": {"Upload-Offset": 3 * MIB}})]),
        ("offset back", "size-differs", "counts",
         [("cut", "PATCH", {"after": MIB, "times": 1}), ("answer", "PATCH", {"status": 204, "headers": {"Upload-Offset": 5}})]),
        ("bytes lost", "upload-gone", "lost", [("cut", "PATCH", {"after": MIB, "times": 1}), ("cut", "PATCH", {"after": 1, "times": 1}),
                                               ("answer", "HEAD", {"status": 200, "headers": {"Upload-Offset": 100}})]),
        ("another version", "not-supported", "412", [("answer", "PATCH", {"status": 412})]),
        ("no offset", "bad-answer", "Upload-Offset", [("hide", "PATCH", {"headers": ("Upload-Offset",)}), ("hide", "HEAD", {"headers": ("Upload-Offset",)})]),
    ]
    w = World(t, extensions="creation,termination")
    for i, (what, name, words, rules) in enumerate(cases):
        w.server.faults.clear()
        for kind, method, arg in rules:
            w.server.fault(kind, method, **{"times": 99, **arg})
        if what == "bytes lost":
            w.server.faults.insert(0, {"kind": "none", "method": "HEAD", "times": 1})
        w.hoist = lib.Hoist(t.path(f"home-{i}"))
        p = w.hoist.start("up", "--json", "--to", w.to, w.write("a.bin", body))
        seen = []
        for line in p.stdout:
            event = json.loads(line)
            if "fault" in event:
                seen.append((event["fault"]["name"], event["fault"]["cause"]))
            if event["event"] == "failed" or (seen and seen[-1][0] == name):
                break       # not every restart is waited for
        p.kill()
        p.communicate()
        assert seen and seen[-1][0] == name and words in seen[-1][1], f"{what}: {seen}"


if __name__ == "__main__":
    lib.main()
