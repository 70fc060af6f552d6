"""hoist dests, share and rm against real S3 servers: links are fetched as anybody would, without keys."""
import json
import os
import urllib.error
import urllib.request

import lib

NAMES = ["plain.txt", "with blank.txt", "ümläut 日本.txt", "a+b&c=d%20e.txt", "deep/er/x.bin"]


def fetch(url):
    """-> status, bytes"""
    try:
        with urllib.request.urlopen(url, timeout=20) as r:
            return r.status, r.read()
    except urllib.error.HTTPError as e:
        return e.code, b""


class World:
    """A store with a few objects below a prefix, and a [dest NAME] that leads there."""

    def __init__(self, t, kind):
        self.server = t.server(kind)
        self.hoist = t.hoist(self.server)
        self.config = lib.write(t.path("home/config/hoist/config.ini"), b"[dest shop]\nto = s3://bucket/pre/fix\n")
        self.files = {n: lib.data(100 + i, seed=i) for i, n in enumerate(NAMES)}
        for name, content in self.files.items():
            lib.write(t.path("src", name), content)
        status, _, err = self.hoist.up("--to", "shop", t.path("src"))
        assert status == 0, err
        self.keys = {f"src/{n}": c for n, c in self.files.items()}      # below the prefix

    def share(self, *args, **kw):
        r = self.hoist.run("share", *args, **kw)
        assert r.returncode == 0 and r.out.count("\n") == 1, (r.out, r.err)
        return r.out.strip()


def share_and_remove(t, kind):
    w = World(t, kind)
    for key, content in w.keys.items():
        assert fetch(w.share(f"shop/{key}")) == (200, content), key
        assert fetch(w.share("--for", "7d", f"s3://bucket/pre/fix/{key}")) == (200, content), key
    assert fetch(w.share("shop/src/none"))[0] == 404

    first, *others = w.keys
    link = w.share(f"shop/{first}")
    r = w.hoist.run("rm", f"shop/{first}", "shop/src/none")
    assert r.returncode == 0 and r.out.splitlines() == [f"removed shop/{first}", "not there shop/src/none"], (r.out, r.err)
    assert fetch(link)[0] == 404
    assert set(w.server.keys("bucket")) == {f"pre/fix/{k}" for k in others}

    r = w.hoist.run("rm", "--json", *[f"shop/{k}" for k in others])
    said = [json.loads(line) for line in r.out.splitlines()]
    assert r.returncode == 0 and said == [{"event": "removed", "object": f"shop/{k}"} for k in others], (r.out, r.err)
    assert not w.server.keys("bucket")


def expiry_and_wrong_secret(t, kind):
    w = World(t, kind)
    key = next(iter(w.keys))
    wrong = {"AWS_SECRET_ACCESS_KEY": "not-the-secret-at-all"}
    assert fetch(w.share(f"shop/{key}", env=wrong))[0] == 403
    short = w.share("--for", "1s", f"shop/{key}")
    assert lib.wait_for(lambda: fetch(short)[0] == 403, 30, 0.2), "the link still counts"

    r = w.hoist.run("rm", f"shop/{key}", env=wrong)
    assert r.returncode == 1 and r.out.startswith(f"failed shop/{key}: ") and "secret" in r.out, (r.out, r.err)
    r = w.hoist.run("rm", "--json", f"shop/{key}", env=wrong)
    said = json.loads(r.out)
    assert said["event"] == "failed" and said["fault"]["name"] == "wrong-secret" and said["fault"]["remedy"], said
    r = w.hoist.run("rm", "s3://no-such-bucket-here/x")
    assert r.returncode == 1 and "bucket" in r.out, (r.out, r.err)
    assert f"pre/fix/{key}" in w.server.keys("bucket")
    return w


def test_rclone(t):
    share_and_remove(t, lib.Rclone)


def test_seaweedfs(t):
    share_and_remove(t, lib.SeaweedFS)


def test_refusals(t):
    expiry_and_wrong_secret(t, lib.SeaweedFS)


def test_usage(t):
    h = t.hoist(None)
    for args, words in ((["share"], "DEST/KEY"), (["share", "s3://b"], "DEST/KEY"), (["share", "--for", "soon", "s3://b/k"], "15m"),
                        (["share", "--for", "8d", "s3://b/k"], "7 days"), (["rm"], "DEST/KEY"), (["rm", "s3://b/k", "nowhere/k"], "[dest nowhere]"),
                        (["share", "dav+http://127.0.0.1:1/k"], "has no way to share"), (["dests", "x"], "no paths")):
        r = h.run(*args, env={"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})
        assert r.returncode == 2 and words in r.err and not r.out, (args, r)


def test_dests(t):
    h = t.hoist(None)
    assert "no [dest NAME]" in h.run("dests").out
    secret = lib.write(t.path("pw"), b"hunter2\n")
    os.chmod(secret, 0o600)
    lib.write(t.path("home/config/hoist/config.ini"), f"""[dest files]
to = dav+http://127.0.0.1:1/files
user = me
secret = password=file:{secret}
[dest gone]
to = dav+http://127.0.0.1:1/files
user = me
secret = password=env:NOWHERE
[dest shop]
to = s3://bucket/pre
endpoint = http://127.0.0.1:2
""".encode())
    env = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "hunter3"}
    r = h.run("dests", "--json", env=env)
    said = {d["name"]: d for d in map(json.loads, r.out.splitlines())}
    assert r.returncode == 0 and list(said) == ["files", "gone", "shop"], r
    assert said["files"]["ready"] and said["shop"]["ready"] and said["shop"]["endpoint"] == "http://127.0.0.1:2", said
    assert not said["gone"]["ready"] and "line 8" in said["gone"]["missing"] and "password" in said["gone"]["missing"], said
    assert not json.loads(h.run("dests", "--json").out.splitlines()[2])["ready"], "no keys of AWS"
    text = h.run("dests", env=env).out
    assert len(text.splitlines()) == 3 and "hunter" not in text + r.out
    help_text = h.run("dests", "--help").out
    assert "s3://BUCKET/PREFIX" in help_text and "--dav-auth" in help_text
    r = h.run("up", "--to", "gone", t.path("pw"))
    assert r.returncode == 2 and "line 8" in r.err, r


if __name__ == "__main__":
    lib.main()
