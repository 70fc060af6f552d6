"""A fault proxy: HTTP/1.1 between hoist and a real server, one thread a connection. It counts what passes, and rules break things.

A rule is Rule(method, pattern of the target, times) plus one of the faults below; the first rule that matches and has times left applies.
"""
import re
import socket
import ssl
import struct
import threading
import time


class Rule:
    def __init__(self, fault, method=".*", target=".*", times=1, **arg):
        self.fault, self.times, self.arg = fault, times, arg
        self.method, self.target = re.compile(method), re.compile(target)

    def matches(self, method, target):
        return self.times > 0 and self.method.fullmatch(method) and self.target.search(target)


SLOW_DOWN = b"<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class Proxy:
    """tls: (certificate, key) files; the upstream server stays plain."""

    def __init__(self, upstream_port, tls=None, port=0):
        self.upstream_port = upstream_port
        self.tls = None
        if tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*tls)
        self.rules, self.log, self.lock = [], [], threading.Lock()
        self.in_flight = self.most_in_flight = 0
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(128)
        self.port = self.listener.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self.closing = False
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.closing = True
        self.listener.shutdown(socket.SHUT_RDWR)        # ends the accept that is under way, too
        self.listener.close()

    def count(self, method=".*", target=".*", status=None):
        """Requests that reached the upstream server."""
        m, t = re.compile(method), re.compile(target)
        with self.lock:
            return len([e for e in self.log if m.fullmatch(e["method"]) and t.search(e["target"]) and e["forwarded"] and
                        (status is None or e["status"] == status)])

    def rule(self, *args, **kw):
        r = Rule(*args, **kw)
        with self.lock:
            self.rules.append(r)
        return r

    # ---- one connection

    def _accept(self):
        while not self.closing:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    @staticmethod
    def _head(f):
        lines = []
        while True:
            line = f.readline(65536)
            if not line:
                return None
            if line in (b"\r\n", b"\n"):
                return lines
            lines.append(line)

    @staticmethod
    def _length(lines):
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                return int(value)
        return 0

    def _pick(self, method, target):
        with self.lock:
            for r in self.rules:
                if r.matches(method, target):
                    r.times -= 1
                    return r
        return None

    def _serve(self, conn):
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            conn = self.tls.wrap_socket(conn, server_side=True) if self.tls else conn
        except OSError:
            conn.close()
            return
        client = conn.makefile("rb", 1 << 16)
        try:
            while self._one(conn, client):
                pass
        except (OSError, ValueError):
            pass
        finally:
            client.close()
            conn.close()

    @staticmethod
    def _reset(conn):
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        conn.close()

    def _one(self, conn, client):
        head = self._head(client)
        if not head:
            return False
        method, target, _ = head[0].decode("latin-1").split(" ", 2)
        length = self._length(head)
        rule = self._pick(method, target)
        entry = {"method": method, "target": target, "bytes": length, "status": 0, "forwarded": False, "at": time.monotonic(),
                 "fault": rule.fault if rule else None, "head": {}}
        for line in head[1:]:
            name, _, value = line.decode("latin-1").partition(":")
            entry["head"][name.strip().lower()] = value.strip()
        with self.lock:
            self.log.append(entry)
            self.in_flight += 1
            entry["at_once"] = self.in_flight
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return self._forward(conn, client, head, length, rule, entry)
        finally:
            with self.lock:
                self.in_flight -= 1

    def _read(self, client, n, rule):
        left = n
        while left > 0:
            piece = client.read(min(left, 1 << 16))
            if not piece:
                raise OSError("client gone")
            left -= len(piece)
            if rule and rule.fault == "slow-read":
                time.sleep(len(piece) / rule.arg["bps"])
            yield piece

    def _early(self, conn, client, length, rule):
        fault = rule.fault
        if fault == "refuse-early":         # an answer before the body was read, then the connection ends
            conn.sendall(rule.arg.get("answer", b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
            time.sleep(0.2)
            conn.shutdown(socket.SHUT_RDWR)
        elif fault == "reset":              # in the middle of the body
            client.read(min(length, rule.arg.get("after", length // 2)))
            self._reset(conn)
        elif fault == "stall":
            client.read(min(length, rule.arg.get("after", length // 2)))
            time.sleep(rule.arg.get("seconds", 3600))
        elif fault == "answer":             # read all, forward nothing
            for _ in self._read(client, length, rule):
                pass
            conn.sendall(rule.arg["answer"])
            return True
        elif fault == "slow-down":
            for _ in self._read(client, length, rule):
                pass
            conn.sendall(b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\n" + rule.arg.get("header", b"") +
                         b"Content-Length: %d\r\n\r\n" % len(SLOW_DOWN) + SLOW_DOWN)
            return True
        else:
            return None
        return False

    def _forward(self, conn, client, head, length, rule, entry):
        expects = any(line.lower().startswith(b"expect:") for line in head)
        if expects and not (rule and rule.fault in ("refuse-early", "no-continue")):
            conn.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if rule:
            rule.arg.get("before", lambda: None)()
            done = self._early(conn, client, length, rule)
            if done is not None:
                return done
        up = socket.create_connection(("127.0.0.1", self.upstream_port))
        up.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with up:
            entry["forwarded"] = True
            lines = [line for line in head if not line.lower().startswith((b"expect:", b"connection:"))]
            up.sendall(b"".join(lines) + b"Connection: close\r\n\r\n")
            for piece in self._read(client, length, rule):
                up.sendall(rule.arg["change"](piece) if rule and rule.fault == "change-body" else piece)
            answer = b""
            while True:
                piece = up.recv(1 << 16)
                if not piece:
                    break
                answer += piece
        return self._answer(conn, answer, rule, entry, head)

    def _answer(self, conn, answer, rule, entry, head):
        status = answer.split(b" ", 2)[1] if b" " in answer[:16] else b"0"
        entry["status"] = int(status)
        fault = rule.fault if rule else None
        if fault == "lose-answer":          # the server did it, nobody hears of it
            self._reset(conn)
            return False
        if fault == "cut-answer":
            conn.sendall(answer[:rule.arg.get("after", len(answer) * 2 // 3)])
            conn.shutdown(socket.SHUT_RDWR)
            return False
        if fault == "late-answer":
            time.sleep(rule.arg["seconds"])
        if fault == "drip-answer":          # white space keeps the connection alive, as while parts are put together
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(rule.arg["seconds"]):
                conn.sendall(b"1\r\n \r\n")
                time.sleep(1)
            body = answer.partition(b"\r\n\r\n")[2]
            conn.sendall(b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")
            return True
        if fault == "change-answer":
            answer = rule.arg["change"](answer)
        conn.sendall(answer.replace(b"Connection: close\r\n", b"", 1))
        if fault == "close-after":          # the answer promised to keep the connection
            return False
        lower = answer[:8192].lower()
        return b"content-length:" in lower or entry["status"] == 204 or entry["method"] == "HEAD" or b"chunked" in lower
