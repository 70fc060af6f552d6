"""A server that falls silent. hoist gives it a minute or two; a build with fault points (-Dcrash_points=true) heeds HOIST_STALL_MS."""
import socket
import time

import lib
from test_crash import fault_points
from test_faults import COMPLETE, LARGE, PART, Rig
from test_tus import World

SOON = {"HOIST_STALL_MS": "1500"}


def rig_of(t, **files):
    if not fault_points():
        raise lib.Skip("hoist is built without fault points (meson -Dcrash_points=true)")
    return Rig(t, **files)


def test_stall_in_a_body(t):
    rig = rig_of(t, middle=lib.data(4_000_000), large=lib.data(LARGE))
    rig.proxy.rule("stall", "PUT", "/middle", after=100_000)
    rig.proxy.rule("stall", "PUT", "partNumber=2", after=100_000)
    rig.up(env=SOON)
    assert rig.faults("retry") == ["stalled"] * 2, rig.faults("retry")
    assert rig.proxy.count("PUT", PART) == 4
    rig.arrived()


def test_no_answer(t):
    rig = rig_of(t, small=lib.data(5000), large=lib.data(LARGE))
    rig.proxy.rule("late-answer", "PUT", "/small", seconds=4)
    rig.proxy.rule("late-answer", "PUT", "partNumber=1", seconds=4)
    rig.up(env=SOON)
    assert rig.faults("retry") == ["stalled"] * 2, rig.faults("retry")
    rig.arrived()


def test_no_answer_to_create(t):
    rig = rig_of(t, large=lib.data(LARGE))
    rig.proxy.rule("late-answer", "POST", r"\?uploads", seconds=4)
    rig.up(env=SOON)
    rig.arrived()


def test_complete_may_take_longer(t):
    """Putting parts together has minutes, whatever the others have."""
    rig = rig_of(t, large=lib.data(LARGE))
    rig.proxy.rule("late-answer", "POST", COMPLETE, seconds=6)
    rig.up(env=SOON)
    assert rig.proxy.count("POST", COMPLETE) == 1 and rig.faults("retry") == []
    rig.arrived()


def test_silent_for_ever(t):
    rig = rig_of(t, small=lib.data(5000))
    rig.proxy.rule("stall", "PUT", times=99, after=0)
    began = time.monotonic()
    rig.up(status=1, env=SOON)
    rig.failed("stalled")
    assert time.monotonic() - began < 20


def test_slow_is_not_stalled(t):
    rig = rig_of(t, middle=lib.data(1_000_000))
    rig.proxy.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)   # else the kernel takes all of it at once
    rig.proxy.rule("slow-read", "PUT", bps=200_000)
    rig.up(env=SOON)
    assert rig.faults("retry") == []
    rig.arrived()


def test_limit_is_not_a_stall(t):
    rig = rig_of(t, one=lib.data(400_000), two=lib.data(400_000), three=lib.data(400_000))
    rig.up("--limit", "200KiB", env=SOON)
    assert rig.faults("retry") == []
    rig.arrived()


def test_tus_stall_in_a_body(t):
    """The server keeps what it got, and the lock with it, longer than hoist waits."""
    if not fault_points():
        raise lib.Skip("hoist is built without fault points (meson -Dcrash_points=true)")
    w = World(t, extensions="creation")
    content = lib.data(32_000_000)      # more than the kernel takes for a server that does not read
    w.server.fault("stall", "PATCH", after=1_000_000, seconds=8)
    w.sent(w.write("a.bin", content), env=SOON)
    assert w.server.contents() == {"a.bin": content} and w.got() == len(content)
    assert 423 in [e["status"] for e in w.server.asked("HEAD")], [(e["method"], e["status"], e["got"]) for e in w.server.log]


if __name__ == "__main__":
    lib.main()
