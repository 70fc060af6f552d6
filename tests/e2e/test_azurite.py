"""Azure blobs by one's own SAS at Azurite, Microsoft's emulator: installed on demand (install.sh FOLDER azurite), for it is heavy."""
import base64
import hashlib
import hmac
import os
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request

import lib
from test_sessions import own_sas


class Azurite(lib.Server):
    name = "azurite"
    KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="      # published, of every Azurite

    def __init__(self, t):
        self.binary = os.path.join(lib.SERVERS, "node/azurite/node_modules/.bin/azurite-blob")
        if not os.path.exists(self.binary) or not shutil.which("node"):
            raise lib.Skip("Azurite is not here (tests/e2e/install.sh FOLDER azurite)")
        lib.Server.__init__(self, t.path("azurite"))
        t.later(self.stop)
        self.start()
        self.to = f"azure+{self.url}/devstoreaccount1/cont/a/b"

    def command(self):
        return ["node", self.binary, "--silent", "--location", self.folder, "--blobHost", "127.0.0.1", "--blobPort", str(self.port),
                "--skipApiVersionCheck", "--disableTelemetry"]

    def answers(self):
        if self.process.poll() is not None:
            return True
        path = "/devstoreaccount1/cont?restype=container"
        headers = {"x-ms-date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()), "x-ms-version": "2021-12-02"}
        text = f"PUT{chr(10) * 12}x-ms-date:{headers['x-ms-date']}\nx-ms-version:2021-12-02\n/devstoreaccount1/devstoreaccount1/cont\nrestype:container"
        headers["Authorization"] = "SharedKey devstoreaccount1:" + self.signed(text)
        try:
            urllib.request.urlopen(urllib.request.Request(self.url + path, method="PUT", headers=headers)).close()
            return True
        except urllib.error.HTTPError as e:
            return e.code == 409
        except OSError:
            return False

    def signed(self, text):
        return base64.b64encode(hmac.new(base64.b64decode(self.KEY), text.encode(), hashlib.sha256).digest()).decode()

    def sas(self, rights="rcwd", seconds=3600):
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
        text = "\n".join([rights, "", end, "/blob/devstoreaccount1/cont", "", "", "", "2021-12-02", "c", "", "", "", "", "", "", ""])
        return urllib.parse.urlencode({"sv": "2021-12-02", "se": end, "sr": "c", "sp": rights, "sig": self.signed(text)})

    def url_of(self, key, more=""):
        return f"{self.to.removeprefix('azure+')}/{urllib.parse.quote(key)}?{self.sas()}{more}"

    def blocks(self, key):
        try:
            with urllib.request.urlopen(self.url_of(key, "&comp=blocklist&blocklisttype=uncommitted")) as r:
                return r.read().count(b"<Block>")
        except urllib.error.HTTPError:
            return 0

    def get(self, key):
        with urllib.request.urlopen(self.url_of(key)) as r:
            return r.read()


def test_own_sas(t):
    own_sas(t, Azurite(t))


def test_kill(t):
    azurite = Azurite(t)
    hoist = lib.Hoist(t.path("home"))
    hoist.env["AZURE_STORAGE_SAS_TOKEN"] = azurite.sas()
    content = lib.data(3 << 20)
    path = lib.write(t.path("src/file.bin"), content)
    p = hoist.start("up", "--json", "--limit", "500KiB", "--to", azurite.to, "--part-size", "256KiB", "--images", "none", path)
    t.later(p.kill)
    assert lib.wait_for(lambda: azurite.blocks("file.bin") >= 3, 30)
    p.kill()
    p.communicate()
    status, events, err = hoist.up()
    done = lib.of_kind(events, "done")
    assert status == 0 and azurite.get("file.bin") == content, (events, err)
    assert "resumed" in done[0].get("note", ""), done


if __name__ == "__main__":
    lib.main()
