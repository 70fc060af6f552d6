#!/usr/bin/env python3
"""Pictures that are broken, bombs, or no pictures at all: hoist images ends, says what it did, stays within bounds, and passes nothing cut off as made."""
import contextlib
import os
import random
import shutil
import stat
import subprocess
import threading
import time

import lib

import images
import pictures
from images import Findings, Run
from pictures import Picture
from PIL import Image

IMAGES = os.path.join(lib.ROOT, "tests/images")
MEMORY_MAX = 1_500_000_000
# The sanitizer's own memory is not what is measured.
LEAN = {"ASAN_OPTIONS": "abort_on_error=0:detect_leaks=1:exitcode=99:quarantine_size_mb=8:malloc_context_size=2"}


class Memory:
    """The most memory that this process's descendants named hoist had at once, in bytes."""

    def __enter__(self):
        self.most, self.stop = 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def family(self):
        todo = [os.getpid()]
        while todo:
            pid = todo.pop()
            if pid != os.getpid():
                yield pid
            with contextlib.suppress(OSError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
                        todo += map(int, f.read().split())

    def watch(self):
        while not self.stop.wait(0.02):
            total = 0
            for pid in self.family():
                with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/statm", encoding="ascii") as f:
                    total += int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            self.most = max(self.most, total)

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        print(f"# at most {self.most / 1e6:.0f} MB in all processes")


def bounded(t, folder, *args, **kw):
    with Memory() as memory:
        run = Run(t.folder, [folder], *args, env=LEAN, status=(0, 1), **kw)
    assert memory.most < MEMORY_MAX, f"{memory.most} bytes"
    return run


def below(folder):
    return sorted(os.path.join(where, name) for where, _, names in os.walk(folder) for name in names)


def check_hostile(run, folder, cut):
    """Each file has its event; what an independent strict reader calls cut is never made into something; what is made can be read."""
    found, made = Findings(), 0
    for path in below(folder):
        event, p = run.events.get(path), Picture(path)
        found.need(event is not None, path, "not a word about it")
        for o in run.objects.get(path, []):
            if not o.encoded:
                continue
            made += 1
            found.need(not (p.broken or p.huge) or not cut, path, f"{o.recipe}, though {p.broken or p.size}")
            result = Picture(o.path)
            found.need(result.fine, path, f"{o.recipe}: the result is not readable: {result.broken}")
        if event and not run.objects.get(path):
            found.need(event.get("failed") or event.get("note"), path, "no objects and no word why")
    print(f"# {made} made")
    found.end(len(below(folder)))


def test_broken(t):
    check_hostile(bounded(t, f"{IMAGES}/broken"), f"{IMAGES}/broken", cut=True)


def test_bombs(t):
    check_hostile(bounded(t, f"{IMAGES}/bomb"), f"{IMAGES}/bomb", cut=True)


def test_bombs_with_vectors(t):
    """SVG that expands without end, or is as large as a country, when SVG is asked for."""
    check_hostile(bounded(t, f"{IMAGES}/bomb", "--images", "web vectors=yes"), f"{IMAGES}/bomb", cut=True)


def victims():
    """One small whole file of each kind."""
    first = {}
    for path in images.files():
        p = images.source(path)
        if p.fine and p.converted and 5000 < p.bytes < 120_000 and not path.startswith(f"{IMAGES}/names"):
            first.setdefault((p.format, p.animated), path)
    return sorted(first.values())


def test_cut_anywhere(t):
    folder = t.path("cut")
    os.makedirs(folder)
    for n, path in enumerate(victims()):
        content, end = open(path, "rb").read(), os.path.splitext(path)[1]
        for length in sorted({0, 1, 2, 3, 4, 8, 12, 20, 64, 200, *(len(content) * i // 16 for i in range(1, 16)), len(content) - 1}):
            lib.write(f"{folder}/{n}-{length:07}{end}", content[:length])
    check_hostile(bounded(t, folder), folder, cut=True)


def test_bits_flipped(t):
    folder, dice = t.path("flipped"), random.Random(5)
    os.makedirs(folder)
    for n, path in enumerate(victims()):
        content, end = open(path, "rb").read(), os.path.splitext(path)[1]
        for seed in range(24):
            bad = bytearray(content)
            reach = len(bad) if seed % 2 else min(len(bad), 512)        # headers are worth as much as all the rest
            for _ in range(1 + seed % 5 * 4):
                bad[dice.randrange(reach)] ^= 1 << dice.randrange(8)
            lib.write(f"{folder}/{n}-{seed:02}{end}", bytes(bad))
    check_hostile(bounded(t, folder), folder, cut=False)


def test_48_megapixels(t):
    """As large as a telephone's: made, upright size, within bounds."""
    large = next(p for p in (images.source(f) for f in images.files()) if p.fine and p.size[0] * p.size[1] > 20_000_000 and p.format in ("JPEG", "MPO"))
    folder = t.path("large")
    os.makedirs(folder)
    with Image.open(large.path) as im:
        im = im.convert("RGB").resize((8064, 6048), Image.BICUBIC)
    Image.blend(im, Image.effect_noise(im.size, 24).convert("RGB"), 0.1).save(f"{folder}/a.jpg", quality=90)
    o = bounded(t, folder).one(f"{folder}/a.jpg")
    assert o.encoded and images.size_is(Picture(o.path).size, (1920, 1440)), o.about


def test_names(t):
    """Dashes, brackets, blanks, line breaks, bytes that are no UTF-8, and no extension: each is that file, and its result has a name of its own."""
    folder = os.fsencode(shutil.copytree(f"{IMAGES}/names", t.path("names")))
    some = open(f"{IMAGES}/jpeg/base-800.jpg", "rb").read()
    for name in (b"line\nbreak.jpg", b"caf\xe9.jpg", b"\x1b[31m.jpg", b"a.jpg", b"a.webp", b"x" * 240 + b".jpg"):
        with open(os.path.join(folder, name), "wb") as f:
            f.write(some)
    folder = os.fsdecode(folder)
    run = bounded(t, folder)
    outs = [o.out for objects in run.objects.values() for o in objects if o.out]
    assert len(outs) == len(set(outs)), "two pictures, one file"
    found = Findings()
    for path in below(folder):
        p, event = Picture(path), run.events.get(path)
        found.need(event is not None, path, "not a word about it")
        for o in run.objects.get(path, []):
            found.need(o.encoded == p.fine, path, f"{o.recipe or o.note}")
            if o.out:
                found.need(os.path.realpath(o.out).startswith(os.path.realpath(run.out) + "/"), path, f"written to {o.out}")
    found.end(len(below(folder)))


def test_what_is_no_file(t):
    """A FIFO, a link that loops, a folder called like a picture, a file that may not be read: said, and the rest goes on."""
    folder = t.path("odd")
    good = lib.write(f"{folder}/good.jpg", open(f"{IMAGES}/jpeg/base-800.jpg", "rb").read())
    os.mkfifo(f"{folder}/fifo.jpg")
    os.symlink("loop.jpg", f"{folder}/loop.jpg")
    os.makedirs(f"{folder}/x.jpg")
    locked = shutil.copy(good, f"{folder}/locked.jpg")
    os.chmod(locked, 0)
    run = bounded(t, folder, timeout=120)
    assert run.one(good).encoded
    for name in ("fifo.jpg", "loop.jpg"):
        assert not run.objects.get(f"{folder}/{name}")
    os.chmod(locked, stat.S_IRUSR)
    assert os.access(locked, os.R_OK) and (os.geteuid() == 0 or not run.objects.get(locked))


def test_grows_while_it_is_read(t):
    """Pictures that are still being written never become half pictures."""
    folder = t.path("growing")
    content = open(f"{IMAGES}/photo/ladybird.jpg", "rb").read()
    paths = [lib.write(f"{folder}/{i:02}.jpg", content[:10000]) for i in range(12)]
    stop = threading.Event()

    def write():
        at = 10000
        while at < len(content) and not stop.is_set():
            for path in paths:
                with open(path, "ab") as f:
                    f.write(content[at:at + 16384])
            at += 16384
            time.sleep(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        run = bounded(t, folder)
    finally:
        stop.set()
        writer.join()
    for path in paths:
        for o in run.objects.get(path, []):
            if o.encoded:
                score = pictures.ssim(Picture(o.path).look(), pictures.scaled(Picture(f"{IMAGES}/photo/ladybird.jpg").look(), Picture(o.path).size))
                assert score > 0.9, f"{path}: half a picture, SSIM {score:.2f}"


def worker_that(t, what):
    """A worker that does this first, whenever it is started."""
    real = os.path.join(lib.BUILD, "imgproc/hoist-imgproc")
    path = lib.write(t.path("worker"), f"#!/bin/sh\n{what}\nexec '{real}' \"$@\"\n".encode())
    os.chmod(path, 0o755)
    return {"HOIST_IMGPROC": path}


def test_worker_that_dies_is_replaced(t):
    env = worker_that(t, f"[ -e '{t.path('died')}' ] || {{ touch '{t.path('died')}'; kill -9 $$; }}")
    run = Run(t.folder, [f"{IMAGES}/jpeg/base-800.jpg", f"{IMAGES}/png/photo-451.png"], env={**LEAN, **env})
    assert os.path.exists(t.path("died")) and all(o.encoded for objects in run.objects.values() for o in objects) and len(run.objects) == 2, run.events


def test_worker_that_always_dies(t):
    """No picture is made, and none takes its place; hoist says what is wrong, and ends."""
    run = Run(t.folder, [f"{IMAGES}/jpeg/base-800.jpg"], env={**LEAN, **worker_that(t, "kill -9 $$")}, status=(3,), timeout=120)
    assert "died before it was ready" in run.err and "hoist doctor" in run.err, run.err
    assert not run.events and not below(run.out), run.events


def test_killed_leaves_nothing(t):
    """A killed hoist takes its workers with it, and leaves no half picture under the name of a whole one."""
    hoist = lib.Hoist(t.path("home"))
    p = hoist.start("images", "--json", "--out", t.path("out"), f"{IMAGES}/photo")
    t.later(p.kill)
    worker = lib.wait_for(lambda: subprocess.run(["pgrep", "-P", str(p.pid)], capture_output=True, text=True, check=False).stdout.split())
    assert worker, "no worker"
    p.kill()
    p.wait()
    assert lib.wait_for(lambda: not any(os.path.exists(f"/proc/{w}/exe") and os.path.realpath(f"/proc/{w}/exe").endswith("hoist-imgproc") for w in worker)), "a worker is left"
    for name in below(t.path("out")):       # but for what was under way, in a hidden folder
        assert "/." in name or Picture(name).fine, f"{name} is half a picture"


if __name__ == "__main__":
    images.main()
