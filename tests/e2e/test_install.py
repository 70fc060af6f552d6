"""meson install into a folder of its own: everything is there, and the installed program works without the build tree."""
import glob
import os
import shutil
import subprocess

import lib

IMAGES = os.path.join(lib.ROOT, "tests/images")


def installed(t):
    dest = t.path("dest")
    r = subprocess.run(["meson", "install", "-C", lib.BUILD, "--no-rebuild", "--destdir", dest], capture_output=True, text=True)
    assert r.returncode == 0, r.stdout + r.stderr
    found = {os.path.relpath(os.path.join(d, f), dest) for d, _, fs in os.walk(dest) for f in fs}
    return dest, found


def one(found, name):
    hits = [f for f in found if f == name or f.endswith("/" + name)]
    assert len(hits) == 1, f"{name}: {hits} of {sorted(found)}"
    return hits[0]


def test_files(t):
    dest, found = installed(t)
    assert os.path.basename(os.path.dirname(one(found, "hoist"))) == "bin"
    assert os.path.basename(os.path.dirname(one(found, "hoist-imgproc"))) == "libexec"
    page = next(f for f in found if f.endswith(("man1/hoist.1", "man1/hoist.1.gz")))
    shown = subprocess.run(["man", "-P", "cat", "-l", os.path.join(dest, page)], capture_output=True, text=True, env={**os.environ, "MANWIDTH": "80"})
    assert shown.returncode == 0 and "SYNOPSIS" in shown.stdout.upper() or not shutil.which("man"), shown.stderr
    brokers = {os.path.basename(f) for f in found if "/share/hoist/brokers/" in f}
    assert brokers == set(os.listdir(f"{lib.ROOT}/assets/brokers")), sorted(brokers)
    assert len(found) == 3 + len(brokers), sorted(found)


def test_the_installed_program_finds_its_worker(t):
    dest, found = installed(t)
    server = t.server(lib.Rclone)
    hoist = t.hoist(server, binary=os.path.join(dest, one(found, "hoist")))
    photo = shutil.copy(f"{IMAGES}/photo/ladybird.jpg", t.path("photo.jpg"))
    status, events, err = hoist.up("--to", "s3://bucket", photo)
    assert status == 0, (events, err)
    prepared = lib.of_kind(events, "prepared")
    assert prepared and prepared[0].get("recipe"), f"the picture went up as it was: {events}"


def test_a_person_without_home_or_config(t):
    dest, found = installed(t)
    hoist = os.path.join(dest, one(found, "hoist"))
    r = subprocess.run([hoist, "--version"], env={"PATH": "/usr/bin"}, capture_output=True, text=True)
    assert r.returncode == 0 and r.stdout.startswith("hoist "), r
    r = subprocess.run([hoist], env={"PATH": "/usr/bin", "HOME": t.path("home")}, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert r.returncode in (2, 3) and r.stderr, "the dashboard needs a terminal, and says so"
    assert not glob.glob(t.path("home/.config/*"))


if __name__ == "__main__":
    lib.main()
