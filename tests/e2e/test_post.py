"""post://: forms with a POST policy of one's own, against SeaweedFS and versitygw.

rclone has no POST policy, and says so; s3rver and moto take any form, so they prove nothing. A server is started once for all its cases.
"""
import os
import urllib.parse
import urllib.request

import lib
from test_s3 import FAKETIME, Shared, World, faults, needs_proxy, same

MIB = 1 << 20


class PostWorld(World):
    def __init__(self, t, server, through_proxy=True):
        super().__init__(t, server, through_proxy)
        self.to = f"post://bucket/{self.prefix}"


def refused(w, fault, *args, **kw):
    """hoist up that must fail with this fault, and leave nothing"""
    status, events, err = w.up(*args, **kw)
    assert status == 1 and [f[1] for f in faults(events)][-1:] == [fault], (status, faults(events), err)
    assert w.objects() == {}, list(w.objects())
    return lib.of_kind(events, "failed")[0]["fault"]["cause"]


def case_sizes_names_and_what_is_given(t, s):
    w = PostWorld(t, s)
    wanted = {"empty.bin": b"", "one.bin": b"x", "large.bin": lib.data(20 * MIB, seed=3), "Grüße 中文 +&%.txt": b"names\n", "a b/c.html": b"<p>",
              "${filename}.txt": b"not replaced\n", "quote\"d.txt": b"quoted\n"}
    for name, content in wanted.items():
        w.write(name, content)
    done = w.sent("--images", "none", "--meta", "colour=blue", "--acl", "private", "--header", "Cache-Control: max-age=60", w.src)
    same(w.objects(), {f"src/{k}": v for k, v in wanted.items()})
    for path, e in done.items():
        assert e["verified"] in ("verified by ETag", "verified by checksum"), e
        assert urllib.parse.unquote(e["url"]).endswith(path.removeprefix(w.src)), e
    head = w.head("src/a b/c.html")
    assert head["ContentType"] == "text/html" and head["Metadata"]["colour"] == "blue", head
    needs_proxy(w)
    assert len(w.requests("POST")) == len(wanted) and not w.requests("PUT"), [e["method"] for e in w.proxy.log]


def case_refusals(t, s):
    w = PostWorld(t, s, through_proxy=False)
    path = w.write("a.bin", b"1234567890")
    refused(w, "wrong-secret", path, env={"AWS_SECRET_ACCESS_KEY": "notthesecret"})
    cause = refused(w, "too-large", "--post-max-size", "9", path)
    assert "9 bytes" in cause, cause


def case_status_and_prefix(t, s):
    w = PostWorld(t, s)
    for status in ("200", "204"):
        path = w.write(f"{status}.bin", status.encode())
        done = w.sent("--success-status", status, "--post-key", "prefix", "--post-max-size", "1MiB", path)
        assert done[path]["verified"] != "not verified", done
    same(w.objects(), {"200.bin": b"200", "204.bin": b"204"})


def case_skip_what_is_there(t, s):
    w = PostWorld(t, s)
    path = w.write("a.bin", b"first")
    w.sent(path)
    w.write("a.bin", b"second, longer")
    status, events, err = w.up("--if-exists", "fail", path)
    assert status == 1 and faults(events)[-1][1] == "exists", (status, events, err)
    same(w.objects(), {"a.bin": b"first"})
    w.sent(path)
    same(w.objects(), {"a.bin": b"second, longer"})


def case_share_and_remove(t, s):
    w = PostWorld(t, s, through_proxy=False)
    w.sent(w.write("a.bin", b"shared"))
    link = w.hoist.run("share", f"{w.to}/a.bin").out.strip()
    assert urllib.request.urlopen(link, timeout=20).read() == b"shared"
    r = w.hoist.run("rm", f"{w.to}/a.bin")
    assert r.returncode == 0 and w.objects() == {}, (r.out, r.err)


def case_wrong_clock(t, s):
    """The policy has ended before it arrives: the server's clock is learned from its answer, and the next one counts."""
    if not FAKETIME:
        raise lib.Skip("no libfaketime")
    w = PostWorld(t, s)
    path = w.write("a.bin", b"late")
    w.sent(path, env={"LD_PRELOAD": FAKETIME, "FAKETIME": "-3h", "ASAN_OPTIONS": w.hoist.env["ASAN_OPTIONS"] + ":verify_asan_link_order=0"})
    same(w.objects(), {"a.bin": b"late"})


def test_rclone_takes_no_forms(t):
    s = Shared.get(lib.Rclone)
    w = PostWorld(t, s, through_proxy=False)
    status, events, err = w.up(w.write("a.bin"))
    assert status == 1 and lib.of_kind(events, "failed"), (status, events, err)


def everything():
    kinds = (lib.SeaweedFS, lib.VersityGW)
    cases = [(n[5:], f) for n, f in globals().items() if n.startswith("case_")]
    tests = [(f"{kind.name}_{n}", lambda t, f=f, kind=kind: f(t, Shared.get(kind))) for kind in kinds for n, f in cases]
    return tests + [(n[5:], f) for n, f in globals().items() if n.startswith("test_")]


if __name__ == "__main__":
    try:
        lib.main(everything())
    finally:
        Shared.stop()
