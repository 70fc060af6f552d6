"""hoist and applications that hand out uploads: a node program that signs with the vendors' libraries (broker/app.mjs) and Uppy Companion, before
rclone, SeaweedFS and versitygw. What the applications were asked is in their log; what reached the store, in that of the proxy before it.
"""
import base64
import hashlib
import json
import os
import re
import signal
import urllib.error
import urllib.parse
import urllib.request
import uuid

import brokers
import kodo
import lib
from proxy import Proxy

MIB = 1 << 20
TOKEN, SESSION, CSRF = "app-token-7f3a", "session=app-cookie-91bc", "csrf-20de"
PART = "partNumber="


def refusal(status, code, message):
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return f"HTTP/1.1 {status} Refused\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


EXPIRED = refusal(403, "AccessDenied", "Request has expired")


class Town:
    """The servers and applications that run already."""
    folder, running = None, {}

    @classmethod
    def get(cls, kind):
        if kind not in cls.running:
            try:
                cls.folder = cls.folder or lib.Test("town")
                if issubclass(kind, (brokers.Node, KodoStore)):
                    cls.running[kind] = kind(cls.folder.path(kind.name))
                    cls.folder.later(cls.running[kind].stop)
                    cls.running[kind].start()
                else:
                    cls.running[kind] = cls.folder.server(kind)
            except Exception as why:
                cls.running[kind] = why
        if isinstance(cls.running[kind], Exception):
            raise cls.running[kind]
        return cls.running[kind]

    @classmethod
    def stop(cls):
        if cls.folder:
            cls.folder.close()


class KodoStore:
    """Qiniu Kodo's strict stand-in, as a store among the others."""
    name, key, secret = "kodo", "kodo-access", "kodo-secret"

    def __init__(self, folder):
        self.kodo = kodo.Kodo(folder, {self.key: self.secret}, {"bucket": {}})
        self.port = urllib.parse.urlsplit(self.kodo.url).port

    def start(self):
        pass

    def stop(self):
        self.kodo.close()

    def keys(self, bucket, prefix):
        return [k for b, k in self.kodo.objects if b == bucket and k.startswith(prefix)]

    def get(self, bucket, key):
        return self.kodo.content(bucket, key)

    def open_uploads(self, bucket):
        return list(self.kodo.uploads)


class World:
    """One case: an application, a prefix in a store behind a proxy, a home with a [dest app] group, and sources."""

    def __init__(self, t, broker, program=brokers.App, store=lib.Rclone, var="", dest=(), env=None, **settings):
        self.t, self.server = t, Town.get(store)
        self.folder = t.path(uuid.uuid4().hex[:8])
        self.proxy = Proxy(self.server.port)
        t.later(self.proxy.close)
        self.prefix = f"{os.path.basename(self.folder)}/"
        self.app = Town.get(program).case(brokers.store_of(self.server, self.proxy.url, self.prefix), **settings)
        base = {"git-lfs": "lfs", "uppy-companion": "companion", "uppy-companion-sts": "companion"}.get(broker, "base")
        cdn = ";cdn=https://cdn.example.com" if broker == "presigned-put-notify" else ""
        self.hoist = lib.Hoist(f"{self.folder}/home")
        self.hoist.env.update(env or {})
        lines = ["[dest app]", f"to = broker:{broker}", f"var = {base}={self.app.base}{cdn}{var}", "images = none", *dest, ""]
        config = "\n".join(lines).replace("STORE", self.proxy.url).replace("PREFIX", self.prefix)
        lib.write(f"{self.folder}/home/config/hoist/config.ini", config.encode())
        self.src, self.events = f"{self.folder}/src", []
        os.makedirs(self.src)

    def write(self, name, content=b"some bytes\n"):
        return lib.write(os.path.join(self.src, name), content)

    # ---- runs

    def up(self, *args, **kw):
        args = ["--to", "app", *args] if args else []
        status, events, err = self.hoist.up(*args, **kw)
        self.events = events
        self.check_secrets(json.dumps(events) + err)
        return status, events, err

    def sent(self, *args, **kw):
        """hoist up that must succeed -> {name: its done event}"""
        status, events, err = self.up(*args, **kw)
        assert status == 0, f"exit status {status}: {err}\n{self.faults()}"
        return {os.path.basename(e["path"]): e for e in lib.of_kind(events, "done")}

    def fails(self, *args, **kw):
        """hoist up that must fail -> its faults, one text each: "name: cause (remedy)" """
        status, events, err = self.up(*args, **kw)
        assert status == 1, f"exit status {status}: {err}\n{self.faults()}"
        return self.faults("failed")

    def faults(self, *kinds):
        return [f"{e['fault']['name']}: {e['fault'].get('cause')} ({e['fault'].get('remedy')})" for e in self.events
                if "fault" in e and (not kinds or e["event"] in kinds)]

    def killed_when(self, condition, *args):
        """Starts hoist up and kills it -9 as soon as condition() holds."""
        p = self.hoist.start("up", "--json", *(["--to", "app", *args] if args else []))
        try:
            assert lib.wait_for(lambda: condition() or p.poll() is not None, 60) and p.poll() is None, f"ended before: {p.communicate()}"
        finally:
            p.kill()
            out, err = p.communicate()
        assert p.returncode == -signal.SIGKILL
        self.check_secrets((out + err).decode())

    # ---- what came of it

    def objects(self):
        return {k.removeprefix(self.prefix): self.server.get("bucket", k) for k in self.server.keys("bucket", self.prefix)}

    def open_uploads(self):
        return [k for k in self.server.open_uploads("bucket") if k.startswith(self.prefix)]

    def stored(self, method="PUT|POST", target=""):
        """Requests that reached the store's door from hoist; the application's own calls carry a signature in their headers."""
        with self.proxy.lock:
            return [e for e in self.proxy.log if re.fullmatch(method, e["method"]) and re.search(target, e["target"]) and "x-amz-date" not in e["head"]]

    def check_secrets(self, told):
        """What the application gave or asked for stays where it belongs."""
        secrets = [TOKEN, SESSION.partition("=")[2], CSRF, "X-Amz-Signature=", "X-Amz-Credential", "eyJzY29wZSI6", self.server.secret]
        kept = [told.encode()] + [open(os.path.join(where, n), "rb").read() for where, _, names in os.walk(f"{self.folder}/home/state") for n in names]
        for secret in secrets:
            assert not any(secret.encode() in text for text in kept), f"{secret} was told or kept"
        for e in self.stored(".*"):
            assert not {"cookie", "x-csrf-token", "x-requested-with"} & set(e["head"]), f"the store got {sorted(e['head'])}"
            assert TOKEN not in e["head"].get("authorization", "") + e["target"], "the store got the application's token"
        for e in self.app.seen():
            assert "X-Amz" not in e["target"], "the application got a signature back"


def same(found, wanted):
    assert sorted(found) == sorted(wanted), f"too many: {sorted(set(found) - set(wanted))}, missing: {sorted(set(wanted) - set(found))}"
    for key, content in wanted.items():
        assert found[key] == content, f"{key} differs ({len(found[key])} bytes, wanted {len(content)})"


def test_applications_are_strict(t):
    """The judge of the others: what an application signed is refused when anything in it differs."""
    app = Town.get(brokers.App).case(brokers.store_of(Town.get(lib.SeaweedFS), prefix="strict/"), need={"authorization": "Bearer x"})
    ask = {"authorization": "Bearer x", "content-type": "application/json"}
    digest = hashlib.sha256(b"right").digest()
    assert call("POST", f"{app.base}/sign", b"{}", {})[0] == 401
    told = json.dumps({"type": "text/plain", "size": 5, "checksum": digest.hex()}).encode()
    url = json.loads(call("POST", f"{app.base}/sign", told, ask)[1])["success"]["url"]
    head = {"content-type": "text/plain", "x-amz-checksum-sha256": base64.b64encode(digest).decode()}
    assert call("PUT", url, b"wrong", head)[0] == 400
    assert call("PUT", url, b"right", {**head, "content-type": "text/html"})[0] == 403
    assert call("PUT", url, b"right", {"content-type": "text/plain"})[0] == 403
    assert call("PUT", url.replace("Signature=", "Signature=0"), b"right", head)[0] == 403
    assert call("PUT", url, b"right", head)[0] == 200


def call(method, url, body, headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method)) as r:
            return r.status, r.read()
    except urllib.error.HTTPError as e:
        with e:
            return e.code, e.read()


# ---------------------------------------------------------------------------------------------------------------- every dialect

FILES = {"small.txt": b"some bytes\n", "empty.txt": b"", "Grüße & Küsse + 100%.txt": b"name\n", "large.bin": lib.data(12 * MIB + 7)}


class Dialect:
    """named: objects have the names of the files, the others those that the application chose. requests: to the store, for each file; None: some."""

    def __init__(self, broker, stores, named=True, notified=False, requests=1, url=None, **more):
        self.broker, self.stores, self.named, self.notified, self.requests, self.url = broker, stores, named, notified, requests, url
        self.more = {"program": brokers.App, **more}


CDN = "https://cdn.example.com/"
QINIU = {"kodo": {"ak": KodoStore.key, "sk": KodoStore.secret, "bucket": "bucket", "domain": CDN[:-1]}, "var": ";up=STORE/", "url": CDN}
EVERY = (lib.Rclone, lib.SeaweedFS, lib.VersityGW)
STRICT = (lib.SeaweedFS, lib.VersityGW)         # rclone takes no forms and checks no checksum
DIALECTS = [
    Dialect("presigned-put", EVERY, url=CDN),
    Dialect("presigned-put-notify", (lib.Rclone,), named=False, notified=True, url=CDN),
    Dialect("post-policy", STRICT),
    Dialect("presigned-put-size", (lib.Rclone,)),
    Dialect("presigned-put-sha256", STRICT, named=False),
    Dialect("uppy-parameters", (lib.Rclone,)),
    Dialect("shrine", (lib.SeaweedFS,)),
    Dialect("rails-active-storage-attach", STRICT, named=False, notified=True, var=";record=/posts/1;model=post;field=image"),
    Dialect("r2-presign", (lib.Rclone,)),
    Dialect("git-lfs", (lib.Rclone,), named=False, notified=True),
    Dialect("qiniu-token", (KodoStore,), **QINIU),
    Dialect("qiniu-token-resumable", (KodoStore,), requests=None, **QINIU),
    Dialect("uppy-companion", STRICT, program=brokers.Companion),
    Dialect("uppy-companion-sts", (lib.Rclone,), requests=None, var=";endpoint=STORE", dest=["key = PREFIX{name}"]),
]


def through(t, dialect, store):
    w = World(t, dialect.broker, store=store, **dialect.more)
    for name, content in FILES.items():
        w.write(name, content)
    done = w.sent(w.src)
    assert sorted(done) == sorted(FILES)
    found = w.objects()
    if dialect.named:
        same({os.path.basename(k): v for k, v in found.items()}, FILES)
    else:
        assert sorted(map(lib.sha, found.values())) == sorted(map(lib.sha, FILES.values())), sorted(found)
    # one more: curl says again what met a kept connection that the store had closed
    assert dialect.requests is None or len(FILES) <= len(w.stored()) <= len(FILES) + 1, [e["target"][:80] for e in w.stored()]
    if dialect.more["program"] is not brokers.Companion:
        assert len(w.app.grants()) == len(FILES) or dialect.requests is None, w.app.grants()      # keys are shared
        assert len(w.app.notifies()) == (len(FILES) if dialect.notified else 0)
    for e in done.values():
        assert not dialect.url or e["url"].startswith(dialect.url), e
        assert "?" not in (e.get("url") or ""), e


def dialect_tests(dialects):
    for dialect in dialects:
        for store in dialect.stores:
            yield f"{dialect.broker}_{store.name}", lambda t, d=dialect, s=store: through(t, d, s)


def test_the_store_checks_a_bound_digest(t):
    """A byte changes between hoist and the store: the signature binds the digest, so nothing is stored; the second try arrives."""
    w = World(t, "presigned-put-sha256", store=lib.SeaweedFS)
    content = lib.data(100000)
    w.proxy.rule("change-body", "PUT", times=1, change=lambda piece: piece[:-1] + bytes([piece[-1] ^ 1]))
    w.sent(w.write("a.bin", content))
    assert list(w.objects().values()) == [content]
    head = w.stored()[-1]["head"]
    assert len(base64.b64decode(head["x-amz-checksum-sha256"])) == 32 and head["content-length"] == "100000"


# ---------------------------------------------------------------------------------------------------------------- sign-in


def test_sign_in(t):
    """A bearer token, a cookie, a header with a CSRF token, from the environment, a file and a command; without them the cause is 401."""
    cookie, csrf = lib.write(t.path("cookie"), SESSION.encode() + b"\n"), lib.write(t.path("csrf"), CSRF.encode())
    for need, dest, env in [
            ({"authorization": f"Bearer {TOKEN}"}, ["sign-in = bearer", "secret = token=env:APP_TOKEN"], {"APP_TOKEN": TOKEN}),
            ({"cookie": SESSION, "x-csrf-token": CSRF}, ["sign-in = cookie;csrf", f"secret = cookie=file:{cookie};csrf=command:cat {csrf}"], {})]:
        w = World(t, "presigned-put", need=need, dest=dest, env=env)
        w.sent(w.write("a.txt"))
        assert all(e["headers"].get(k) == v for e in w.app.seen() for k, v in need.items())
        assert len(w.app.grants()) == len(w.stored()) == 1


def test_not_signed_in(t):
    w = World(t, "presigned-put", need={"authorization": f"Bearer {TOKEN}"})
    (fault,) = w.fails(w.write("a.txt"))
    assert "401" in fault and len(w.app.grants()) == 1 and w.stored() == [], fault
    assert fault.startswith("not-signed-in: ") and "authorization is missing or wrong" in fault, fault


def test_companion_signed_in(t):
    w = World(t, "uppy-companion", program=brokers.Companion, token=TOKEN,
              dest=["sign-in = bearer", "secret = token=env:APP_TOKEN", "part-size = 5MiB", "parts-from = 5MiB"], env={"APP_TOKEN": TOKEN})
    content = lib.data(11 * MIB)
    w.sent(w.write("film.bin", content))
    same(w.objects(), {"film.bin": content})
    assert all(e["headers"]["authorization"] == f"Bearer {TOKEN}" for e in w.app.seen())


# ---------------------------------------------------------------------------------------------------------------- grants


def test_grants_are_made_late_and_once(t):
    w = World(t, "presigned-put")
    for i in range(12):
        w.write(f"{i}.txt", b"%d" % i)
    w.sent("--jobs", "2", w.src)
    assert len(w.app.grants()) == len(w.stored()) == 12


def test_a_grant_that_is_about_to_end(t):
    """One that ends within half a minute is asked for once more; what comes then is used, however short it is."""
    for expires, grants in (([5, 300], 2), ([20], 2)):
        w = World(t, "presigned-put", expires=expires)
        w.sent(w.write("a.txt"))
        assert len(w.app.grants()) <= grants and len(w.stored()) == 1, (len(w.app.grants()), len(w.stored()))


def test_a_grant_that_the_store_finds_expired(t):
    w = World(t, "presigned-put")
    w.proxy.rule("answer", "PUT", times=1, answer=EXPIRED)
    w.sent(w.write("a.txt"))
    assert len(w.app.grants()) == 2 and len(w.stored()) == 2
    same(w.objects(), {"a.txt": b"some bytes\n"})


def test_grants_that_the_store_always_refuses(t):
    w = World(t, "presigned-put")
    w.proxy.rule("answer", "PUT", times=99, answer=EXPIRED)
    (fault,) = w.fails(w.write("a.txt"))
    assert fault.startswith("grant-refused: ") and "Request has expired" in fault, fault
    assert len(w.stored()) == len(w.app.grants()) == 2, (len(w.app.grants()), len(w.stored()))


# answers of the application -> (exit status, words of the fault, grants asked for)
REFUSALS = {
    "401": ([401], 1, "401", 1),
    "403": ([403], 1, "403", 1),
    "404": ([404], 1, "404", 1),
    "500-once": ([500], 0, None, 2),
    "429-once": ([429], 0, None, 2),
    "500-for-good": ([500] * 9, 1, "500", 3),
    "not-json": (["not-json"] * 9, 1, "JSON", None),
    "cut-json": (["cut-json"] * 9, 1, "JSON", None),
    "deep": (["deep"] * 9, 1, "", None),
    "empty": (["empty"] * 9, 1, "", None),
    "no-url": (["no-url"] * 9, 1, "/uploadUrl", None),
    "number": (["number"] * 9, 1, "", None),
    "line-break": (["line-break"] * 9, 1, "", None),
    "file-url": (["file-url"] * 9, 1, "", None),
    "huge": (["huge"] * 9, 1, "", None),
    "redirect": (["redirect"] * 9, 1, "302", None),
    "gone-once": (["gone"], 0, None, 2),
}


def test_refused_grants(t):
    bad = []
    for name, (how, status, words, grants) in REFUSALS.items():
        w = World(t, "presigned-put", grant=how)
        got, events, err = w.up(w.write("a.txt"))
        asked, told = len(w.app.grants()), "; ".join(w.faults("failed")) or err
        if got != status or (words and words not in told) or (grants and asked != grants) or asked > 4 or (status and w.stored()):
            bad.append(f"{name}: exit status {got}, {asked} grants, {len(w.stored())} requests to the store: {told}")
    assert not bad, "\n".join(bad)


def test_refused_size_and_type(t):
    """One file is too large for the application, one of a type that it does not take; the third arrives."""
    w = World(t, "presigned-put-size", max=1000, types=["text/plain"])
    w.write("large.txt", b"x" * 2000)
    w.write("page.html", b"<!doctype html><title>x</title>")
    w.write("fine.txt", b"fine")
    large, kind = sorted(w.fails(w.src), key=lambda f: "text/html" in f)
    assert large.startswith("too-large: ") and "larger than 1000 bytes" in large, large
    assert "415" in kind and "files of type text/html are not taken" in kind, kind
    same({os.path.basename(k): v for k, v in w.objects().items()}, {"fine.txt": b"fine"})
    assert len(w.app.grants()) == 3


def test_too_large_for_the_policy(t):
    w = World(t, "post-policy", store=lib.SeaweedFS, policy_max=1000)
    (fault,) = w.fails(w.write("large.txt", b"x" * 2000))
    assert fault.startswith("too-large: ") and len(w.stored()) <= 1 and w.objects() == {}, fault


# ---------------------------------------------------------------------------------------------------------------- the application hears of it


def test_a_failed_notify_does_not_repeat_the_upload(t):
    w = World(t, "presigned-put-notify", notify=[500, 503])
    done = w.sent(w.write("a.txt"))
    assert len(w.stored()) == 1 and len(w.app.grants()) == 1 and len(w.app.notifies()) == 3, done
    said = json.loads(w.app.notifies()[-1]["body"])
    (key,) = w.objects()
    assert said == {"imageUrl": f"https://cdn.example.com/{w.prefix}{key}", "size": 11}, said


def test_announced_after_a_second_grant(t):
    w = World(t, "presigned-put-notify")
    w.proxy.rule("answer", "PUT", times=1, answer=EXPIRED)
    w.sent(w.write("a.txt"))
    assert len(w.app.grants()) == 2 and len(w.app.notifies()) == 1, (len(w.app.grants()), len(w.app.notifies()))


def test_not_announced(t):
    """The application refuses for good: the file is stored and not done; retry announces it, without an upload."""
    w = World(t, "presigned-put-notify", notify=[422] * 9)
    (fault,) = w.fails(w.write("a.txt"))
    assert fault.startswith("not-announced: ") and "422" in fault, fault
    assert len(w.stored()) == 1 and len(w.objects()) == 1
    again = w.hoist.run("retry", "--all")
    assert again.returncode == 1 and "failed again a.txt: stored, " in again.err and "422" in again.err, (again.returncode, again.err)
    before = len(w.app.notifies())
    w.app.set(notify=[])
    assert w.hoist.run("retry", "--all").returncode == 0
    w.sent()
    assert len(w.app.notifies()) == before + 1 and len(w.stored()) == 1 and len(w.app.grants()) == 1


def test_the_application_is_gone_when_it_is_to_be_told(t):
    w = World(t, "presigned-put-notify")
    rule = door_of(w).rule("reset", "POST", "/images$", times=99)
    (fault,) = w.fails(w.write("a.txt"))
    assert fault.startswith("not-announced: stored, ") and len(w.stored()) == 1 and not w.app.notifies(), fault
    rule.times = 0
    assert w.hoist.run("retry", "--all").returncode == 0
    w.sent()
    assert len(w.app.notifies()) == len(w.stored()) == len(w.app.grants()) == 1


def test_killed_before_it_was_announced(t):
    w = World(t, "presigned-put-notify", notify=["hang"])
    path = w.write("a.txt")
    w.killed_when(w.app.notifies, path)
    w.sent()
    assert len(w.app.notifies()) == 2 and len(w.stored()) == 1 and len(w.app.grants()) == 1
    bodies = [e["body"] for e in w.app.notifies()]
    assert bodies[0] == bodies[1] and json.loads(bodies[0])["size"] == 11, bodies
    assert len(w.objects()) == 1


# ---------------------------------------------------------------------------------------------------------------- presigned parts

PARTS = ["part-size = 5MiB", "parts-from = 5MiB", "parts = 4"]


def companion(t, store, **more):
    return World(t, "uppy-companion", program=brokers.Companion, store=store, dest=PARTS, **more)


def part_numbers(w):
    return sorted(int(urllib.parse.parse_qs(urllib.parse.urlsplit(e["target"]).query)["partNumber"][0]) for e in w.stored("PUT", PART))


def in_parts(t, store):
    w = companion(t, store)
    w.proxy.rule("slow-read", "PUT", PART, times=4, bps=20 * MIB)
    content = lib.data(23 * MIB + 1)
    w.write("film & Küsse.bin", content)
    w.write("small.txt", b"small") if store is not lib.Rclone else None
    w.sent(w.src)
    found = w.objects()
    assert [v for k, v in found.items() if "film" in k] == [content], sorted(found)
    assert part_numbers(w) == [1, 2, 3, 4, 5] and w.open_uploads() == []
    assert max(e["at_once"] for e in w.stored("PUT", PART)) > 1


def part_tests():
    for store in EVERY:
        yield f"parts_{store.name}", lambda t, s=store: in_parts(t, s)


def test_killed_in_the_middle_of_parts(t):
    """What the store had is not sent again; at most what was on its way."""
    w = companion(t, lib.Rclone)
    content = lib.data(38 * MIB)
    w.proxy.rule("slow-read", "PUT", r"partNumber=[5-8]\b", times=4, bps=2 * MIB)
    path = w.write("film.bin", content)
    w.killed_when(lambda: len([e for e in w.stored("PUT", PART) if e["status"] == 200]) >= 4, path)
    through = [e["target"] for e in w.stored("PUT", PART) if e["status"] == 200]
    kept = {int(re.search(r"partNumber=(\d+)", x)[1]) for x in through}
    lib.wait_for(lambda: w.proxy.in_flight == 0)
    before = len(w.stored("PUT", PART))
    w.sent()
    same(w.objects(), {"film.bin": content})
    again = w.stored("PUT", PART)[before:]
    assert len(again) <= 8 - len(kept) and w.open_uploads() == []
    assert not kept & {int(re.search(r"partNumber=(\d+)", e["target"])[1]) for e in again}, "a part that was there was sent again"
    assert len(w.app.seen(method="POST")) == 2, "one create, one complete"


def test_cancelled_in_the_middle_of_parts(t):
    w = companion(t, lib.Rclone)
    w.proxy.rule("slow-read", "PUT", PART, times=9, bps=MIB)
    path = w.write("film.bin", lib.data(20 * MIB))
    w.killed_when(lambda: w.stored("PUT", PART), path)
    assert len(w.open_uploads()) == 1
    assert w.hoist.run("cancel", "--all").returncode == 0
    w.up()
    assert w.open_uploads() == [] and w.objects() == {}
    assert 1 <= len(w.app.seen(method="DELETE")) <= 2, "once, and once more for what may still have been on its way"


def test_a_part_url_that_has_expired(t):
    w = companion(t, lib.Rclone)
    w.proxy.rule("answer", "PUT", "partNumber=2", times=1, answer=EXPIRED)
    content = lib.data(11 * MIB)
    w.sent(w.write("film.bin", content))
    same(w.objects(), {"film.bin": content})
    assert part_numbers(w) == [1, 2, 2, 3]


def test_part_urls_that_end_soon(t):
    """They are used at once; the application is not asked again and again for longer ones."""
    w = companion(t, lib.Rclone, expires=20)
    content = lib.data(11 * MIB)
    w.sent(w.write("film.bin", content))
    same(w.objects(), {"film.bin": content})
    assert len(w.app.seen(method="GET")) == 3, [e["target"] for e in w.app.seen()]


def door_of(w):
    """A proxy before the application."""
    door = Proxy(w.app.program.port)
    w.t.later(door.close)
    config = f"{w.folder}/home/config/hoist/config.ini"
    with open(config) as f:
        text = f.read()
    lib.write(config, text.replace(w.app.program.url, door.url).encode())
    return door


def lost(w, target, size):
    """The application's answer to the first request of this kind is lost: the file arrives all the same."""
    door_of(w).rule("lose-answer", ".*", target)
    content = lib.data(size)
    w.sent(w.write("film.bin", content))
    assert list(w.objects().values()) == [content], target


def test_lost_answers_of_companion(t):
    for target in ("/s3/multipart$", r"/2\?key", "/complete"):
        lost(companion(t, lib.Rclone), target, 11 * MIB)


def test_lost_answers_of_an_application(t):
    for target in ("/presigned$", "/images$"):
        w = World(t, "presigned-put-notify")
        lost(w, target, 11)
        assert len(w.stored()) == 1


def keys(t, **settings):
    return World(t, "uppy-companion-sts", var=";endpoint=STORE", dest=["key = PREFIX{name}", *PARTS[::2]], **settings)


def test_temporary_keys_that_end(t):
    """Short-lived ones serve as well; those that the store finds expired are asked for once more, and not for ever."""
    w = keys(t, expires=[60])
    w.sent(w.write("film.bin", lib.data(11 * MIB)))
    assert len(w.app.grants()) == 1
    for times, status in ((1, 0), (99, 1)):
        w = keys(t)
        w.proxy.rule("answer", "PUT", times=times, answer=refusal(400, "ExpiredToken", "The provided token has expired."))
        got, _, err = w.up(w.write("a.txt"))
        assert got == status and 2 <= len(w.app.grants()) <= 6, (got, len(w.app.grants()), w.faults(), err)
        assert not status or w.faults("failed")[0].startswith("grant-refused: "), w.faults()


def test_killed_in_the_middle_with_temporary_keys(t):
    w = keys(t)
    content = lib.data(38 * MIB)
    w.proxy.rule("slow-read", "PUT", r"partNumber=[5-8]\b", times=4, bps=2 * MIB)

    def parts():
        with w.proxy.lock:
            return [e for e in w.proxy.log if e["method"] == "PUT" and PART in e["target"]]
    w.killed_when(lambda: len([e for e in parts() if e["status"] == 200]) >= 4, w.write("film.bin", content))
    lib.wait_for(lambda: w.proxy.in_flight == 0)
    before = len(parts())
    w.sent()
    same(w.objects(), {"film.bin": content})
    assert len(parts()) - before <= 4 and len(w.app.grants()) == 2 and w.open_uploads() == []


def killed_while_completing(t, listed):
    """An application that is told of every object, and lists the parts of an upload or not; hoist is killed with complete half said."""
    w = companion(t, lib.Rclone)
    with open(f"{lib.ROOT}/assets/brokers/uppy-companion.json") as f:
        description = json.load(f)
    description["notify"] = [{"method": "POST", "url": "{{companion}}/told", "json": {"key": "{{answer.key}}"}, "ok": [200, 404]}]
    if not listed:
        del description["multipart"]["list"]
    lib.write(f"{w.folder}/home/config/hoist/brokers/uppy-companion.json", json.dumps(description).encode())
    door = door_of(w)
    slow = door.rule("slow-read", "POST", "/complete", times=99, bps=10)
    w.content = lib.data(11 * MIB)
    w.killed_when(lambda: slow.times < 99, w.write("film.bin", w.content))
    slow.times = 0
    return w, door


def test_killed_while_completing(t):
    """What was to be announced is, and no part is sent again."""
    w, door = killed_while_completing(t, True)
    w.sent()
    assert door.count("POST", "/told$") == 1 and len(w.stored("PUT", PART)) == 3


def test_killed_while_completing_and_the_answer_is_lost(t):
    """Nobody can tell what became of it: the file goes anew, and is announced once."""
    w, door = killed_while_completing(t, False)
    door.rule("lose-answer", "POST", "/complete")
    w.sent()
    assert door.count("POST", "/told$") == 1 and len(w.stored("PUT", PART)) == 6
    same(w.objects(), {"film.bin": w.content})


def test_an_upload_that_is_gone(t):
    """Somebody removed the unfinished upload between two runs: the file goes anew."""
    w = companion(t, lib.SeaweedFS)
    w.proxy.rule("slow-read", "PUT", PART, times=4, bps=4 * MIB)
    content = lib.data(20 * MIB)
    path = w.write("film.bin", content)
    w.killed_when(lambda: w.stored("PUT", PART), path)
    client = w.server.client()
    for u in client.list_multipart_uploads(Bucket="bucket")["Uploads"]:
        if u["Key"].startswith(w.prefix):
            client.abort_multipart_upload(Bucket="bucket", Key=u["Key"], UploadId=u["UploadId"])
    w.sent()
    same(w.objects(), {"film.bin": content})


def test_the_checksum_of_nothing(t):
    """The AWS library in the application signs the CRC of an empty body into each part's URL: the cure is named, and the parts are not sent for ever."""
    w = companion(t, lib.SeaweedFS, trap=True)
    (fault,) = w.fails(w.write("film.bin", lib.data(11 * MIB)))
    assert "AWS_REQUEST_CHECKSUM_CALCULATION=WHEN_REQUIRED" in fault, fault
    assert len(w.stored("PUT", PART)) <= 4


if __name__ == "__main__":
    own = [(n[5:], f) for n, f in list(globals().items()) if n.startswith("test_")]
    try:
        lib.main([*dialect_tests(DIALECTS), *part_tests(), *own])
    finally:
        Town.stop()
