"""Aliyun OSS: hoist against the strict emulator of oss.py, which the vendor's own SDKs prove in the same run.

What was sent is judged at the server: by what it holds, and by what it was asked.
"""
import base64
import http.server
import json
import os
import threading
import urllib.parse
import urllib.request

import lib
from oss import Oss, Refused

KIB, PART = 1 << 10, 128 << 10
KEYS = ("plain.txt", "a b+c&d=e%20.txt", "grüße/日本語/🦆.txt", "!$'(),;:@#?~.bin", "a..b/.hidden")


class App:
    """An application that OSS calls back: answers with JSON, or fails."""

    def __init__(self, t, status=200, answer=b'{"id": 7}'):
        heard = self.heard = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                heard.append((self.headers["Content-Type"], body.decode()))
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()
        t.later(self.http.server_close)
        t.later(self.http.shutdown)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/heard"


class World:
    """An emulator, a home, and sources."""

    def __init__(self, t, **kw):
        self.t, self.oss = t, Oss(t.path("oss"), **kw)
        t.later(self.oss.close)
        self.hoist = lib.Hoist(t.path("home"))
        env = {k: v for k, v in self.hoist.env.items() if not k.startswith(("OSS_", "ALIBABA_"))}
        env.update(OSS_ENDPOINT=self.oss.url, OSS_REGION="cn-hangzhou", OSS_ACCESS_KEY_ID=self.oss.key,
                   OSS_ACCESS_KEY_SECRET=self.oss.secret)
        if self.oss.token:
            env["OSS_SESSION_TOKEN"] = self.oss.token
        self.hoist.env = env
        self.src = t.path("src")

    def write(self, name, content):
        path = os.path.join(self.src, name)
        return lib.write(path, content)

    def up(self, *args, to="oss://bucket/pre", **kw):
        return self.hoist.up("--to", to, "--images", "none", *args, **kw)

    def sent(self, *args, **kw):
        status, events, err = self.up(*args, **kw)
        assert status == 0, f"exit status {status}: {err}\n{faults(events)}"
        return {e["path"]: e for e in lib.of_kind(events, "done")}

    def refused(self, fault, *args, **kw):
        """-> the cause"""
        status, events, err = self.up(*args, **kw)
        found = faults(events)
        assert status != 0 and {f[1] for f in found} == {fault}, (status, found, err)
        assert self.oss.secret not in err + json.dumps(events)
        return found[-1][2]

    def holds(self, wanted):
        found = {k: self.oss.get(k) for k in self.oss.objects["bucket"]}
        assert sorted(found) == sorted(wanted), (sorted(found), sorted(wanted))
        for key, content in wanted.items():
            assert found[key] == content, f"{key} differs ({len(found[key])} bytes, wanted {len(content)})"

    def parts_sent(self):
        return [urllib.parse.parse_qs(e["target"].partition("?")[2])["partNumber"][0] for e in self.oss.requests("PUT", "partNumber=")]


def faults(events):
    return [(os.path.basename(e.get("path", "")), e["fault"]["name"], e["fault"].get("cause")) for e in events
            if e["event"] in ("failed", "skipped", "fatal") and "fault" in e]


# ---------------------------------------------------------------------------------------------------------------- the emulator, by the SDKs


def oss2_bucket(w, version, secret):
    try:
        import oss2
    except ImportError:
        raise lib.Skip("oss2 is not here") from None
    if w.oss.token:
        auth = oss2.StsAuth(w.oss.key, secret, w.oss.token, oss2.AUTH_VERSION_1 if version == "v1" else oss2.AUTH_VERSION_4)
    else:
        auth = (oss2.Auth if version == "v1" else oss2.AuthV4)(w.oss.key, secret)
    return oss2.Bucket(auth, w.oss.url, "bucket", region="cn-hangzhou", connect_timeout=20)


def sdk_oss2(w, version, key, content, where, secret):
    bucket = oss2_bucket(w, version, secret)
    import oss2
    if len(content) <= PART:
        bucket.put_object(key, content)
    else:
        store = oss2.ResumableStore(root=w.t.path(f"oss2-{version}"))
        oss2.resumable_upload(bucket, key, where, store=store, multipart_threshold=PART, part_size=PART, num_threads=2)
    assert bucket.head_object(key).content_length == len(content)


def sdk_v2(w, version, key, content, where, secret):
    try:
        import alibabacloud_oss_v2 as oss
    except ImportError:
        raise lib.Skip("alibabacloud-oss-v2 is not here") from None
    config = oss.config.load_default()
    provider = oss.credentials.StaticCredentialsProvider(w.oss.key, secret, w.oss.token)
    config.credentials_provider, config.region, config.endpoint = provider, "cn-hangzhou", w.oss.url
    config.use_path_style, config.signature_version = True, version
    client = oss.Client(config)
    if len(content) <= PART:
        client.put_object(oss.PutObjectRequest(bucket="bucket", key=key, body=content))
    else:
        client.uploader(part_size=PART, parallel_num=2).upload_file(oss.PutObjectRequest(bucket="bucket", key=key), where)
    assert client.head_object(oss.HeadObjectRequest(bucket="bucket", key=key)).content_length == len(content)


def same_as_sdk(t, sdk, version, token=None):
    """Small, empty and in parts: the SDK and hoist leave the same bytes, ETags, CRCs and types."""
    w = World(t, token=token)
    contents = {"empty": b"", "small.txt": b"some bytes\n", "grüße 🦆.bin": lib.data(3000), "parts.bin": lib.data(3 * PART + 77, seed=3)}
    for name, content in contents.items():
        sdk(w, version, f"sdk/{name}", content, w.write(name, content), w.oss.secret)
    refusal = None
    try:
        sdk(w, version, "sdk/refused", b"x", None, "another secret")
    except Exception as why:
        refusal = repr(why)
    assert refusal and "SignatureDoesNotMatch" in refusal, refusal
    w.sent(*(f"{w.src}/{n}" for n in contents), "--part-size", "128KiB", "--oss-signature", version, to="oss://bucket/hoist")
    objects = w.oss.objects["bucket"]
    assert len(objects) == 2 * len(contents)
    for name, content in contents.items():
        ours, theirs = objects[f"hoist/{name}"], objects[f"sdk/{name}"]
        assert w.oss.get(f"hoist/{name}") == w.oss.get(f"sdk/{name}") == content, name
        assert all(ours[k] == theirs[k] for k in ("etag", "crc", "type", "size")), (name, ours, theirs)
    assert w.oss.uploads == {}


def test_same_as_oss2_v1(t):
    same_as_sdk(t, sdk_oss2, "v1")


def test_same_as_oss2_v4(t):
    same_as_sdk(t, sdk_oss2, "v4")


def test_same_as_oss2_v4_with_sts(t):
    same_as_sdk(t, sdk_oss2, "v4", token="STSTOKEN/+=")


def test_same_as_the_new_sdk_v1(t):
    same_as_sdk(t, sdk_v2, "v1")


def test_same_as_the_new_sdk_v4_with_sts(t):
    same_as_sdk(t, sdk_v2, "v4", token="STSTOKEN/+=")


# ---------------------------------------------------------------------------------------------------------------- what is sent


def test_keys_and_both_signatures(t):
    for version in ("v4", "v1"):
        w = World(t, token="STSTOKEN/+=")
        wanted = {}
        for key in KEYS:
            w.write(f"{version}/{key}", key.encode())
            wanted[f"pre/{version}/{key}"] = key.encode()
        done = w.sent(f"{w.src}/{version}", "--oss-signature", version)
        w.holds(wanted)
        assert {e["verified"] for e in done.values()} == {"verified by checksum"}, done


def test_what_a_person_gives(t):
    w = World(t)
    given = ("--acl", "public-read", "--storage-class", "IA", "--oss-encryption", "SM4", "--tag", "a=1", "--tag", "b c=2", "--meta", "author=foo",
             "--header", "Cache-Control: no-cache", "--checksum", "md5", "--traffic-limit", "838860800")
    w.write("d/small.txt", b"x")
    w.write("d/large.bin", lib.data(2 * PART))
    w.sent(f"{w.src}/d", "--part-size", "128KiB", *given)
    for key in ("pre/d/small.txt", "pre/d/large.bin"):
        headers = w.oss.objects["bucket"][key]["headers"]
        wanted = {"x-oss-object-acl": "public-read", "x-oss-storage-class": "IA", "x-oss-server-side-encryption": "SM4",
                  "x-oss-tagging": "a=1&b%20c=2", "x-oss-meta-author": "foo", "cache-control": "no-cache"}
        assert {k: headers.get(k) for k in wanted} == wanted, headers
    bodies = w.oss.requests("PUT")
    assert len(bodies) == 3 and all("content-md5" in e["headers"] and e["headers"]["x-oss-traffic-limit"] == "838860800" for e in bodies), bodies


def test_forms(t):
    for version in ("v4", "v1"):
        w = World(t, token="STSTOKEN/+=")
        wanted = {"pre/d/empty": b"", "pre/d/ä b.txt": b"form\r\n--", "pre/d/${filename}": b"x", "pre/d/parts.bin": lib.data(2 * PART + 1)}
        for key, content in wanted.items():
            w.write(key.removeprefix("pre/"), content)
        w.sent(f"{w.src}/d", "--oss-post", "--oss-signature", version, "--part-size", "128KiB", "--meta", "a=b", "--acl", "private",
               "--header", "Cache-Control: no-cache")
        w.holds(wanted)
        assert len(w.oss.requests("POST", "^/bucket$")) == 3 and len(w.parts_sent()) == 3
        for o in w.oss.objects["bucket"].values():
            headers = o["headers"]
            assert headers["x-oss-meta-a"] == "b" and headers["cache-control"] == "no-cache" and headers["x-oss-object-acl"] == "private", headers
        again = w.refused("exists", f"{w.src}/d/empty", "--oss-post", "--if-exists", "fail", to="oss://bucket/pre/d")
        assert "there already" in again


def test_where_the_bucket_stands(t):
    """In the path, in the host, or nowhere because the host is the bucket's own: what is signed is the same."""
    w = World(t)
    contents = {"d/small.txt": b"x", "d/large.bin": lib.data(2 * PART)}
    for name, content in contents.items():
        w.write(name, content)
    virtual = [], f"http://localhost:{w.oss.port}", "/v"
    domain = ["--oss-domain"], f"http://bucket.localhost:{w.oss.port}", "/d"
    for more, endpoint, prefix in (virtual, domain):
        for version, form in (("v4", []), ("v1", ["--oss-post"])):
            before = len(w.oss.log)
            w.sent(f"{w.src}/d", "--part-size", "128KiB", "--oss-signature", version, *form, *more, env={"OSS_ENDPOINT": endpoint},
                   to=f"oss://bucket{prefix}{version}")
            assert {e["headers"]["host"] for e in w.oss.log[before:]} == {f"bucket.localhost:{w.oss.port}"}
    w.holds({f"{p}{v}/{name}": c for p in "vd" for v in ("v4", "v1") for name, c in contents.items()})


# ---------------------------------------------------------------------------------------------------------------- callbacks


def test_callbacks(t):
    """PUT, parts and form; the application hears of each file once, and its words are shown."""
    w, app = World(t), App(t)
    w.write("d/small ü.txt", b"x")
    w.write("d/large.bin", lib.data(2 * PART))
    rows = [([], "application/x-www-form-urlencoded"), (["--oss-post"], "application/x-www-form-urlencoded"),
            (["--callback-body-type", "application/json"], "application/json")]
    for more, kind in rows:
        app.heard.clear()
        done = w.sent(f"{w.src}/d", "--part-size", "128KiB", "--callback-url", app.url, "--callback-var", "user=a b", *more)
        assert all('{"id": 7}' in e["note"] for e in done.values()), done
        assert [k for k, _ in app.heard] == [kind] * 2, app.heard
        said = [json.loads(b) if kind.endswith("json") else dict(urllib.parse.parse_qsl(b)) for _, b in app.heard]
        assert {(s["object"], str(s["size"]), s["user"]) for s in said} == {("pre/d/small ü.txt", "1", "a b"),
                                                                             ("pre/d/large.bin", str(2 * PART), "a b")}, said
        assert w.oss.uploads == {}


def test_a_failed_callback_is_no_failed_upload(t):
    w, app = World(t), App(t, status=500)
    w.write("d/small.txt", b"x")
    w.write("d/large.bin", lib.data(2 * PART))
    torn = b"\xff\xd8\xff\xe0\0\x10JFIF\0 and no more of it"
    w.write("d/torn.jpg", torn)
    for more in ([], ["--oss-post"]):
        before = len(w.oss.log)
        done = w.sent(f"{w.src}/d", "--part-size", "128KiB", "--callback-url", app.url, "--images", "web", *more)
        assert all("callback" in e["note"] and "203" in e["note"] for e in done.values()), done
        note = next(e["note"] for e in done.values() if e["path"].endswith("torn.jpg"))
        assert note.startswith("sent as it is") and "; " in note, note         # neither word hides the other
        sent = [e for e in w.oss.log[before:] if e["bytes"] > 0]
        assert len(sent) == 5, "a file was sent again"       # two whole, two parts, one completion
    w.holds({"pre/d/small.txt": b"x", "pre/d/torn.jpg": torn, "pre/d/large.bin": lib.data(2 * PART)})


# ---------------------------------------------------------------------------------------------------------------- interruptions


def test_resume_after_kill(t):
    """kill -9 while two parts are on their way: those that arrived are not sent again, also when the list comes in pages."""
    w = World(t)
    content = lib.data(9 * PART + 5, seed=9)
    path = w.write("large.bin", content)
    free, held = threading.Event(), threading.Semaphore(0)
    t.later(free.set)

    def hold(handler):
        held.release()
        free.wait(60)
        raise Refused(503, "ServiceUnavailable")

    w.oss.page = 2
    w.oss.fault("PUT", "partNumber=[678]&", hold, times=3)
    p = w.hoist.start("up", "--json", "--to", "oss://bucket/pre", "--part-size", "128KiB", "--parts", "2", path)
    t.later(p.kill)
    assert held.acquire(timeout=60) and held.acquire(timeout=60), "no part was held"
    p.kill()
    p.communicate()
    with w.oss.lock:
        w.oss.faults.clear()
    free.set()
    before = w.parts_sent()
    assert len(before) == 7 and len(w.oss.uploads) == 1, before
    status, events, err = w.hoist.up()
    assert status == 0, (faults(events), err)
    w.holds({"pre/large.bin": content})
    after = w.parts_sent()[7:]
    assert sorted(map(int, after)) == [6, 7, 8, 9, 10], after
    assert w.oss.uploads == {} and len(w.oss.requests("POST", "uploads")) == 1, "another upload was opened"
    assert len(w.oss.requests("GET", "uploadId=")) == 3, "the list of parts was not read page by page"


def test_answers_that_are_lost(t):
    """Done, but nobody hears of it: the whole file, a part, the begin and the end of an upload."""
    rows = [("PUT", "small", 1), ("PUT", "partNumber=2", 1), ("POST", "uploads=", 1), ("POST", r"\?uploadId=", 1), ("POST", "^/bucket$", 1)]
    w = World(t)
    wanted = {}
    for i, (method, target, times) in enumerate(rows):
        for name, content in (("small.txt", b"x%d" % i), ("large.bin", lib.data(2 * PART + i))):
            w.write(f"{i}/{name}", content)
            wanted[f"pre/{i}/{name}"] = content
        w.oss.fault(method, target, "lost", times)
        w.sent(f"{w.src}/{i}", "--part-size", "128KiB", *(["--oss-post"] if target == "^/bucket$" else []))
        assert all(f.left == 0 for f in w.oss.faults), target
    w.holds(wanted)
    assert w.oss.uploads == {}, "an upload was left open"
    assert len(w.oss.requests("POST", r"/3/.*\?uploadId=")) <= 2


def test_an_upload_that_is_gone_begins_anew(t):
    w = World(t)
    content = lib.data(4 * PART, seed=4)
    path = w.write("large.bin", content)
    w.oss.fault("PUT", "partNumber=3", Refused(404, "NoSuchUpload"))
    w.sent(path, "--part-size", "128KiB", "--parts", "1")
    w.holds({"pre/large.bin": content})
    assert len(w.oss.requests("POST", "uploads")) == 2 and w.oss.uploads == {}


def test_what_is_given_up_is_aborted(t):
    w = World(t)
    path = w.write("large.bin", lib.data(4 * PART))
    w.oss.fault("PUT", "partNumber=3", Refused(403, "AccessDenied"), times=99)
    w.refused("access-denied", path, "--part-size", "128KiB")
    assert len(w.oss.uploads) == 1
    r = w.hoist.run("cancel", "--all")
    assert r.returncode == 0, r.err
    lib.wait_for(lambda: not w.oss.uploads, 10)
    assert w.oss.uploads == {} and w.oss.objects["bucket"] == {}


def test_trouble_that_passes(t):
    w = World(t)
    big = lambda handler: (200, {"Content-Type": "application/xml"}, b"<" + b"x" * (50 << 20))
    page = lambda handler: (200, {"Content-Type": "text/html"}, b"<html>please sign in</html>")
    rows = [("PUT", "0.txt", Refused(503, "ServiceUnavailable")), ("PUT", "1.txt", Refused(400, "InvalidDigest")),
            ("PUT", "2.txt", Refused(429, "QpsLimitExceeded")), ("PUT", "3.txt", big), ("PUT", "4.txt", page),
            ("POST", "5.txt.*uploads", big), ("PUT", "6.txt.*partNumber", page), ("POST", "7.txt.*uploadId", page)]
    wanted = {}
    for i, (method, target, what) in enumerate(rows):
        content = lib.data(2 * PART, seed=i) if i >= 5 else b"%d" % i
        wanted[f"pre/d/{i}.txt"] = content
        w.write(f"d/{i}.txt", content)
        w.oss.fault(method, target, what)
    w.sent(f"{w.src}/d", "--part-size", "128KiB")
    w.holds(wanted)
    assert all(f.left == 0 for f in w.oss.faults) and w.oss.uploads == {}


def test_a_wrong_crc_is_noticed(t):
    w = World(t)
    path = w.write("a.txt", b"right")
    wrong = lambda handler: (200, {"ETag": '"0"', "x-oss-hash-crc64ecma": "1"}, b"")
    w.oss.fault("PUT", "a.txt", wrong)
    w.sent(path)
    assert len(w.oss.requests("PUT")) == 2
    w.oss.fault("PUT", "a.txt", wrong, times=9)
    w.refused("checksum-differs", path, to="oss://bucket/other")


# ---------------------------------------------------------------------------------------------------------------- refusals


def test_if_exists(t):
    w = World(t)
    for name, content in (("small.txt", b"new"), ("large.bin", lib.data(2 * PART))):
        path = w.write(name, content)
        w.sent(path, "--part-size", "128KiB", "--if-exists", "fail")
        w.write(name, content + b"2")
        before = len(w.oss.log)
        w.refused("exists", path, "--part-size", "128KiB", "--if-exists", "fail")
        assert [e["method"] for e in w.oss.log[before:]] == ["HEAD"], "more than a look was sent"
        assert w.oss.get(f"pre/{name}") == content
        # a key that may not look is guarded by the store itself
        w.oss.fault("HEAD", name, Refused(403, "AccessDenied"), times=9)
        w.refused("exists", path, "--part-size", "128KiB", "--if-exists", "fail", to="oss://bucket/pre")
        assert w.oss.get(f"pre/{name}") == content and w.oss.uploads == {}
        w.oss.faults.clear()
        w.sent(path, "--part-size", "128KiB")
        assert w.oss.get(f"pre/{name}") == content + b"2"


def test_who_we_are_not(t):
    w = World(t)
    path = w.write("a.txt", b"x")
    rows = [({"OSS_ACCESS_KEY_SECRET": "wrong"}, "wrong-secret"), ({"OSS_ACCESS_KEY_ID": "nobody"}, "unknown-access-key"),
            ({"OSS_SESSION_TOKEN": "none"}, "credentials-expired")]
    for i, (env, fault) in enumerate(rows):
        for more in ([], ["--oss-signature", "v1"], ["--oss-post"]):
            w.refused(fault, path, *more, to=f"oss://bucket/{i}{len(more)}{more[-1:]}", env=env)
    w.refused("no-such-bucket", path, to="oss://nobucket")
    w.holds({})
    env = {"OSS_ACCESS_KEY_ID": "", "OSS_ACCESS_KEY_SECRET": ""}
    status, _, err = w.up(path, env=env)
    assert status == 2 and "OSS_ACCESS_KEY_ID or ALIBABA_CLOUD_ACCESS_KEY_ID" in err, err
    env.update(ALIBABA_CLOUD_ACCESS_KEY_ID=w.oss.key, ALIBABA_CLOUD_ACCESS_KEY_SECRET=w.oss.secret)
    w.sent(path, env=env)


def test_a_token_that_ends(t):
    w = World(t, token="STSTOKEN")
    path = w.write("a.txt", b"x")
    w.oss.token_expired = True
    w.refused("credentials-expired", path)
    w.oss.token_expired, w.oss.token = False, "NEWTOKEN"
    w.sent(path, env={"OSS_SESSION_TOKEN": "NEWTOKEN"})


def test_clocks(t):
    """The server's clock is an hour off, either way: learned from its answer, by header and by form."""
    for shift in (3600, -3600):
        for more in ([], ["--oss-signature", "v1"], ["--oss-post"]):
            w = World(t)
            w.oss.clock_s = shift
            for i in range(4):
                w.write(f"d/{i}.txt", b"%d" % i)
            w.sent(f"{w.src}/d", "--jobs", "1", *more, to=f"oss://bucket/{len(more)}")
            refused = [e for e in w.oss.log if e["status"] == 403]
            assert len(w.oss.log) == 4 + len(refused) and len(refused) <= 1, [(e["method"], e["status"]) for e in w.oss.log]


def test_a_bucket_elsewhere(t):
    """The answer names the endpoint: learned once, and kept."""
    w = World(t, region="ap-southeast-1")
    for i in range(3):
        w.write(f"d/{i}.txt", b"%d" % i)
    w.sent(f"{w.src}/d", "--jobs", "1")
    assert [e["status"] for e in w.oss.log] == [403, 200, 200, 200], w.oss.log
    w.sent(w.write("more.txt", b"x"))
    assert len(w.oss.log) == 5, "asked again in the wrong region"


def test_options(t):
    w = World(t)
    path = w.write("a.txt", b"x")
    rows = [(["--part-size", "99KiB"], "100KiB..5GiB"), (["--sse", "aws:kms:dsse"], "AES256"), (["--checksum", "sha256"], "md5"),
            (["--callback-var", "a=b"], "--callback-url"), (["--callback-url", "gopher://x"], "--callback-url"),
            (["--callback-url", "http://a/", "--callback-var", "A=b"], "lower-case"), (["--traffic-limit", "1"], "819200..838860800"),
            (["--header", "x-oss-callback: x"], "hoist's own"), (["--region", "no_region"], "cn-hangzhou"), (["--unsigned-payload"], "s3")]
    for args, words in rows:
        status, _, err = w.up(path, *args)
        assert status == 2 and words in err, (args, status, err)
    assert w.up(path, to="oss://Bad_Bucket")[0] == 2
    assert w.oss.log == []


def test_share_and_rm(t):
    w = World(t, token="STSTOKEN/+=")
    if "  share " not in w.hoist.run("--help").out:
        raise lib.Skip("this hoist has no share yet")
    path = w.write("a b.txt", b"shared")
    w.sent(path)
    for version in ("v4", "v1"):
        r = w.hoist.run("share", "oss://bucket/pre/a b.txt", env={"HOIST_OSS_SIGNATURE": version})
        url = r.out.strip().splitlines()[-1]
        assert r.returncode == 0 and url.startswith(f"{w.oss.url}/bucket/pre/a%20b.txt?"), (r.out, r.err)
        assert urllib.request.urlopen(url, timeout=20).read() == b"shared"
    r = w.hoist.run("rm", "oss://bucket/pre/a b.txt")
    assert r.returncode == 0, r.err
    w.holds({})


if __name__ == "__main__":
    lib.main()
