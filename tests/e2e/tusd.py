"""A strict tus 1.0 server of the tests' own: what no real one here does (460, expiry, 423, concatenation, taking a part of a PATCH).

Tusd(**features) listens at once; everything it is asked stands in log, everything that breaks the protocol in violations. What arrives before a
connection breaks is kept, but of a PATCH with a checksum all or nothing. fault(kind, method, times, **arg) makes the next requests of a method
(and calls then(), if given, when all is done):

    lose            is obeyed, the answer is lost           cut, after=N    the connection is reset after N bytes of body (they count)
    take, bytes=N   PATCH: this much is kept, 204 says so   flip            a bit of the body changes on its way
    answer, status, headers: that, and nothing is done      lock, seconds=S everything about the upload is 423 for so long
    expire          the upload has just expired             hide            the answer lacks the headers named
    slow, bps=N     the body is read at this pace           stall, after=N, seconds=S   silent in the middle of the body, then reset
"""
import base64
import email.utils
import hashlib
import http.server
import re
import socket
import struct
import threading
import time
import urllib.parse

EXTENSIONS = "creation,creation-with-upload,expiration,checksum,termination,concatenation"


class Upload:
    def __init__(self, name, length, partial=False):
        self.name, self.length, self.partial = name, length, partial
        self.data = bytearray()
        self.metadata, self.parts, self.locked_until, self.expires = {}, None, 0.0, None
        self.busy = False       # a connection writes to it

    @property
    def done(self):
        return len(self.data) == self.length


class Refuse(Exception):
    def __init__(self, status, words="", **headers):
        super().__init__(words)
        self.status, self.words, self.headers = status, words, headers


class Tusd:
    def __init__(self, extensions=EXTENSIONS, max_size=None, sums=("sha1", "md5"), token=None, expires_s=None, relative=True, query="",
                 options=True, base="/files/", data=None):
        self.extensions, self.max_size, self.sums, self.token = extensions.split(","), max_size, sums, token
        self.expires_s, self.relative, self.query, self.options, self.base = expires_s, relative, query, options, base
        self.uploads, self.faults, self.log, self.violations = {}, [], [], []
        self.names = 0
        self.lock = threading.RLock()
        server = self

        class Handler(_Handler):
            tusd = server
        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.httpd.daemon_threads = True
        self.httpd.handle_error = lambda *_: None
        self.port = self.httpd.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.to = f"tus+{self.url}{base}"
        threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.httpd.shutdown()
        self.httpd.server_close()

    def fault(self, kind, method, times=1, **arg):
        with self.lock:
            self.faults.append({"kind": kind, "method": method, "times": times, **arg})

    def asked(self, method):
        with self.lock:
            return [e for e in self.log if e["method"] == method]

    def contents(self):
        """file name -> bytes of what is complete"""
        with self.lock:
            return {u.metadata.get("relativePath", u.metadata.get("filename")): bytes(u.data) for u in self.uploads.values()
                    if u.done and not u.partial}

    def unfinished(self):
        with self.lock:
            return [u.name for u in self.uploads.values() if not u.done]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    tusd = None

    def log_message(self, *_):
        pass

    def handle_expect_100(self):
        return True             # said when the request was looked at

    # ---- one request

    def _any(self):
        s = self.tusd
        method = self.headers.get("X-HTTP-Method-Override", self.command)
        self.left = int(self.headers.get("Content-Length", 0))
        self.entry = {"method": method, "path": self.path, "head": {k.lower(): v for k, v in self.headers.items()}, "bytes": self.left, "got": 0,
                      "status": 0, "offset": int(self.headers["Upload-Offset"]) if "Upload-Offset" in self.headers else None}
        with s.lock:
            s.log.append(self.entry)
            rule = next((f for f in s.faults if f["method"] == method and f["times"] > 0), None)
            if rule:
                rule["times"] -= 1
        self.rule = rule or {"kind": None}
        try:
            self._obey(method)
        finally:
            self.rule.get("then", lambda: None)()

    def _obey(self, method):
        s = self.tusd
        try:
            if self.rule["kind"] == "answer":
                raise Refuse(self.rule["status"], "as the test wants", **self.rule.get("headers", {}))
            status, headers = self._tus(method)
        except Refuse as no:
            if no.status in (400, 409, 412, 415) and self.rule["kind"] is None:
                with s.lock:
                    s.violations.append(f"{method} {self.path}: {no.status} {no.words}")
            self._end(no.status, no.headers, no.words)
            return
        if self.rule["kind"] == "lose":
            self._reset()
        self._end(status, headers)

    do_OPTIONS = do_POST = do_HEAD = do_PATCH = do_DELETE = _any

    def _end(self, status, headers, words=""):
        body = words.encode()
        if status == 204 or self.command == "HEAD":
            body = b""
        hidden = self.rule.get("headers", ()) if self.rule["kind"] == "hide" else ()
        self.send_response(status)
        for name, value in {"Tus-Resumable": "1.0.0", "Content-Length": len(body), **headers}.items():
            if value is not None and name not in hidden and (name, status) != ("Content-Length", 204):
                self.send_header(name, str(value))
        if self.left > 0:       # refused before the body was read
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)
        self.entry["status"] = status
        if self.left > 0:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            while self.connection.recv(1 << 16):
                pass

    def _reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        raise ConnectionError

    def _body(self, take):
        """Reads the body; take(piece) keeps it. What comes before a break counts."""
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        cut = self.rule.get("after") if self.rule["kind"] in ("cut", "stall") else None
        while self.left > 0:
            want = min(self.left, 1 << 16) if cut is None else min(self.left, 1 << 16, cut - self.entry["got"])
            if want == 0 and self.rule["kind"] == "stall":
                time.sleep(self.rule["seconds"])
            if want == 0:
                self._reset()
            piece = self.rfile.read(want)
            if not piece:
                raise ConnectionError
            self.left -= len(piece)
            self.entry["got"] += len(piece)
            if self.rule["kind"] == "flip":
                piece = bytes([piece[0] ^ 1]) + piece[1:]
            take(piece)
            if self.rule.get("bps"):
                time.sleep(len(piece) / self.rule["bps"])

    # ---- the protocol

    def _tus(self, method):
        s = self.tusd
        self.upload = None
        if s.token is not None and self.headers.get("Authorization") != f"Bearer {s.token}":
            raise Refuse(401, f"no token: {self.headers.get('Authorization')}")
        if method == "OPTIONS":
            return self._options()
        if self.headers.get("Tus-Resumable") != "1.0.0":
            raise Refuse(412, "Tus-Resumable", **{"Tus-Version": "1.0.0"})
        path = self.path.partition("?")[0]
        if method == "POST":
            if path.rstrip("/") != s.base.rstrip("/"):
                raise Refuse(404, "not the endpoint")
            return self._create()
        with s.lock:
            self.upload = s.uploads.get(urllib.parse.unquote(path.removeprefix(s.base)))
        if self.upload is None or (s.query and self.path.partition("?")[2] != s.query):
            raise Refuse(404, "no such upload")
        if self.rule["kind"] == "expire":
            self.upload.expires = 0
        if self.upload.expires is not None and self.upload.expires <= time.time() and not self.upload.done:
            raise Refuse(410, "expired")
        if self.rule["kind"] == "lock":
            self.upload.locked_until = time.monotonic() + self.rule["seconds"]
        if self.upload.busy or self.upload.locked_until > time.monotonic():
            raise Refuse(423, "locked")
        return {"HEAD": self._offset, "PATCH": self._patch, "DELETE": self._delete}[method]()

    def _options(self):
        s = self.tusd
        if not s.options:
            raise Refuse(405, "no OPTIONS here")
        if "Tus-Resumable" in self.headers:
            with s.lock:
                s.violations.append("OPTIONS with Tus-Resumable")
        headers = {"Tus-Version": "1.0.0,0.2.2", "Tus-Extension": ",".join(s.extensions)}
        if s.max_size is not None:
            headers["Tus-Max-Size"] = s.max_size
        if "checksum" in s.extensions:
            headers["Tus-Checksum-Algorithm"] = ",".join(s.sums)
        return 204, headers

    def _number(self, name):
        text = self.headers.get(name, "")
        if not re.fullmatch(r"0|[1-9][0-9]*", text):
            raise Refuse(400, f"{name}: {text!r}")
        return int(text)

    def _metadata(self):
        found = {}
        for pair in filter(None, self.headers.get("Upload-Metadata", "").split(",")):
            key, _, value = pair.partition(" ")
            try:
                found[key] = base64.b64decode(value, validate=True).decode()
            except ValueError as why:
                raise Refuse(400, f"Upload-Metadata: {pair!r}: {why}") from None
            if not key or not key.isascii():
                raise Refuse(400, f"Upload-Metadata: {pair!r}")
        return found

    def _create(self):
        s = self.tusd
        concat = self.headers.get("Upload-Concat", "")
        if concat and "concatenation" not in s.extensions:
            raise Refuse(400, "no concatenation")
        with s.lock:
            s.names += 1
            name = f"up-{s.names}-é"
        if concat.startswith("final;"):
            self.upload = self._join(name, concat.removeprefix("final;"))
        elif concat in ("", "partial"):
            self.upload = Upload(name, self._number("Upload-Length"), concat == "partial")
        else:
            raise Refuse(400, f"Upload-Concat: {concat!r}")
        if s.max_size is not None and self.upload.length > s.max_size:
            raise Refuse(413, "Tus-Max-Size")
        self.upload.metadata = self._metadata()
        self._expire()
        with s.lock:
            s.uploads[name] = self.upload
        headers = {}
        if self.left > 0:
            if "creation-with-upload" not in s.extensions:
                raise Refuse(400, "a body with the creation")
            headers = self._take(0)
        location = s.base + urllib.parse.quote(name) + (f"?{s.query}" if s.query else "")
        return 201, {**headers, **self._expiry(), "Location": location if s.relative else s.url + location}

    def _join(self, name, text):
        s = self.tusd
        if "Upload-Length" in self.headers:
            raise Refuse(400, "a final upload has no Upload-Length")
        parts = []
        for url in text.split(" "):
            part = s.uploads.get(urllib.parse.unquote(urllib.parse.urlparse(url).path.removeprefix(s.base)))
            if part is None or not part.partial or not part.done:
                raise Refuse(400, f"not a finished partial upload: {url}")
            parts.append(part)
        u = Upload(name, sum(p.length for p in parts))
        u.parts = [p.name for p in parts]
        for p in parts:
            u.data += p.data
        return u

    def _expire(self):
        if self.tusd.expires_s is not None:
            self.upload.expires = time.time() + self.tusd.expires_s

    def _expiry(self):
        u = self.upload
        return {} if u.expires is None or u.done else {"Upload-Expires": email.utils.formatdate(u.expires, usegmt=True)}

    def _offset(self):
        headers = {"Upload-Offset": len(self.upload.data), "Upload-Length": self.upload.length, "Cache-Control": "no-store"}
        return 200, {**headers, **self._expiry()}

    def _patch(self):
        if self.upload.parts is not None:
            raise Refuse(403, "PATCH to a final upload")
        if self.headers.get("Content-Type") != "application/offset+octet-stream":
            raise Refuse(415, f"Content-Type: {self.headers.get('Content-Type')!r}")
        offset = self._number("Upload-Offset")
        if offset != len(self.upload.data):
            raise Refuse(409, f"Upload-Offset: {offset}, have {len(self.upload.data)}")
        headers = self._take(offset)
        self._expire()
        return 204, {**headers, **self._expiry()}

    def _take(self, offset):
        self.upload.busy = True
        try:
            return self._append(offset)
        finally:
            self.upload.busy = False

    def _append(self, offset):
        u = self.upload
        if offset + self.left > u.length:
            raise Refuse(400, "more than Upload-Length")
        algorithm, _, value = self.headers.get("Upload-Checksum", "").partition(" ")
        if algorithm and algorithm not in self.tusd.sums:
            raise Refuse(400, f"Upload-Checksum: {algorithm}")
        if algorithm:
            chunk = bytearray()
            self._body(chunk.extend)
            if base64.b64encode(hashlib.new(algorithm, chunk).digest()).decode() != value:
                raise Refuse(460, "Checksum Mismatch")
            u.data += chunk
        else:
            self._body(u.data.extend)
        if self.rule["kind"] == "take":
            del u.data[offset + self.rule["bytes"]:]
        return {"Upload-Offset": len(u.data)}

    def _delete(self):
        if "termination" not in self.tusd.extensions:
            raise Refuse(405, "no termination")
        with self.tusd.lock:
            del self.tusd.uploads[self.upload.name]
        return 204, {}

