"""WebDAV and Nextcloud: nginx, rclone and WsgiDAV as they are, and a strict Nextcloud of our own (nextcloud.py).

nginx forgets If-None-Match and answers 500 without a parent folder, rclone takes MKCOL twice, WsgiDAV wants Digest: each is here for its oddity.
"""
import os
import subprocess

import lib
from nextcloud import MIB, PASSWORD, TOKEN, USER, Nextcloud
from proxy import Proxy

LARGE = 20 * MIB + 321


class DavServer(lib.Server):
    """A server whose files lie in a folder; no S3 about it."""

    def __init__(self, folder):
        super().__init__(folder)
        self.root = os.path.join(self.folder, "files")
        os.makedirs(self.root, exist_ok=True)

    def answers(self):
        import http.client
        if self.process.poll() is not None:
            return True
        try:
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=3)
            c.request("OPTIONS", "/")
            return c.getresponse().status > 0
        except OSError:
            return False

    def client(self):
        return None

    def make_bucket(self, bucket):
        pass

    def keys(self, bucket, prefix=""):
        return {k: len(v) for k, v in stored(self, "").items() if k.startswith(prefix)}

    def get(self, bucket, key):
        return open(os.path.join(self.root, key), "rb").read()

    def open_uploads(self, bucket):
        return []                       # what is temporary shows as a file


class Nginx(DavServer):
    name = "nginx"

    def command(self):
        root = os.path.join(lib.SERVERS, "nginx")
        module, binary = f"{root}/usr/lib/nginx/modules/ngx_http_dav_ext_module.so", f"{root}/usr/sbin/nginx"
        if not os.path.exists(module) or not os.path.exists(binary):
            raise lib.Skip("nginx with its dav-ext module is not here")
        d = self.folder
        hashed = subprocess.run(["openssl", "passwd", "-apr1", PASSWORD], capture_output=True, text=True, check=True).stdout
        with open(f"{d}/htpasswd", "w") as f:
            f.write(f"{USER}:{hashed}")
        os.makedirs(f"{d}/tmp", exist_ok=True)
        user = "user root;" if os.getuid() == 0 else ""
        with open(f"{d}/nginx.conf", "w") as f:
            f.write(f"""load_module {module};
{user} daemon off; worker_processes 1; pid {d}/nginx.pid; error_log {d}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; client_max_body_size 0; client_body_temp_path {d}/tmp;
  proxy_temp_path {d}/tmp/p; fastcgi_temp_path {d}/tmp/f; uwsgi_temp_path {d}/tmp/u; scgi_temp_path {d}/tmp/s;
  server {{
    listen 127.0.0.1:{self.port};
    location / {{
      root {self.root}; auth_basic "hoist"; auth_basic_user_file {d}/htpasswd;
      dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_methods PROPFIND OPTIONS; dav_access user:rw group:r all:r;
    }}
    location /bare/ {{ root {self.root}; dav_methods PUT DELETE MKCOL COPY MOVE; }}
  }}
}}
""")
        return [binary, "-c", f"{d}/nginx.conf", "-p", d, "-e", f"{d}/error.log"]


class RcloneDav(DavServer):
    name = "rclone"

    def command(self):
        return [os.path.join(lib.SERVERS, "venv/bin/rclone"), "--config", "/dev/null", "serve", "webdav", "--addr", f"127.0.0.1:{self.port}",
                "--user", USER, "--pass", PASSWORD, self.root]


class WsgiDav(DavServer):
    """Digest alone."""
    name = "wsgidav"

    def command(self):
        binary = os.path.join(lib.SERVERS, "venv/bin/wsgidav")
        if not os.path.exists(binary):
            raise lib.Skip("WsgiDAV is not here")
        with open(f"{self.folder}/wsgidav.yaml", "w") as f:
            f.write(f"""host: 127.0.0.1
port: {self.port}
server: cheroot
provider_mapping: {{ "/": "{self.root}" }}
http_authenticator: {{ accept_basic: false, accept_digest: true, default_to_digest: true }}
simple_dc: {{ user_mapping: {{ "*": {{ "{USER}": {{ password: "{PASSWORD}" }} }} }} }}
verbose: 1
""")
        return [binary, "--config", f"{self.folder}/wsgidav.yaml"]


KINDS = [Nginx, RcloneDav, WsgiDav]


def home(t, name="home"):
    h = lib.Hoist(t.path(name))
    h.env["HOIST_DAV_PASSWORD"] = PASSWORD
    return h


def to(port, path="/base"):
    return ["--to", f"dav+http://127.0.0.1:{port}{path}", "--user", USER, "--images", "none"]


def stored(server, folder="base"):
    base = os.path.join(server.root, folder)
    return {os.path.relpath(os.path.join(where, n), base): open(os.path.join(where, n), "rb").read()
            for where, _, names in os.walk(base) for n in names}


def faults(events):
    return [e["fault"]["name"] for e in lib.of_kind(events, "failed")]


def odd_tree(t, odd="?"):
    src = t.path("src")
    lib.write(f"{src}/empty", b"")
    lib.write(f"{src}/two words/100% sure&a=b+c.txt", b"a few bytes\n")
    lib.write(f"{src}/sub/deeper/\u00fcber \u65e5\u672c #1{odd}.bin", lib.data(300000))
    lib.write(f"{src}/{'n' * 240}.txt", b"a long name\n")
    lib.write(f"{src}/large.bin", lib.data(3 * MIB + 5, seed=2))
    return src


def a_server(t, kind):
    """A tree arrives as it is, again, and not again; one file is removed."""
    # WsgiDAV decodes Destination before it looks for its query
    server, hoist, src = t.server(kind), home(t), odd_tree(t, "" if kind is WsgiDav else "?")
    wanted = lib.tree(src)
    status, events, err = hoist.up(*to(server.port), src)
    assert status == 0, f"{status} {err} {[e for e in events if e['event'] in ('failed', 'retry')]}"
    assert stored(server) == wanted, sorted(stored(server))
    done = lib.of_kind(events, "done")
    assert {e["verified"] for e in done} == {"size only"}, done
    assert f"http://127.0.0.1:{server.port}/base/src/two%20words/100%25%20sure%26a%3Db%2Bc.txt" in [e["url"] for e in done]

    lib.write(f"{src}/large.bin", lib.data(MIB, seed=3))            # another one of the same name
    for choice, fresh in (("fail", "home-2"), ("skip", "home-3")):
        status, events, _ = home(t, fresh).up(*to(server.port), "--if-exists", choice, f"{src}")
        assert faults(events) == (["exists"] * 5 if choice == "fail" else []), events
        assert stored(server) == wanted, f"--if-exists {choice} replaced something"
    status, _, err = home(t, "home-4").up(*to(server.port), src)
    assert status == 0 and stored(server) == lib.tree(src), err

    where = f"dav+http://127.0.0.1:{server.port}/base/src"
    r = hoist.run("rm", "--user", USER, f"{where}/two words/100% sure&a=b+c.txt")
    assert r.returncode == 0 and len(stored(server)) == len(wanted) - 1, r.err
    r = hoist.run("rm", "--user", USER, f"{where}/sub")
    assert r.returncode != 0 and os.path.isdir(f"{server.root}/base/src/sub"), "a folder was removed"


def test_nginx(t):
    a_server(t, Nginx)


def test_rclone(t):
    a_server(t, RcloneDav)


def test_wsgidav(t):
    a_server(t, WsgiDav)


def test_wrong_password(t):
    src = lib.write(t.path("src/a.txt"), b"x")
    for kind in KINDS:
        server, hoist = t.server(kind), home(t, f"home-{kind.name}")
        hoist.env["HOIST_DAV_PASSWORD"] = "not-hunter2"
        status, events, err = hoist.up(*to(server.port), src)
        assert status != 0 and faults(events) == ["wrong-secret"], (kind.name, events)
        assert "401" in lib.of_kind(events, "failed")[0]["fault"]["cause"]
        assert "not-hunter2" not in err + str(events), "the password is shown"
        r = hoist.run("queue", "--json")
        assert "not-hunter2" not in r.out + str(hoist.rows("SELECT * FROM batch")) + str(hoist.rows("SELECT * FROM job"))
        assert not os.listdir(server.root)


def test_no_secret_in_the_clear(t):
    src = lib.write(t.path("src/a.txt"), b"x")
    r = home(t).run("up", "--to", "dav+http://files.example.net/x", "--user", USER, src)
    assert r.returncode == 2 and "--dav-auth" in r.err, (r.returncode, r.err)


def test_bearer(t):
    cloud = Nextcloud(bearer=True)
    t.later(cloud.close)
    src = lib.write(t.path("src/a.txt"), b"hello")
    hoist = lib.Hoist(t.path("home"))
    hoist.env["HOIST_DAV_TOKEN"] = TOKEN
    status, events, err = hoist.up("--to", f"dav+{cloud.url}", src)
    assert status == 0 and cloud.files["/a.txt"].content == b"hello", (err, events)
    hoist.env["HOIST_DAV_TOKEN"] = "another"
    status, events, _ = hoist.up("--to", f"dav+{cloud.url}/x", src)
    assert status == 1 and faults(events) == ["wrong-secret"], events


def test_digest_sends_a_body_once(t):
    server = t.server(WsgiDav)
    proxy = Proxy(server.port)
    t.later(proxy.close)
    src = lib.write(t.path("src/large.bin"), lib.data(LARGE))
    status, events, err = home(t).up(*to(proxy.port), src)
    assert status == 0 and stored(server) == {"large.bin": lib.data(LARGE)}, (err, events)
    sizes = [e["bytes"] for e in proxy.log if e["method"] == "PUT" and e["status"] != 401]
    asked = [e["bytes"] for e in proxy.log if e["method"] == "PUT" and e["status"] == 401 and e["head"].get("authorization", "").startswith("Digest")]
    assert sizes == [LARGE] and not asked, [(e["method"], e["status"], e["bytes"]) for e in proxy.log]
    assert not lib.of_kind(events, "retry"), events


def test_killed_in_the_middle(t):
    """The name never has a short file, and nothing temporary stays."""
    for kind in KINDS:
        server = t.server(kind)
        proxy = Proxy(server.port)
        t.later(proxy.close)
        hoist = home(t, f"home-{kind.name}")
        content = lib.data(LARGE)
        src = lib.write(t.path("src/large.bin"), content)
        slow = proxy.rule("slow-read", "PUT", times=2, bps=8 * MIB)
        p = hoist.start("up", "--json", *to(proxy.port), src)
        assert lib.wait_for(lambda: slow.times < 2 and proxy.in_flight == 1, 20)
        lib.wait_for(lambda: any(os.path.getsize(os.path.join(server.root, "base", n)) for n in os.listdir(f"{server.root}/base"))
                     if os.path.isdir(f"{server.root}/base") else False, 1)
        p.kill()
        p.communicate()
        assert "large.bin" not in stored(server), f"{kind.name}: a short file under its name"
        slow.times = 0
        assert lib.wait_for(lambda: proxy.in_flight == 0, 10)
        status, events, err = hoist.up()
        assert status == 0 and stored(server) == {"large.bin": content}, (kind.name, err, sorted(stored(server)))


def test_cancelled_leaves_nothing(t):
    server = t.server(RcloneDav)
    proxy = Proxy(server.port)
    t.later(proxy.close)
    hoist = home(t)
    src = lib.write(t.path("src/large.bin"), lib.data(LARGE))
    slow = proxy.rule("slow-read", "PUT", times=1, bps=8 * MIB)
    p = hoist.start("up", "--json", *to(proxy.port), src)
    assert lib.wait_for(lambda: slow.times == 0 and os.path.isdir(f"{server.root}/base") and os.listdir(f"{server.root}/base"), 20)
    p.kill()
    p.communicate()
    assert lib.wait_for(lambda: proxy.in_flight == 0, 10)
    r = hoist.run("cancel", "--all")
    assert r.returncode == 0, r.err
    hoist.up()
    assert stored(server) == {}, sorted(stored(server))


def test_lost_answers(t):
    """What was renamed is not sent again; what was not, is renamed then."""
    server = t.server(RcloneDav)
    for name, rule in (("lost", ("lose-answer", "MOVE")), ("cut", ("reset", "MOVE")), ("put", ("lose-answer", "PUT"))):
        proxy = Proxy(server.port)
        t.later(proxy.close)
        proxy.rule(*rule, times=1)
        content = lib.data(2 * MIB, seed=len(name))
        src = lib.write(t.path(f"src/{name}.bin"), content)
        status, events, err = home(t, f"home-{name}").up(*to(proxy.port), src)
        assert status == 0 and stored(server)[f"{name}.bin"] == content, (name, err, events)
        assert proxy.count("PUT") == (2 if name == "put" else 1) and proxy.count("MOVE") == 1, name
        assert not [n for n in stored(server) if "hoist-" in n], sorted(stored(server))


def test_server_that_cannot_rename(t):
    server = t.server(RcloneDav)
    proxy = Proxy(server.port)
    t.later(proxy.close)
    proxy.rule("answer", "MOVE", times=99, answer=b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
    src = t.path("src")
    lib.write(f"{src}/a.bin", lib.data(MIB))
    hoist = home(t)
    status, events, err = hoist.up(*to(proxy.port), src)
    assert status == 0 and stored(server) == lib.tree(src), (err, events)
    assert "in place" in lib.of_kind(events, "done")[0].get("note", "") or "in place" in str(hoist.rows("SELECT note FROM job"))
    lib.write(f"{src}/b.bin", lib.data(MIB, seed=4))
    status, _, _ = hoist.up(*to(proxy.port), f"{src}/b.bin")
    assert status == 0 and len([e for e in proxy.log if e["method"] == "MOVE"]) == 1, "it was not learned"


def test_without_propfind(t):
    """nginx without dav-ext and without a password: HEAD in its place."""
    server = t.server(Nginx)
    os.makedirs(f"{server.root}/bare")
    src = lib.write(t.path("src/a.bin"), lib.data(MIB))
    proxy = Proxy(server.port)
    t.later(proxy.close)
    where = ["--to", f"dav+http://127.0.0.1:{proxy.port}/bare/x", "--if-exists", "fail"]
    status, events, err = lib.Hoist(t.path("home")).up(*where, src)
    assert status == 0 and stored(server, "bare/x") == {"a.bin": lib.data(MIB)}, (err, events)
    assert lib.of_kind(events, "done")[0]["verified"] == "size only" and proxy.count("HEAD") > 0
    status, events, err = lib.Hoist(t.path("home-2")).up(*where, src)
    assert faults(events) == ["exists"], (err, events)


# ---------------------------------------------------------------------------------------------------------------- Nextcloud


def a_cloud(t, **kw):
    cloud = Nextcloud(**kw)
    t.later(cloud.close)
    return cloud, ["--to", f"dav+{cloud.url}/Photos/new", "--part-size", "5MiB", "--images", "none"]


def test_nextcloud(t):
    cloud, where = a_cloud(t)
    src = odd_tree(t, "")
    lib.write(f"{src}/video.bin", lib.data(LARGE))
    os.utime(f"{src}/video.bin", (1700000000, 1700000000))
    status, events, err = home(t).up(*where, src)
    assert status == 0, (err, events)
    assert {k: v.content for k, v in cloud.files.items()} == {f"/Photos/new/{k}": v for k, v in lib.tree(src).items()}, sorted(cloud.files)
    assert cloud.files["/Photos/new/src/video.bin"].mtime == 1700000000 and not cloud.uploads
    assert sorted(os.path.basename(p) for p in cloud.chunks_put()) == ["00001", "00002", "00003", "00004", "00005"]
    assert not cloud.faults, cloud.faults
    assert cloud.files["/Photos/new/src/empty"].checksum == "SHA1:da39a3ee5e6b4b0d3255bfef95601890afd80709"
    for choice, wanted in (("fail", ["exists"] * 6), ("skip", [])):
        status, events, _ = home(t, f"home-{choice}").up(*where, "--if-exists", choice, src)
        assert faults(events) == wanted and not cloud.uploads, events
    assert home(t, "home-again").up(*where, src)[0] == 0 and not cloud.faults


def test_owncloud_checksum(t):
    cloud, where = a_cloud(t, owncloud=True)
    src = lib.write(t.path("src/a.bin"), lib.data(2 * MIB))
    status, events, err = home(t).up(*where, src)
    assert status == 0 and lib.of_kind(events, "done")[0]["verified"] == "verified by checksum", (err, events)


def test_nextcloud_resumes(t):
    cloud, where = a_cloud(t)
    content = lib.data(40 * MIB)
    src = lib.write(t.path("src/video.bin"), content)
    hoist = home(t)
    cloud.bps = 12 * MIB
    p = hoist.start("up", "--json", "--parts", "2", *where, src)
    assert lib.wait_for(lambda: len(cloud.chunks_put()) >= 3, 30)
    p.kill()
    p.communicate()
    before, cloud.bps = cloud.chunks_put(), 0
    assert len(before) < 8 and not cloud.files
    status, events, err = hoist.up()
    assert status == 0 and cloud.files["/Photos/new/video.bin"].content == content, (err, events)
    assert not cloud.uploads and not cloud.faults, cloud.faults
    twice = {k for k, n in cloud.chunks_put().items() if n > 1}
    assert not twice & set(before), f"sent again: {twice & set(before)}"
    assert "resumed" in str(hoist.rows("SELECT note FROM job"))


def test_nextcloud_forgets_after_a_day(t):
    cloud, where = a_cloud(t)
    content = lib.data(17 * MIB)
    src = lib.write(t.path("src/video.bin"), content)
    # a file of the same size is there already: gone chunks do not make it ours
    status, _, err = home(t, "home-old").up(*where, lib.write(t.path("old/video.bin"), lib.data(17 * MIB, seed=9)))
    assert status == 0, err
    hoist = home(t)
    cloud.bps = 12 * MIB
    p = hoist.start("up", "--json", "--parts", "1", *where, src)
    assert lib.wait_for(lambda: len(cloud.chunks_put()) >= 6, 30)
    p.kill()
    p.communicate()
    cloud.bps, cloud.clock_s = 0, 25 * 3600
    status, events, err = hoist.up()
    assert status == 0 and cloud.files["/Photos/new/video.bin"].content == content and not cloud.uploads, (err, events)


def test_nextcloud_lost_move(t):
    cloud, where = a_cloud(t)
    cloud.mute_moves = 1
    src = lib.write(t.path("src/video.bin"), lib.data(11 * MIB))
    status, events, err = home(t).up(*where, src)
    assert status == 0 and cloud.count("MOVE") == 1 and len(cloud.files) == 1, (cloud.log, events)
    assert set(cloud.chunks_put().values()) == {1}


def test_nextcloud_troubles(t):
    """Maintenance and locks pass; a full account is told, and what was sent of it stays for later."""
    cloud, where = a_cloud(t)
    cloud.maintenance, cloud.locked = 1, 1
    src = lib.write(t.path("src/video.bin"), lib.data(11 * MIB))
    status, events, err = home(t).up(*where, src)
    assert status == 0 and len(cloud.files) == 1 and not cloud.faults, (err, events)
    assert {e["fault"] if isinstance(e["fault"], str) else e["fault"]["name"] for e in lib.of_kind(events, "retry")} >= {"conflict"}, events

    cloud, where = a_cloud(t, quota=8 * MIB)
    hoist = home(t, "home-full")
    status, events, err = hoist.up(*where, src)
    assert status == 1 and faults(events) == ["storage-full"] and not cloud.files, (err, events)
    cloud.quota = None
    status, events, err = hoist.run("retry", "--all").returncode, *hoist.up()[1:]
    assert len(cloud.files) == 1 and set(cloud.chunks_put().values()) == {1}, (err, events)


def test_cloud_without_chunks(t):
    cloud, where = a_cloud(t, chunking=False)
    src = lib.write(t.path("src/video.bin"), lib.data(11 * MIB))
    status, events, err = home(t).up(*where, src)
    assert status == 0 and cloud.files["/Photos/new/video.bin"].content == lib.data(11 * MIB), (err, events)


if __name__ == "__main__":
    lib.main()
