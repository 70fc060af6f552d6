"""Faults between hoist and a real server: everything arrives, or fails with the right fault and remedy."""
import json
import os
import re
import shutil
import sqlite3
import subprocess
import threading
import time

import lib
from proxy import Proxy

IMAGES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "images")
PART = "partNumber="
COMPLETE = r"\?uploadId="        # POST; a part has its number first
LARGE = 17 * 1024 * 1024


class Rig:
    """hoist -> proxy -> server, files to send, and what came of them."""

    def __init__(self, t, kind=lib.Rclone, tls=None, **files):
        self.t = t
        self.server = t.server(kind)
        self.proxy = Proxy(self.server.port, tls)
        t.later(self.proxy.close)
        self.hoist = t.hoist(self.server, url=self.proxy.url)
        self.src = t.path("src")
        os.makedirs(self.src)
        for name, content in files.items():
            lib.write(f"{self.src}/{name}", content)

    def up(self, *args, status=0, resume=False, env=None, timeout=120):
        """-> events; the exit status must be as said."""
        paths = [] if resume else [self.src]
        got, events, err = self.hoist.up("--to", "s3://bucket/p", "--part-size", "5MiB", *args, *paths, env=env, timeout=timeout)
        assert got == status, f"exit status {got}, expected {status}: {err}\n" + "\n".join(map(str, events[-12:]))
        self.events = events
        return events

    def arrived(self, **but):
        """All files of src, byte for byte, and nothing else; but: name -> other content, or None for absent."""
        wanted = {f"p/{k}": v for k, v in lib.tree(self.src).items()}
        for name, content in but.items():
            wanted[f"p/src/{name}"] = content
        wanted = {k: v for k, v in wanted.items() if v is not None}
        client = self.server.client()
        found = {k: client.get_object(Bucket="bucket", Key=k)["Body"].read() for k in self.server.keys("bucket")}
        assert sorted(found) == sorted(wanted), f"{sorted(found)} instead of {sorted(wanted)}"
        for key, content in wanted.items():
            assert found[key] == content, f"{key} differs: {len(found[key])} bytes of {len(content)}"
        assert not self.server.open_uploads("bucket"), self.server.open_uploads("bucket")

    def faults(self, kind):
        """Names of the faults in events of this kind."""
        found = [e["fault"]["name"] for e in lib.of_kind(self.events, kind) if "fault" in e]
        for e in self.events:
            if "fault" in e:
                assert e["fault"]["cause"], e
                assert e["fault"]["name"] in ("cancelled",) or e["fault"]["remedy"], e
        return found

    def failed(self, fault, files=1):
        assert self.faults("failed") == [fault] * files, self.faults("failed")
        summary = self.events[-1]
        assert summary["event"] == "summary" and summary["failed"] == files, summary

    def sent_parts(self):
        return [e for e in self.proxy.log if e["method"] == "PUT" and PART in e["target"]]


def answer(status, code=None, header="", body=None, message="told by the test"):
    """An S3 error document, or body as it is."""
    if body is None:
        body = "" if code is None else f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    body = body.encode() if isinstance(body, str) else body
    kind = "" if "Content-Type" in header or not body else "Content-Type: application/xml\r\n"
    return f"HTTP/1.1 {status} X\r\n{kind}{header}Content-Length: {len(body)}\r\n\r\n".encode() + body


# ---------------------------------------------------------------------------------------------------------------- connections


def test_reset_in_a_body_is_sent_again(t):
    rig = Rig(t, small=lib.data(300000))
    rig.proxy.rule("reset", "PUT", after=100000)
    rig.up()
    assert rig.faults("retry") == ["connection-broken"], rig.faults("retry")
    rig.arrived()


def test_reset_before_any_byte(t):
    rig = Rig(t, small=lib.data(300000), empty=b"")
    rig.proxy.rule("reset", "PUT", times=2, after=0)
    rig.up()
    rig.arrived()


def test_reset_of_a_part_sends_only_that_part_again(t):
    rig = Rig(t, large=lib.data(LARGE))
    rig.proxy.rule("reset", "PUT", "partNumber=2", after=3000000)
    rig.up()
    assert rig.faults("retry") == ["connection-broken"]
    assert len(rig.sent_parts()) == 5 and rig.proxy.count("PUT", PART) == 4
    rig.arrived()


def test_connection_closed_between_requests_costs_nothing(t):
    rig = Rig(t, **{f"f{i}": lib.data(5000, seed=i) for i in range(12)})
    rig.proxy.rule("close-after", "PUT", times=12)
    rig.up("-j", "1")
    assert rig.faults("retry") == []
    rig.arrived()


def test_reset_always_fails_after_three_tries(t):
    rig = Rig(t, small=lib.data(300000))
    rig.proxy.rule("reset", "PUT", times=1000, after=1000)
    rig.up(status=1)
    rig.failed("connection-broken")
    assert len(rig.proxy.log) == 3
    rig.arrived(small=None)


def test_slow_reader(t):
    rig = Rig(t, middle=lib.data(1000000), large=lib.data(LARGE))
    rig.proxy.rule("slow-read", "PUT", times=2, bps=600000)
    rig.up()
    rig.arrived()


def test_nobody_listens_pauses_and_goes_on_later(t):
    rig = Rig(t, **{f"f{i}": lib.data(1000, seed=i) for i in range(8)})
    port = rig.proxy.port
    rig.proxy.close()
    rig.up(status=1)
    rig.failed("cannot-connect", files=3)
    paused = [e for e in lib.of_kind(rig.events, "notice") if "paused" in e["text"]]
    assert len(paused) == 1 and paused[0]["fault"]["name"] == "cannot-connect", rig.events
    rig.proxy = Proxy(rig.server.port, port=port)
    t.later(rig.proxy.close)
    rig.up(resume=True, status=1)       # the three that failed are still failed
    assert len(lib.of_kind(rig.events, "done")) == 5 and rig.events[-1]["failed"] == 0
    assert rig.hoist.run("retry", "--all").returncode == 0
    rig.up(resume=True)
    rig.arrived()


class Sub:
    """A second rig of one test, in a folder of its own."""

    def __init__(self, t, name):
        self.t, self.name, self.later = t, name, t.later

    def path(self, *parts):
        return self.t.path(self.name, *parts)

    def server(self, kind):
        s = kind(self.path(kind.name))
        self.t.later(s.stop)
        s.start()
        s.make_bucket("bucket")
        return s

    def hoist(self, server, **kw):
        return lib.Hoist(self.path("home"), server, **kw)


def test_unknown_host(t):
    rig = Rig(t, small=b"x")
    rig.hoist.env["AWS_ENDPOINT_URL_S3"] = "http://no-such-host.invalid:9000"
    rig.up(status=1)
    rig.failed("host-not-found")


def certificate(t):
    cert, key = t.path("cert.pem"), t.path("key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hoist test",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def test_certificate_of_nobody_known(t):
    tls = certificate(t)
    rig = Rig(t, tls=tls, small=b"x", large=lib.data(LARGE))
    rig.up(status=1)
    rig.failed("certificate-not-trusted", files=2)
    assert not rig.proxy.log
    rig.arrived(small=None, large=None)
    rig.hoist.run("retry", "--all")
    rig.up(resume=True, env={"AWS_CA_BUNDLE": tls[0]})
    rig.arrived()


def test_plain_server_at_an_https_address(t):
    rig = Rig(t, small=b"x")
    rig.hoist.env["AWS_ENDPOINT_URL_S3"] = rig.server.url.replace("http:", "https:")
    rig.up(status=1)
    assert rig.faults("failed") == ["tls-failed"], rig.faults("failed")


# ---------------------------------------------------------------------------------------------------------------- answers


def test_slow_down_halves_and_everything_arrives(t):
    rig = Rig(t, **{f"f{i:02}": lib.data(40000, seed=i) for i in range(30)})
    rig.proxy.rule("slow-down", "PUT", "/f0[0-2]", times=3, before=lambda: time.sleep(0.3))
    rig.proxy.rule("late-answer", "PUT", times=1000, seconds=0.15)
    rig.up()
    assert "slow-down" in rig.faults("retry")
    slowed = max(e["at"] for e in rig.proxy.log if e["fault"] == "slow-down")
    before = max(e["at_once"] for e in rig.proxy.log if e["at"] <= slowed)
    # a file that waits for its next try keeps its place: those begun before may still be there
    after = [e["at_once"] for e in rig.proxy.log if slowed + 2 < e["at"] < slowed + 4]
    assert before == 3 and after and max(after) == 1, (before, after)
    rig.arrived()


def test_slow_down_names_a_time(t):
    rig = Rig(t, small=b"x" * 1000)
    rig.proxy.rule("slow-down", "PUT", header=b"Retry-After: 3\r\n")
    rig.up()
    waits = [e["at"] for e in rig.proxy.log]
    assert len(waits) == 2 and waits[1] - waits[0] >= 2.9, waits
    retry = lib.of_kind(rig.events, "retry")[0]
    assert retry["fault"]["name"] == "slow-down" and 2000 <= retry["in_ms"] <= 3100, retry
    rig.arrived()


def test_slow_down_of_every_phase(t):
    rig = Rig(t, large=lib.data(LARGE))
    rig.proxy.rule("slow-down", "POST", r"\?uploads")
    rig.proxy.rule("slow-down", "PUT", "partNumber=3", times=2)
    rig.proxy.rule("slow-down", "POST", COMPLETE)
    rig.up()
    assert rig.proxy.count("PUT", PART) == 4
    rig.arrived()


def test_cut_answers(t):
    rig = Rig(t, small=lib.data(5000), large=lib.data(LARGE))
    rig.proxy.rule("cut-answer", "PUT", "/small", after=20)
    rig.proxy.rule("cut-answer", "PUT", "partNumber=1")
    rig.proxy.rule("cut-answer", "POST", r"\?uploads")
    rig.proxy.rule("cut-answer", "POST", COMPLETE)
    rig.up()
    rig.arrived()


def test_answer_of_create_is_lost_and_nothing_stays_open(t):
    rig = Rig(t, large=lib.data(LARGE))
    rig.proxy.rule("lose-answer", "POST", r"\?uploads")
    rig.up()
    rig.arrived()


def test_answer_of_complete_is_lost_and_head_decides(t):
    rig = Rig(t, large=lib.data(LARGE))
    rig.proxy.rule("lose-answer", "POST", COMPLETE)
    rig.up()
    assert len(rig.sent_parts()) == 4, "sent again"
    assert rig.proxy.count("HEAD") >= 1
    assert len(lib.of_kind(rig.events, "done")) == 1
    rig.arrived()


def test_complete_never_reached_the_server(t):
    rig = Rig(t, large=lib.data(LARGE))
    rig.proxy.rule("reset", "POST", COMPLETE, after=0)
    rig.up()
    assert len(rig.sent_parts()) == 4, "sent again"
    rig.arrived()


def test_answer_of_a_put_is_lost(t):
    rig = Rig(t, small=lib.data(5000))
    rig.proxy.rule("lose-answer", "PUT")
    rig.up()
    assert rig.faults("retry") == ["connection-broken"] and rig.proxy.count("PUT") == 2
    rig.arrived()


def test_answer_of_a_part_is_lost(t):
    rig = Rig(t, large=lib.data(LARGE))
    rig.proxy.rule("lose-answer", "PUT", "partNumber=3")
    rig.up()
    assert len(rig.sent_parts()) == 5
    rig.arrived()


def test_error_inside_a_200_of_complete(t):
    rig = Rig(t, large=lib.data(LARGE))
    rig.proxy.rule("answer", "POST", COMPLETE, answer=answer(200, "InternalError"))
    rig.up()
    assert rig.faults("retry") == ["server-error"] and len(rig.sent_parts()) == 4
    rig.arrived()


def test_error_inside_a_200_of_complete_always(t):
    rig = Rig(t, large=lib.data(LARGE))
    rig.proxy.rule("answer", "POST", COMPLETE, times=1000, answer=answer(200, "InternalError"))
    rig.up(status=1)
    rig.failed("server-error")
    assert not lib.of_kind(rig.events, "done") and not rig.server.keys("bucket")


def test_complete_takes_twenty_seconds(t):
    rig = Rig(t, large=lib.data(LARGE))
    rig.proxy.rule("drip-answer", "POST", COMPLETE, seconds=20)
    rig.up()
    assert rig.proxy.count("POST", COMPLETE) == 1 and rig.faults("retry") == []
    rig.arrived()


def early(status, code=None):
    return answer(status, code, header="Connection: close\r\n")


def test_early_refusal(t):
    rig = Rig(t, small=lib.data(900000))
    rig.proxy.rule("refuse-early", "PUT", times=9, answer=early(403, "AccessDenied"))
    rig.up(status=1)
    rig.failed("access-denied")


def test_early_slow_down(t):
    rig = Rig(t, large=lib.data(LARGE))
    rig.proxy.rule("refuse-early", "PUT", times=2, answer=early(503, "SlowDown"))
    rig.up()
    assert set(rig.faults("retry")) == {"slow-down"}
    rig.arrived()


def test_early_too_large(t):
    rig = Rig(t, small=lib.data(900000), fine=b"y")
    rig.proxy.rule("refuse-early", "PUT", "/small", times=9, answer=early(413))
    rig.up(status=1)
    rig.failed("too-large")
    rig.arrived(small=None)


def test_answer_of_fifty_megabytes(t):
    rig = Rig(t, small=b"x")
    rig.proxy.rule("answer", "PUT", times=9, answer=answer(200, body=b"<" * 50_000_000))
    rig.up(status=1)
    rig.failed("bad-answer")


def test_login_page_is_never_done(t):
    page = answer(200, header="Content-Type: text/html\r\n", body="<html><body>Please log in</body></html>")
    rig = Rig(t, small=b"x", empty=b"", large=lib.data(LARGE))
    rig.proxy.rule("answer", ".*", times=1000, answer=page)
    rig.up(status=1)
    assert not lib.of_kind(rig.events, "done")
    assert set(rig.faults("failed")) == {"bad-answer"}, rig.faults("failed")


def test_redirect_to_elsewhere_is_not_followed(t):
    rig = Rig(t, small=b"x")
    rig.proxy.rule("answer", "PUT", times=9, answer=answer(302, header="Location: http://login.example/\r\n"))
    rig.up(status=1)
    rig.failed("wrong-endpoint")


def test_wrong_region_is_learned(t):
    for told in (answer(400, body="<Error><Code>AuthorizationHeaderMalformed</Code><Message>expecting 'eu-west-1'</Message>"
                                  "<Region>eu-west-1</Region></Error>"),
                 answer(301, "PermanentRedirect", header="x-amz-bucket-region: eu-west-1\r\n")):
        rig = Rig(Sub(t, str(told[9:12], "ascii")), small=b"x")
        rig.proxy.rule("answer", "PUT", answer=told)
        rig.up()
        regions = [re.search(r"/\d{8}/([^/]*)/s3/", e["head"]["authorization"])[1] for e in rig.proxy.log]
        assert regions == ["us-east-1", "eu-west-1"], regions
        rig.arrived()
        lib.write(f"{rig.src}/more", b"more")
        rig.up()
        assert len(rig.proxy.log) > 2 and all("/eu-west-1/" in e["head"]["authorization"] for e in rig.proxy.log[1:]), "not remembered"


def test_wrong_region_that_nobody_tells(t):
    rig = Rig(t, small=b"x")
    rig.proxy.rule("answer", "PUT", times=99, answer=answer(400, "AuthorizationHeaderMalformed"))
    rig.up(status=1)
    rig.failed("wrong-region")


def test_clock_off_is_learned(t):
    ahead = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 600))
    rig = Rig(t, small=b"x")
    rig.proxy.rule("answer", "PUT", answer=answer(403, "RequestTimeTooSkewed", header=f"Date: {ahead}\r\n"))
    rig.up()
    first, second = (time.mktime(time.strptime(e["head"]["x-amz-date"], "%Y%m%dT%H%M%SZ")) for e in rig.proxy.log)
    assert 590 <= second - first <= 610, second - first
    rig.arrived()


def test_bucket_missing(t):
    rig = Rig(t, small=b"x")
    got, rig.events, _ = rig.hoist.up("--to", "s3://no-such-bucket/p", rig.src)
    assert got == 1
    rig.failed("no-such-bucket")


def test_wrong_secret_and_unknown_key(t):
    rig = Rig(t, small=b"x")
    rig.up(status=1, env={"AWS_SECRET_ACCESS_KEY": "wrong"})
    rig.failed("wrong-secret")
    rig.hoist.run("forget", "--all")
    rig.up(status=1, env={"AWS_ACCESS_KEY_ID": "nobody"})
    rig.failed("unknown-access-key")


def credentials(rig, token):
    lib.write(f"{rig.hoist.folder}/.aws/credentials", f"[default]\naws_access_key_id={lib.KEY}\naws_secret_access_key={lib.SECRET}\n"
              f"aws_session_token={token}\n".encode())


def test_expired_token_is_read_anew(t):
    rig = Rig(t, small=b"x", large=lib.data(LARGE))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        rig.hoist.env.pop(name)
    credentials(rig, "old")
    rig.proxy.rule("answer", "PUT", "partNumber=2", before=lambda: credentials(rig, "new"), answer=answer(400, "ExpiredToken"))
    rig.up()
    assert {e["head"]["x-amz-security-token"] for e in rig.proxy.log} == {"old", "new"}
    rig.arrived()


def test_expired_token_and_nothing_new(t):
    rig = Rig(t, small=b"x")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        rig.hoist.env.pop(name)
    credentials(rig, "old")
    rig.proxy.rule("answer", "PUT", times=99, answer=answer(400, "ExpiredToken"))
    rig.up(status=1)
    rig.failed("credentials-expired")
    assert len(rig.proxy.log) <= 2


def test_storage_full(t):
    for told in (answer(507), answer(403, "QuotaExceeded")):
        rig = Rig(Sub(t, str(told[9:12], "ascii")), small=b"x")
        rig.proxy.rule("answer", "PUT", times=99, answer=told)
        rig.up(status=1)
        rig.failed("storage-full")


def other_checksum(answer_bytes):
    return re.sub(rb"(?i)(x-amz-checksum-[a-z0-9]+: )[^\r]*", rb"\1AAAAAAAAAAA=", answer_bytes)


def test_checksum_told_differs_and_is_sent_again(t):
    rig = Rig(t, lib.SeaweedFS, small=lib.data(5000), large=lib.data(LARGE))
    rig.proxy.rule("change-answer", "PUT", "/small", change=other_checksum)
    rig.proxy.rule("change-answer", "PUT", "partNumber=2", change=other_checksum)
    rig.up()
    assert "checksum-differs" in rig.faults("retry"), rig.faults("retry")
    assert rig.proxy.count("PUT", "/small") == 2
    rig.arrived()


def flip(piece):
    return bytes([piece[0] ^ 1]) + piece[1:]


def test_body_damaged_on_the_way(t):
    for kind in (lib.Rclone, lib.SeaweedFS):
        rig = Rig(Sub(t, kind.name), kind, first=b"one file from which the store is known", other=lib.data(17 * 1024 * 1024, seed=9))
        rig.up()
        lib.write(f"{rig.src}/small", lib.data(5000))
        lib.write(f"{rig.src}/large", lib.data(LARGE))
        rig.proxy.rule("change-body", "PUT", "/small", change=flip)
        rig.proxy.rule("change-body", "PUT", "/large.*partNumber=2", change=flip)
        rig.up()
        assert "checksum-differs" in rig.faults("retry"), rig.faults("retry")
        rig.arrived()


# ---------------------------------------------------------------------------------------------------------------- sources


class Running:
    """hoist up at work; its events as they come."""

    def __init__(self, rig, *args, paths=None):
        args = ["up", "--json", "--to", "s3://bucket/p", "--part-size", "5MiB", *args, *([rig.src] if paths is None else paths)]
        self.rig, self.process, self.events = rig, rig.hoist.start(*args), []
        rig.t.later(self.process.kill)

    def wait_for(self, wanted, seconds=30):
        """Reads on until wanted(event)."""
        end = time.monotonic() + seconds
        for line in self.process.stdout:
            self.events.append(json.loads(line))
            if wanted(self.events[-1]):
                return self.events[-1]
            assert time.monotonic() < end, "not in time"
        raise AssertionError(f"ended first: {self.events[-5:]}")

    def end(self, status=0):
        out, err = self.process.communicate(timeout=120)
        self.events += [json.loads(line) for line in out.splitlines()]
        self.rig.events = self.events
        assert self.process.returncode == status, f"exit status {self.process.returncode}, expected {status}: {err}\n{self.events[-6:]}"
        assert self.process.returncode not in (98, 99), err


def started(name):
    return lambda e: e["event"] == "started" and e["path"].endswith(f"/{name}")


def append(path):
    with open(path, "ab") as f:
        f.write(b"more" * 1000)


def shrink(path):
    os.truncate(path, os.path.getsize(path) // 2)


def overwrite(path):
    with open(path, "r+b") as f:
        f.seek(os.path.getsize(path) // 2)
        f.write(b"\0" * 100000)


def replace(path):
    lib.write(f"{path}.new", lib.data(os.path.getsize(path), seed=77))
    os.rename(f"{path}.new", path)


def touch(path):
    os.utime(path)


CHANGES = [append, shrink, overwrite, replace, touch]


def change_while_sent(t, kind, size, target, change):
    rig = Rig(Sub(t, change.__name__), kind, file=lib.data(size))
    rig.proxy.rule("slow-read", "PUT", target, times=1, bps=3_000_000)
    run = Running(rig)
    lib.wait_for(lambda: any(e["fault"] == "slow-read" for e in rig.proxy.log))
    time.sleep(0.4)
    change(f"{rig.src}/file")
    run.end()
    assert "file-changed" in rig.faults("retry"), f"{change.__name__}: {run.events}"
    rig.arrived()


def test_file_changes_while_it_is_sent_whole(t):
    for change in CHANGES:
        change_while_sent(t, lib.Rclone, 4_000_000, "/file", change)


def test_file_changes_while_its_parts_are_sent(t):
    for change in CHANGES:
        change_while_sent(t, lib.Rclone, LARGE, "partNumber=2", change)


def test_file_changes_while_it_waits(t):
    """One at a time: the others are queued, and some already read, while the first is sent. Those that were quicker than it are left alone."""
    sizes = {"a_first": 3_000_000}
    for change in CHANGES:
        sizes[f"b_{change.__name__}_small"] = 250_000
        sizes[f"c_{change.__name__}_large"] = LARGE
    rig = Rig(t, **{n: lib.data(s, seed=i) for i, (n, s) in enumerate(sizes.items())})
    rig.proxy.rule("slow-read", "PUT", "/a_first", times=1, bps=2_000_000)
    run = Running(rig, "-j", "1")
    lib.wait_for(lambda: any(e["fault"] == "slow-read" for e in rig.proxy.log))
    time.sleep(0.5)
    changed = 0
    for name in sorted(sizes)[1:]:
        if rig.proxy.count("PUT", f"/{name}") == 0:
            CHANGES[[c.__name__ for c in CHANGES].index(name.split("_")[1])](f"{rig.src}/{name}")
            changed += 1
    assert changed >= len(CHANGES), "the first file was the last"
    run.end()
    rig.arrived()


def test_file_vanishes_while_it_waits(t):
    rig = Rig(t, a_first=lib.data(2_000_000), b_gone=lib.data(250_000), c_gone=lib.data(LARGE), d_fine=b"fine")
    rig.proxy.rule("slow-read", "PUT", times=1, bps=1_000_000)
    run = Running(rig, "-j", "1")
    run.wait_for(lambda e: e["event"] == "started")
    time.sleep(0.3)
    gone = {n: open(f"{rig.src}/{n}", "rb").read() for n in ("b_gone", "c_gone")}
    for n in gone:
        os.unlink(f"{rig.src}/{n}")
    out_of = run.process.wait(120)
    run.end(out_of)
    # what was read whole before it vanished may arrive as it was; else the file is missed
    failed = {os.path.basename(e["path"]) for e in lib.of_kind(rig.events, "failed")}
    assert rig.faults("failed") == ["file-missing"] * len(failed) and "c_gone" in failed and out_of == 1, rig.events
    rig.arrived(**{n: None if n in failed else gone[n] for n in gone})


def test_file_vanishes_while_it_is_sent(t):
    for size, target in ((4_000_000, "/file"), (LARGE, "partNumber=2")):
        rig = Rig(Sub(t, str(size)), file=lib.data(size), other=b"other")
        rig.proxy.rule("slow-read", "PUT", target, times=1, bps=3_000_000)
        run = Running(rig)
        lib.wait_for(lambda: any(e["fault"] == "slow-read" for e in rig.proxy.log))
        time.sleep(0.4)
        os.unlink(f"{rig.src}/file")
        run.end(1)
        rig.failed("file-missing")
        assert not rig.server.open_uploads("bucket"), "an upload stays open"


def test_file_never_rests(t):
    rig = Rig(t, log=lib.data(100_000), other=b"other")
    stop = threading.Event()

    def writer():
        while not stop.wait(0.05):
            append(f"{rig.src}/log")
    thread = threading.Thread(target=writer)
    thread.start()
    try:
        rig.proxy.rule("late-answer", "PUT", "/log", times=99, seconds=0.3)
        rig.up(status=1)
    finally:
        stop.set()
        thread.join()
    rig.failed("file-changed")
    assert not [e for e in lib.of_kind(rig.events, "done") if e["path"].endswith("/log")]


def test_more_pictures_than_the_spool_holds(t):
    rig = Rig(t)
    for i in range(70):
        shutil.copy(f"{IMAGES}/png/gray-alpha.png", f"{rig.src}/{i:02}.png")
    rig.up("--images", "web", timeout=240)
    assert sorted(rig.server.keys("bucket")) == [f"p/src/{i:02}.png.webp" for i in range(70)]
    assert not [n for _, _, names in os.walk(f"{rig.hoist.folder}/cache") for n in names if n.endswith((".webp", ".tmp"))]


# ---------------------------------------------------------------------------------------------------------------- this machine


def small_disk(t, folder, size):
    """A file system of its own, that can be filled."""
    os.makedirs(folder, exist_ok=True)
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "hoist-test", folder], capture_output=True, text=True)
    if mount.returncode != 0:
        raise lib.Skip(f"no right to mount a small disk: {mount.stderr.strip()}")
    t.later(lambda: subprocess.run(["umount", "-l", folder], capture_output=True))
    return folder


def fill(folder, leave):
    free = os.statvfs(folder)
    with open(f"{folder}/filler", "wb") as f:
        f.truncate(0)
        os.posix_fallocate(f.fileno(), 0, max(free.f_bavail * free.f_frsize - leave, 1))


def test_disk_of_the_queue_full_goes_on_when_there_is_room(t):
    rig = Rig(t, **{f"dir/f{i:04}": lib.data(200, seed=i) for i in range(1500)})
    state = small_disk(t, f"{rig.hoist.folder}/state/hoist", "16M")
    fill(state, 300_000)
    run = Running(rig)
    full = run.wait_for(lambda e: e["event"] == "notice" and "fault" in e)
    assert full["fault"]["name"] == "state-disk-full" and full["fault"]["remedy"], full
    time.sleep(1)
    assert run.process.poll() is None, "gave up"
    os.unlink(f"{state}/filler")
    run.end()
    rig.arrived()


def test_disk_of_the_queue_full_while_sending(t):
    rig = Rig(t, large=lib.data(LARGE), **{f"f{i:03}": lib.data(200, seed=i) for i in range(200)})
    state = small_disk(t, f"{rig.hoist.folder}/state/hoist", "16M")
    rig.proxy.rule("late-answer", "PUT", times=999, seconds=0.05)
    run = Running(rig)
    run.wait_for(lambda e: e["event"] == "done")
    fill(state, 0)
    run.wait_for(lambda e: e["event"] == "notice" and e.get("fault", {}).get("name") == "state-disk-full")
    time.sleep(2)
    os.unlink(f"{state}/filler")
    run.end()
    assert len(rig.sent_parts()) == 4 and rig.proxy.count("PUT", "/f") == 200, "sent again"
    rig.arrived()


def test_disk_of_the_queue_full_from_the_start(t):
    rig = Rig(t, small=b"x")
    fill(small_disk(t, f"{rig.hoist.folder}/state/hoist", "1M"), 0)
    r = rig.hoist.run("up", "--json", "--to", "s3://bucket/p", rig.src)
    assert r.returncode == 3 and "Free space" in r.err, (r.returncode, r.err)


def test_queue_cannot_be_written(t):
    rig = Rig(t, small=b"x")
    state = small_disk(t, f"{rig.hoist.folder}/state/hoist", "4M")
    for _ in range(2):      # without and with a queue in it
        subprocess.run(["mount", "-o", "remount,ro", state], check=True)
        r = rig.hoist.run("up", "--json", "--to", "s3://bucket/p", rig.src)
        assert r.returncode == 3 and "writable" in r.err, (r.returncode, r.err)
        subprocess.run(["mount", "-o", "remount,rw", state], check=True)
        rig.up()
    rig.arrived()


def test_damaged_queue_is_set_aside(t):
    rig = Rig(t, small=lib.data(1000))
    rig.up()
    state = f"{rig.hoist.folder}/state/hoist"
    for damage in (b"no database at all", None):
        with open(f"{state}/queue.db", "r+b") as f:
            if damage:
                f.write(damage * 500)
            else:
                f.truncate(5000)
        rig.up()
        assert [e for e in lib.of_kind(rig.events, "notice") if "damaged" in e["text"]], rig.events
    assert [n for n in os.listdir(state) if ".corrupt-" in n]
    rig.arrived()


def test_queue_of_a_newer_hoist_is_not_touched(t):
    rig = Rig(t, small=b"x")
    rig.up()
    path = f"{rig.hoist.folder}/state/hoist/queue.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=999")
    db.close()
    before = open(path, "rb").read()
    for args in (["up", "--json", "--to", "s3://bucket/p", rig.src], ["queue"], ["retry", "--all"]):
        r = rig.hoist.run(*args)
        assert r.returncode == 3 and "999" in r.err and "newer" in r.err, (args, r.returncode, r.err)
    assert open(path, "rb").read() == before


def test_second_hoist_hands_its_paths_over(t):
    rig = Rig(t, first=lib.data(3_000_000))
    other = lib.write(t.path("other", "second"), lib.data(5000))
    rig.proxy.rule("slow-read", "PUT", "/first", times=1, bps=1_000_000)
    run = Running(rig)
    run.wait_for(started("first"))
    got, events, err = rig.hoist.up("--to", "s3://bucket/p", other)
    assert got == 0, (got, events, err)
    run.end()
    assert rig.server.get("bucket", "p/second") == lib.data(5000)
    assert sorted(rig.server.keys("bucket")) == ["p/second", "p/src/first"]


def test_disk_of_the_spool_full(t):
    rig = Rig(t, small=b"x")
    for n in ("photo/ladybird.jpg", "jpeg/base-800.jpg"):
        shutil.copy(f"{IMAGES}/{n}", rig.src)
    fill(small_disk(t, f"{rig.hoist.folder}/cache", "1M"), 8192)
    rig.up("--images", "web", status=1)
    rig.failed("spool-full", files=2)
    assert list(rig.server.keys("bucket")) == ["p/src/small"]
    os.unlink(f"{rig.hoist.folder}/cache/filler")
    rig.hoist.run("retry", "--all")
    rig.up(resume=True)
    assert len(rig.server.keys("bucket")) == 3


if __name__ == "__main__":
    lib.main()
