"""Sessions, blocks and chunks that an application hands out (sessions.py), and Azure by one's own SAS, there. At Azurite: test_azurite.py."""
import json
import signal
import urllib.parse

import lib
import sessions

KIB, MIB = 1 << 10, 1 << 20


class World:
    """The stores, and a home with a [dest app] of one description."""

    def __init__(self, t, broker, *lines, prefix="-"):
        self.t, self.stores = t, sessions.Stores()
        t.later(self.stores.close)
        self.hoist = lib.Hoist(t.path("home"))
        self.hoist.env["APP_TOKEN"] = sessions.TOKEN
        base = f"{self.stores.url}/app/{prefix}"
        more = f";cloud=demo;api={self.stores.url}" if broker.startswith("cloudinary") else ";slug=x" if broker.startswith("uploadthing") else ""
        self.config = ["[dest app]", f"to = broker:{broker}", f"var = base={base}{more}", "images = none", "sign-in = bearer",
                       "secret = token=env:APP_TOKEN", *lines, ""]
        lib.write(t.path("home/config/hoist/config.ini"), "\n".join(self.config).encode())

    def file(self, size, name="file.bin"):
        return lib.write(self.t.path("src", name), lib.data(size, seed=size))

    def sent(self, path, *args, **kw):
        status, events, err = self.hoist.up(*(["--to", "app", *args, path] if path else []), **kw)
        assert status == 0, (status, [e for e in events if "fault" in e], err)
        text = str(events) + err
        assert "sig=" not in text and "upload_id" not in text and sessions.TOKEN not in text
        assert self.stores.violations == [], self.stores.violations
        return lib.of_kind(events, "done")[0]

    def kills(self, path, *args, when):
        """Kills a slowed hoist once when() is true."""
        p = self.hoist.start("up", "--json", "--limit", "400KiB", "--to", "app", *args, path)
        self.t.later(p.kill)
        assert lib.wait_for(lambda: when() or p.poll() is not None, 30) and p.poll() is None, "nothing was kept before the kill"
        p.send_signal(signal.SIGKILL)
        p.communicate()
        assert p.returncode == -signal.SIGKILL

    def only_object(self):
        assert len(self.stores.objects) == 1, list(self.stores.objects)
        return next(iter(self.stores.objects.items()))


def kept(w):
    return sum(len(s.data) for s in w.stores.sessions.values())


def test_gcs(t):
    w = World(t, "gcs-session")
    for size in (0, 1, 256 * KIB, 3 * MIB + 5):
        w.stores.objects.clear()
        path = w.file(size, f"{size}.bin")
        done = w.sent(path, "--part-size", "1MiB")
        key, content = w.only_object()
        assert key == f"{size}.bin" and content == open(path, "rb").read()
        assert done["verified"] == "verified by checksum", done


def test_gcs_keeps_less_than_it_got(t):
    w = World(t, "gcs-session")
    w.stores.keep = 512 * KIB
    path = w.file(3 * MIB)
    w.sent(path, "--part-size", "1MiB")
    assert w.only_object()[1] == open(path, "rb").read()
    puts = w.stores.requests("PUT", "upload_id")
    assert len(puts) == 6 and not [e for e in puts if "*" in e["headers"]["content-range"]], "after 308 there is nothing to ask"


def test_gcs_broken_connection(t):
    w = World(t, "gcs-session")
    path = w.file(3 * MIB)
    w.stores.cut(1300 * KIB, "PUT .*upload_id")
    w.sent(path, "--part-size", "2MiB")
    assert w.only_object()[1] == open(path, "rb").read()
    ranges = [e["headers"].get("content-range") for e in w.stores.requests("PUT", "upload_id")]
    assert ranges == ["bytes 0-2097151/3145728", "bytes */3145728", "bytes 1310720-2097151/3145728", "bytes 2097152-3145727/3145728"], ranges


def test_gcs_kill(t):
    w = World(t, "gcs-session")
    path = w.file(2 * MIB)
    w.kills(path, "--part-size", "256KiB", when=lambda: kept(w) >= 512 * KIB)
    before = kept(w)
    w.sent(None)
    assert w.only_object()[1] == open(path, "rb").read()
    assert len(w.stores.requests("POST", "/gcs/")) == 1, "a second session was begun"
    asked = [i for i, e in enumerate(w.stores.log) if e["headers"].get("content-range") == "bytes */2097152"]
    assert len(asked) == 1, "the server was not asked how much it has"
    first = w.stores.log[asked[0] + 1]["headers"]["content-range"]
    assert int(first.split("-")[0].split()[1]) >= before // (256 * KIB) * 256 * KIB, (first, before)


def test_gcs_session_ends_between_runs(t):
    w = World(t, "gcs-session")
    path = w.file(2 * MIB)
    w.kills(path, "--part-size", "256KiB", when=lambda: kept(w) >= 256 * KIB)
    w.stores.sessions.clear()
    w.sent(None)
    assert w.only_object()[1] == open(path, "rb").read()
    assert len(w.stores.requests("POST", "/gcs/", status=201)) == 2


def test_gcs_grant_expired(t):
    w = World(t, "gcs-session")
    w.stores.life_s = -5
    status, events, err = w.hoist.up("--to", "app", w.file(1000))
    fault = lib.of_kind(events, "failed")[0]["fault"]
    assert status == 1 and fault["name"] == "grant-refused" and w.stores.objects == {}, (status, fault, err)
    assert 2 <= len(w.stores.requests("POST", "/app/")) <= 6, "a new grant was not asked for, or without end"


def test_one_grant_expired(t):
    """Too late by a hair: the store refuses, the application is asked once more."""
    for broker in ("gcs-session", "azure-sas-blocks", "cloudinary-chunks", "uploadthing-resumable"):
        w = World(t, broker)
        w.stores.lives = [-5]
        path = w.file(700 * KIB, f"{broker}.bin")
        w.sent(path, "--part-size", "256KiB", "--parts", "1")
        assert w.only_object()[1] == open(path, "rb").read()
        assert len([e for e in w.stores.log if e["target"].startswith("/app/")]) == 2, [e["target"] for e in w.stores.log]


def test_gcs_cancelled(t):
    w = World(t, "gcs-session")
    path = w.file(2 * MIB)
    w.kills(path, "--part-size", "256KiB", when=lambda: kept(w) >= 256 * KIB)
    row = [json.loads(line) for line in w.hoist.run("queue", "--json").out.splitlines()][0]
    r = w.hoist.run("cancel", str(row["id"]))
    assert r.returncode == 0, (row, r.out, r.err)
    status, _, err = w.hoist.up()
    assert status == 0 and w.stores.sessions == {}, (status, err, w.stores.sessions)
    assert [e["status"] for e in w.stores.requests("DELETE")] == [499, 404]      # once more, for what was on its way when hoist was killed


def test_onedrive(t):
    w = World(t, "onedrive-session")
    path = w.file(2 * MIB)
    w.stores.cut(400 * KIB, "PUT /graph")
    done = w.sent(path, "--part-size", "640KiB")
    assert w.only_object()[1] == open(path, "rb").read()
    assert done["verified"] != "not verified", done


def test_onedrive_kill(t):
    w = World(t, "onedrive-session")
    path = w.file(2 * MIB)
    w.kills(path, "--part-size", "320KiB", when=lambda: kept(w) >= 640 * KIB)
    w.sent(None)
    assert w.only_object()[1] == open(path, "rb").read()
    assert len(w.stores.sessions) == 1


def test_azure_grant(t):
    w = World(t, "azure-sas-blocks")
    for size in (0, 1000, 3 * MIB + 1):
        w.stores.objects.clear()
        path = w.file(size, f"{size}.png")
        done = w.sent(path, "--part-size", "1MiB")
        key, content = w.only_object()
        assert key.endswith(f"/{size}.png") and content == open(path, "rb").read()
        assert done["verified"] == "verified by checksum", done
        assert urllib.parse.unquote(done["url"]).endswith(f"/azure/cont/{key}"), done


def azure_kill(t, rights, asks):
    w = World(t, "azure-sas-blocks")
    w.stores.sas_rights = rights
    path = w.file(2 * MIB)
    w.kills(path, "--part-size", "256KiB", "--parts", "2", when=lambda: sum(map(len, w.stores.blocks.values())) >= 3)
    before = len(w.stores.requests("PUT", "comp=block&", status=201))
    w.sent(None)
    assert w.only_object()[1] == open(path, "rb").read()
    puts = w.stores.requests("PUT", "comp=block&", status=201)
    assert len(puts) <= 8 + 2 and len(puts) - before <= 6, f"{before} blocks were there, {len(puts) - before} were sent"
    assert bool(w.stores.requests("GET", "blocklisttype=uncommitted", status=200)) == asks


def test_azure_kill(t):
    azure_kill(t, "rcw", True)


def test_azure_kill_without_right_to_read(t):
    azure_kill(t, "cw", False)


def test_azure_grant_ends_in_the_middle(t):
    """SAS that count for four seconds, and a file that takes longer."""
    w = World(t, "azure-sas-blocks")
    w.stores.life_s = 4
    path = w.file(3 * MIB)
    w.sent(path, "--part-size", "256KiB", "--parts", "1", "--limit", "600KiB")
    assert w.only_object()[1] == open(path, "rb").read()
    assert len(w.stores.requests("GET", "/app/")) >= 2, "one SAS for all"


def test_cloudinary_chunks(t):
    w = World(t, "cloudinary-chunks")
    path = w.file(13 * MIB)
    done = w.sent(path, "--part-size", "6MiB")
    assert w.only_object()[1] == open(path, "rb").read()
    assert done["url"] == "https://res.example.com/file", done
    posts = w.stores.requests("POST", "/v1_1/")
    assert [e["headers"]["content-range"] for e in posts] == ["bytes 0-6291455/13631488", "bytes 6291456-12582911/13631488", "bytes 12582912-13631487/13631488"]
    assert len({e["headers"]["x-unique-upload-id"] for e in posts}) == 1
    assert done["verified"] != "not verified", done


def test_cloudinary_broken_connection(t):
    w = World(t, "cloudinary-chunks")
    path = w.file(7 * MIB)
    w.stores.cut(MIB, "POST /v1_1/")
    w.sent(path, "--part-size", "6MiB")
    assert w.only_object()[1] == open(path, "rb").read()


def test_cloudinary_whole(t):
    w = World(t, "cloudinary-chunks")
    path = w.file(1000)
    w.sent(path)
    assert w.only_object()[1] == open(path, "rb").read()
    assert "content-range" not in w.stores.requests("POST", "/v1_1/")[0]["headers"]


def test_uploadthing(t):
    w = World(t, "uploadthing-resumable")
    path = w.file(MIB)
    w.stores.cut(300 * KIB, "PUT /ut")
    w.sent(path)
    assert w.only_object()[1] == open(path, "rb").read()
    ranges = [e["headers"]["range"] for e in w.stores.requests("PUT", "/ut")]
    assert len(ranges) == 2 and ranges[0] == "bytes=0-" and int(ranges[1][6:-1]) > 100 * KIB, ranges


# ---- one's own SAS


class Own:
    """azure+URL: to is the container's URL, sas(rights, seconds) a token for it, get(key) what is there."""

    def __init__(self, t):
        self.stores = sessions.Stores()
        t.later(self.stores.close)
        self.to, self.sas = f"azure+{self.stores.url}/azure/cont/a/b", lambda rights="rcwd", seconds=3600: self.stores.sas("cont", rights, seconds)

    def get(self, key):
        return self.stores.objects[f"a/b/{key}"]


def own_sas(t, own):
    hoist = lib.Hoist(t.path("home"))
    wanted = {"empty": b"", "a b+ü.txt": b"text\n", "large.bin": lib.data(3 * MIB + 1)}
    for name, content in wanted.items():
        lib.write(t.path("src", name), content)

    def up(*args, sas=None):
        return hoist.up("--to", own.to, "--part-size", "1MiB", "--images", "none", *args, env={"AZURE_STORAGE_SAS_TOKEN": sas or own.sas()})

    status, events, err = up("--meta", "colour=blue", t.path("src"))
    assert status == 0, (events, err)
    for name, content in wanted.items():
        assert own.get(f"src/{name}") == content
    assert all(e["verified"] == "verified by checksum" and "?" not in e["url"] for e in lib.of_kind(events, "done")), events
    status, events, err = up("--if-exists", "fail", t.path("src"))
    assert status == 1 and {e["fault"]["name"] for e in lib.of_kind(events, "failed")} == {"exists"}, events
    for sas, fault in ((own.sas(seconds=-60), "credentials-expired"), (own.sas("r"), "access-denied"), (own.sas()[:-9] + "AAAAAA%3D", "wrong-secret")):
        status, events, err = up(t.path("src/large.bin"), sas=sas)
        failed = [e["fault"] for e in lib.of_kind(events, "failed")]
        assert status == 1 and failed[0]["name"] == fault, (fault, failed, err)
        assert sas not in str(events) and sas[-20:] not in str(events) + err
    r = hoist.run("rm", f"{own.to}/src/empty", f"{own.to}/src/none", env={"AZURE_STORAGE_SAS_TOKEN": own.sas()})
    assert r.returncode == 0 and r.out.splitlines() == [f"removed {own.to}/src/empty", f"not there {own.to}/src/none"], (r.out, r.err)


def test_own_sas(t):
    own_sas(t, Own(t))


if __name__ == "__main__":
    lib.main()
