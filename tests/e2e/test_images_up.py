#!/usr/bin/env python3
"""Pictures on their way to a real S3 server: several objects of one file, what fails, what a restart repeats, and stopping in the middle."""
import contextlib
import os
import shutil
import signal

import lib

import images
import pictures
from pictures import Picture

IMAGES = os.path.join(lib.ROOT, "tests/images")


class World:
    def __init__(self, t):
        self.t, self.server = t, t.server(lib.Rclone)
        self.hoist = t.hoist(self.server)
        self.src = t.path("src")
        os.makedirs(self.src)

    def take(self, *names):
        return [shutil.copy(f"{IMAGES}/{n}", self.src) for n in names]

    def up(self, *args, status=0, **kw):
        got, events, err = self.hoist.up("--to", "s3://bucket/p", *args, **kw)
        assert got == status, f"exit {got}: {err[-2000:]}\n{events}"
        return events

    def objects(self):
        return {k.removeprefix("p/"): self.server.get("bucket", k) for k in self.server.keys("bucket")}

    def picture(self, key):
        return Picture(lib.write(self.t.path("got", key), self.server.get("bucket", f"p/{key}")))

    def type(self, key):
        return self.server.head("bucket", f"p/{key}")["ContentType"]


def test_renditions_and_the_original(t):
    """One source, three objects under keys of their own; what each is, its content type, and one done event that names them all."""
    w = World(t)
    [path] = w.take("photo/ladybird.jpg")
    p = images.source(path)
    events = w.up("--renditions", "web,thumb", "--keep-original", path)
    found = w.objects()
    assert sorted(found) == ["ladybird@thumb.webp", "ladybird@web.webp", "originals/ladybird.jpg"], sorted(found)
    assert found["originals/ladybird.jpg"] == open(path, "rb").read()
    for key, edge in (("ladybird@web.webp", 1920), ("ladybird@thumb.webp", 320)):
        assert images.size_is(w.picture(key).size, p.fitted(edge)) and w.type(key) == "image/webp"
    [done] = lib.of_kind(events, "done")
    told = {o["name"]: o for o in done["objects"]}
    assert set(told) == {"web", "thumb", "original"}, done
    assert {o["key"].removeprefix("p/") for o in told.values()} == set(found) and done["bytes"] == sum(map(len, found.values())), done
    assert all(o["bytes"] == len(found[o["key"].removeprefix("p/")]) for o in told.values())


def test_what_is_sent_equals_the_dry_run(t):
    """hoist images --out shows exactly what is stored."""
    w = World(t)
    paths = w.take("photo/friends.jpg", "png/alpha.png", "jpeg/metadata-gps.jpg", "anim/cogs.gif", "colour/xyb.jpg", "vector/logo.svg", "webp/small.webp")
    run = images.Run(t.folder, paths)
    w.up(*paths)
    made = [run.objects[path][0].path if run.objects[path] else path for path in paths]
    assert sorted(w.objects().values()) == sorted(open(path, "rb").read() for path in made)


def test_policies_for_broken_pictures(t):
    for policy, status in (("original", 0), ("skip", 0), ("fail", 1)):
        w = World(t)
        good, bad = w.take("jpeg/base-800.jpg", "broken/truncated.jpg")
        events = w.up("--on-image-error", policy, w.src, status=status)
        found = w.objects()
        assert sum(os.path.basename(good).split(".")[0] in k for k in found) == 1, sorted(found)
        sent = [k for k in found if "truncated" in k]
        if policy == "original":
            assert sent == ["src/truncated.jpg"] and len(found[sent[0]]) <= os.path.getsize(bad)
            assert any(e.get("note") for e in events if e.get("path") == bad), "not a word about it"
        else:
            assert not sent, sent
            wanted = "skipped" if policy == "skip" else "failed"
            assert [e for e in lib.of_kind(events, wanted) if e.get("path") == bad], [e["event"] for e in events if e.get("path") == bad]
        shutil.rmtree(w.src)
        w.server.stop()
        shutil.rmtree(t.folder)
        os.makedirs(t.folder)


def test_private_things_do_not_arrive(t):
    """Whatever way a picture takes: no place, no serial number in what the server has."""
    w = World(t)
    w.take("jpeg/metadata-gps.jpg", "jpeg/thumb-leak.jpg", "jpeg/trailer-bytes.jpg", "orientation/avif-6.avif", "heif/iphone-p3.heic", "photo/office-24mp.jpg")
    for recipe in ("web", "web max-edge=none min-savings=90 max-bytes=none"):
        w.up("--images", recipe, w.src)
        for key in w.objects():
            tags = pictures.exiftool(w.picture(key).path)
            [tags] = tags.values()
            assert not any("GPS" in k or "SerialNumber" in k or "Thumbnail" in k for k in tags), (recipe, key, [k for k in tags if "GPS" in k])


def counted_worker(t):
    """A worker that notes each start, and HOIST_IMGPROC for it."""
    path = lib.write(t.path("worker"), f"#!/bin/sh\necho x >> '{t.path('starts')}'\nexec '{lib.BUILD}/imgproc/hoist-imgproc' \"$@\"\n".encode())
    os.chmod(path, 0o755)
    return {"HOIST_IMGPROC": path}


def test_restart_does_not_repeat_the_spool(t):
    """Killed when the pictures are made but the network is slow: the next hoist sends what is there, and starts no worker for it."""
    w = World(t)
    names = ("photo/ladybird.jpg", "photo/yellowflower.jpg", "png/alpha.png")
    w.take(*names)
    p = w.hoist.start("up", "--json", "--to", "s3://bucket/p", "--limit", "2k", "--jobs", "1", w.src)
    t.later(p.kill)
    prepared = set()
    for line in p.stdout:
        event = lib.json.loads(line)
        if event["event"] == "prepared":
            prepared.add(event["path"])
        if len(prepared) == len(names):
            break
    assert len(prepared) == len(names), p.stderr.read().decode()[-2000:]
    p.send_signal(signal.SIGKILL)
    p.wait()
    r = w.hoist.run("up", "--json", "--to", "s3://bucket/p", env=counted_worker(t))
    assert r.returncode == 0, r.err[-2000:]
    assert len(w.objects()) == len(names), sorted(w.objects())
    assert not os.path.exists(t.path("starts")), "made again"


def encodes(p):
    """The worker of this hoist that has used some CPU by now."""
    for task in os.listdir(f"/proc/{p.pid}/task"):
        with contextlib.suppress(OSError), open(f"/proc/{p.pid}/task/{task}/children", encoding="ascii") as f:
            for child in f.read().split():
                with open(f"/proc/{child}/stat", encoding="ascii") as stat:
                    if int(stat.read().rsplit(")", 1)[1].split()[11]) > os.sysconf("SC_CLK_TCK"):
                        return child
    return None


def long_encode(t):
    w = World(t)
    w.take("photo/office-24mp.jpg")
    p = w.hoist.start("up", "--json", "--to", "s3://bucket/p", "--images", "web max-edge=none max-bytes=none effort=6 quality=100 format=avif", w.src)
    t.later(p.kill)
    worker = lib.wait_for(lambda: encodes(p), 60)
    assert worker, "it is never prepared"
    return w, p, worker


def test_interrupted_in_the_middle_of_an_encode(t):
    w, p, worker = long_encode(t)
    p.send_signal(signal.SIGINT)
    assert p.wait(30) == 130
    assert not os.path.exists(f"/proc/{worker}") and not w.objects()


def test_cancelled_in_the_middle_of_an_encode(t):
    """The worker's time is not spent on what nobody wants any more."""
    w, p, worker = long_encode(t)
    r = w.hoist.run("cancel", "--all")
    assert r.returncode == 0, r.err
    p.wait(30)
    assert not os.path.exists(f"/proc/{worker}") and not w.objects()
    assert w.hoist.rows("select state from job") == [(8,)]


if __name__ == "__main__":
    images.main()
