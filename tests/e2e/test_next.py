"""The routes of broker/next in a real Next.js application, before SeaweedFS. Heavy (a download of some 400 MB and a build): the suite next, on demand."""
import brokers
import lib
import test_broker as broker

NEXT = [
    broker.Dialect("presigned-put", (lib.SeaweedFS,), url=broker.CDN, program=brokers.Next),
    broker.Dialect("presigned-put-notify", (lib.SeaweedFS,), named=False, notified=True, url=broker.CDN, program=brokers.Next),
    broker.Dialect("post-policy", (lib.SeaweedFS,), program=brokers.Next),
    broker.Dialect("presigned-put-size", (lib.SeaweedFS,), program=brokers.Next),
    broker.Dialect("presigned-put-sha256", (lib.SeaweedFS,), named=False, program=brokers.Next),
    broker.Dialect("qiniu-token", (broker.KodoStore,), program=brokers.Next, **broker.QINIU),
]


def signed_in(t):
    w = broker.World(t, "presigned-put", program=brokers.Next, store=lib.SeaweedFS, need={"cookie": broker.SESSION},
                     dest=["sign-in = cookie", "secret = cookie=env:APP_COOKIE"], env={"APP_COOKIE": broker.SESSION})
    w.sent(w.write("a.txt"))
    assert all(e["headers"]["cookie"] == broker.SESSION for e in w.app.seen()) and len(w.app.grants()) == 1


if __name__ == "__main__":
    try:
        lib.main([*broker.dialect_tests(NEXT), ("signed_in", signed_in)])
    finally:
        broker.Town.stop()
