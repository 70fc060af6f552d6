"""assets/demo.sh, as the README tells a newcomer to run it (without a terminal): twice, and nothing is left running."""
import glob
import os
import re
import subprocess
import time

import lib

DEMO = os.path.join(lib.ROOT, "assets/demo.sh")


def run(*args):
    r = subprocess.run([DEMO, *args], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=900)
    assert r.returncode == 0, r.stdout + r.stderr
    return r.stdout


def check(out):
    assert out.index("This demo") < out.index("The server is"), "it says first what it does"
    pid = int(re.search(r"process (\d+)", out)[1])
    assert not os.path.exists(f"/proc/{pid}"), "the server still runs"
    samples = [p for p in glob.glob(os.path.join(lib.ROOT, "assets/samples/*"))]
    objects = glob.glob(os.path.join(lib.ROOT, "build/demo/objects/demo/samples/*"))
    assert len(samples) == len(objects) >= 12, (samples, objects)
    large = os.path.join(lib.ROOT, "build/demo/objects/demo/large.bin")
    assert open(large, "rb").read() == open(os.path.join(lib.ROOT, "build/demo/files/large.bin"), "rb").read()
    for path in [*objects, large]:
        assert os.path.relpath(path, lib.ROOT) in out, f"{path} is not told"


def test_twice(t):
    check(run("--no-tui"))
    began = time.monotonic()
    check(run("--no-tui"))
    print(f"# the second run took {time.monotonic() - began:.1f} s")


def test_options(t):
    for args in (["--tui"], ["--no-tui", "more"]):
        r = subprocess.run([DEMO, *args], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert r.returncode == 2 and "demo.sh:" in r.stderr, r
    assert "--no-tui" in run("--help")


if __name__ == "__main__":
    lib.main()
