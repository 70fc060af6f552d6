"""tus servers that are too heavy for every run: tuspyserver, and rustus, which joins partial uploads and says that it checks sums."""
import os

import lib
from proxy import Proxy
from test_tus import MIB, TusNode, World, faults

HERE = os.path.dirname(os.path.abspath(__file__))


class TusPy(TusNode):
    name, path = "tuspyserver", "/files/"

    def command(self):
        python = os.path.join(lib.SERVERS, "tuspy/bin/python")
        if not os.path.exists(os.path.join(lib.SERVERS, "tuspy/bin/uvicorn")):
            raise lib.Skip("tuspyserver is not here (tests/e2e/install.sh FOLDER tus-more)")
        return [python, os.path.join(HERE, "tuspy-server.py"), self.data, str(self.port)]


class Rustus(TusNode):
    name, path = "rustus", "/files"

    def command(self):
        binary = os.path.join(lib.SERVERS, "bin/rustus")
        if not os.path.exists(binary):
            raise lib.Skip("rustus is not here (tests/e2e/install.sh FOLDER tus-more)")
        info = os.path.join(self.folder, "info")
        os.makedirs(info, exist_ok=True)
        return [binary, "--host", "127.0.0.1", "--port", str(self.port), "--url", "/files", "--data-dir", self.data, "--info-dir", info,
                "--log-level", "WARN"]


def stored(server):
    """The contents below its folder, smallest first."""
    found = []
    for where, _, names in os.walk(server.data):
        found += [open(os.path.join(where, n), "rb").read() for n in names if not n.endswith((".info", ".lock", ".json"))]
    return sorted(found, key=len)


def uploads_and_resumes(t, kind):
    server = t.server(kind)
    proxy = Proxy(server.port)
    t.later(proxy.close)
    w = World(t, server, f"tus+{proxy.url}{kind.path}")
    wanted = [b"", lib.data(5000), lib.data(3 * MIB, seed=3), lib.data(40 * MIB, seed=4)]
    for i, content in enumerate(wanted):
        w.write(f"file ü {i}", content)
    done = w.sent(w.src)
    assert len(done) == len(wanted)
    found = stored(server)
    for content in wanted:
        assert content in found, f"{len(content)} bytes are not there: {[len(x) for x in found]}"
    proxy.rule("reset", "PATCH", times=1)
    content = lib.data(12 * MIB, seed=5)
    status, events, err = w.up("--parts", "1", w.write("broken.bin", content))
    assert status == 0, (faults(events), err)
    assert content in stored(server)


def test_tuspyserver(t):
    uploads_and_resumes(t, TusPy)


def test_rustus(t):
    uploads_and_resumes(t, Rustus)


if __name__ == "__main__":
    lib.main()
