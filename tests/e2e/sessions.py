"""Strict stand-ins for stores that no open server covers, and the application that hands them out: sessions of Cloud Storage and Microsoft Graph,
Azure blobs by SAS, Cloudinary's chunks, UploadThing.

Stores() listens at once. What an application grants stands below /app/PREFIX/; objects hold key -> content; whatever breaks a protocol is in
violations; each request is in log. cut(n) breaks the connection of the next upload after n bytes of body, of which the store keeps what it would.
"""
import base64
import functools
import hashlib
import hmac
import http.server
import json
import re
import socket
import struct
import threading
import time
import urllib.parse
import uuid
import xml.etree.ElementTree

KIB, MIB = 1 << 10, 1 << 20
SECRET = b"stores-secret"
TOKEN = "app-token-5d1c"


@functools.lru_cache(None)
def crc_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82f63b78 if n & 1 else 0)
        table.append(n)
    return table


@functools.lru_cache(64)
def crc32c(data):
    table, crc = crc_table(), 0xffffffff
    for b in data:
        crc = table[(crc ^ b) & 255] ^ crc >> 8
    return base64.b64encode((crc ^ 0xffffffff).to_bytes(4, "big")).decode()


def b64md5(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def sign(*words):
    return hmac.new(SECRET, "\n".join(words).encode(), hashlib.sha256).hexdigest()


class Answer(Exception):
    def __init__(self, status, body=b"", **headers):
        super().__init__(status)
        self.status, self.headers = status, headers
        self.body = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()


class Session:
    def __init__(self, key, unit):
        self.key, self.unit, self.data, self.total, self.done, self.busy = key, unit, bytearray(), None, False, False


class Stores:
    def __init__(self):
        self.objects, self.types, self.metadata = {}, {}, {}
        self.sessions, self.blocks, self.chunks = {}, {}, {}
        self.log, self.violations, self.notified = [], [], []
        self.life_s, self.lives = 3600, []      # of what is granted; of the next grants
        self.keep = None                # Cloud Storage keeps at most so much of one request
        self.cuts = []
        self.sas_rights = "rcw"
        self.lock = threading.RLock()
        stores = self

        class Handler(_Handler):
            pass
        Handler.stores = stores
        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.httpd.daemon_threads = True
        self.httpd.handle_error = lambda *_: None
        self.port = self.httpd.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.httpd.shutdown()
        self.httpd.server_close()

    def cut(self, after, what="."):
        with self.lock:
            self.cuts.append((after, re.compile(what)))

    def requests(self, method=".*", target=".*", status=None):
        with self.lock:
            return [e for e in self.log if re.fullmatch(method, e["method"]) and re.search(target, e["target"]) and status in (None, e["status"])]

    def sas(self, scope, rights="rcw", seconds=3600):
        """For "cont" or "cont/blob"."""
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
        return urllib.parse.urlencode({"sv": "2021-12-02", "sr": "b" if "/" in scope else "c", "se": end, "sp": rights,
                                       "sig": sign("sas", scope, end, rights)})


def gone(words):
    return Answer(404, {"error": {"code": "itemNotFound", "message": words}}, Content_Type="application/json")


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stores = None

    def log_message(self, *_):
        pass

    def handle_any(self):
        s = self.stores
        self.left = int(self.headers.get("Content-Length", 0))
        self.path_only, _, query = self.path.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        entry = {"method": self.command, "target": self.path, "status": 0, "headers": {k.lower(): v for k, v in self.headers.items()}}
        with s.lock:
            s.log.append(entry)
            at = next((i for i, (_, what) in enumerate(s.cuts) if what.search(f"{self.command} {self.path}")), None)
            self.cut = s.cuts.pop(at)[0] if at is not None else None
        try:
            self.route()
            raise Answer(500, "no answer")
        except Answer as answer:
            self.drain()
            entry["status"] = answer.status
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name.replace("_", "-"), value)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)
        except (ConnectionError, ValueError):
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

    def route(self):
        first = self.path_only.split("/")[1]
        if first != "app" and any(h in self.headers for h in ("Authorization", "Cookie")):
            self.violation("what is the application's came to a store")
        getattr(self, {"app": "app", "gcs": "gcs", "graph": "graph", "azure": "azure", "v1_1": "cloudinary", "ut": "ut"}[first])()

    def violation(self, words):
        with self.stores.lock:
            self.stores.violations.append(f"{self.command} {self.path}: {words}")

    def drain(self):
        while self.left > 0:
            self.read(self.left)

    def read(self, n):
        """At most n bytes of the body; breaks off where a cut is due."""
        if self.cut is not None:
            n = min(n, self.cut)
            if n == 0:
                raise ConnectionError("cut")
        piece = self.rfile.read1(min(n, self.left, 65536))
        if not piece:
            raise ConnectionError("the client is gone")
        self.left -= len(piece)
        if self.cut is not None:
            self.cut -= len(piece)
        return piece

    def body(self):
        data = bytearray()
        while self.left > 0:
            data += self.read(self.left)
        return bytes(data)

    def host(self):
        return f"http://{self.headers['Host']}"

    # ---- the application

    def app(self):
        s = self.stores
        _, _, prefix, what = self.path_only.split("/", 3)
        body = self.body()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise Answer(401, {"message": "who are you?"})
        said = json.loads(body) if body else {}
        life_s = s.lives.pop(0) if s.lives else s.life_s
        end = int(time.time()) + life_s
        prefix = "" if prefix == "-" else f"{prefix}/"
        if what == "gcs-session":
            key = urllib.parse.quote(prefix + said["name"])
            raise Answer(200, {"url": f"{self.host()}/gcs/{key}?{self.signed('gcs', key, str(end), said['contentType'])}"})
        if what == "upload-session":
            session = self.new_session(prefix + said["name"], 320 * KIB)
            raise Answer(200, {"uploadUrl": f"{self.host()}/graph/{session}", "expirationDateTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))})
        if what == "sas":
            scope = "cont/" + prefix + self.query["blob"]
            raise Answer(200, {"sasUrl": f"{self.host()}/azure/{urllib.parse.quote(scope)}?{s.sas(scope, s.sas_rights, life_s)}"})
        if what == "cloudinary/sign":
            stamp = str(end - 3600)
            raise Answer(200, {"signature": sign("cloudinary", prefix, stamp), "timestamp": int(stamp), "apiKey": "key", "folder": prefix})
        if what == "api/uploadthing":
            key = urllib.parse.quote(prefix + said["files"][0]["name"])
            raise Answer(200, [{"url": f"{self.host()}/ut/{key}?{self.signed('ut', key, str(end))}", "key": key}])
        raise Answer(404, {"message": "no such route"})

    @staticmethod
    def signed(*words):
        return urllib.parse.urlencode({"end": words[2], "type": words[3] if len(words) > 3 else "", "sig": sign(*words)})

    def new_session(self, key, unit):
        name = uuid.uuid4().hex
        with self.stores.lock:
            self.stores.sessions[name] = Session(key, unit)
        return name

    def store(self, key, data):
        with self.stores.lock:
            self.stores.objects[key] = bytes(data)

    # ---- Cloud Storage

    def xml(self, status, code, words):
        raise Answer(status, f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{words}</Message></Error>", Content_Type="application/xml")

    def gcs(self):
        key = self.path_only[len("/gcs/"):]
        if self.command == "POST":
            given = ("gcs", key, self.query.get("end", ""), self.headers.get("Content-Type", ""))
            if self.headers.get("x-goog-resumable") != "start" or self.left or self.query.get("sig") != sign(*given):
                self.xml(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
            if int(given[2]) <= time.time():
                self.xml(400, "ExpiredToken", f"Request signature expired at: {given[2]}")
            raise Answer(201, Location=f"{self.host()}/gcs/{key}?upload_id={self.new_session(urllib.parse.unquote(key), 256 * KIB)}")
        session = self.stores.sessions.get(self.query.get("upload_id"))
        if session is None:
            raise Answer(404, "No such upload")
        if self.command == "DELETE":
            del self.stores.sessions[self.query["upload_id"]]
            raise Answer(499)
        self.gcs_put(session)

    def gcs_put(self, session):
        given = self.headers.get("Content-Range")
        if given is not None and re.fullmatch(r"bytes \*/(\d+|\*)", given):
            if given == f"bytes */{len(session.data)}" and not session.done:
                self.finish(session)
            self.gcs_progress(session)
        if not self.take_range(session, given):
            self.gcs_progress(session)
        if session.total == len(session.data):
            self.finish(session)
        self.gcs_progress(session)

    def gcs_progress(self, session):
        if session.done:
            data = self.stores.objects[session.key]
            raise Answer(200, ETag='"gcs"', x_goog_hash=f"crc32c={crc32c(data)},md5={b64md5(data)}")
        kept = {"Range": f"bytes=0-{len(session.data) - 1}"} if session.data else {}
        raise Answer(308, **kept)

    def finish(self, session):
        session.done = True
        self.store(session.key, session.data)

    def take_range(self, session, given):
        """Appends the body; False when the range is not the one that is wanted."""
        begin, end, total = (map(int, re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", given).groups())) if given else (0, self.left - 1, self.left)
        last = end + 1 == total
        if self.left != end + 1 - begin or session.total not in (None, total):
            self.violation(f"{given} with {self.left} bytes")
        if not last and (end + 1) % session.unit:
            self.violation(f"{given} is no multiple of {session.unit}")
        if session.done or begin != len(session.data):
            self.drain()
            return False
        if session.busy:
            self.violation("a second connection to one session")
        session.total, session.busy, size = total, True, len(session.data)
        limit = self.stores.keep
        try:
            while self.left > 0:
                session.data += self.read(self.left)
        finally:
            whole = self.left == 0 and (limit is None or len(session.data) - size <= limit)
            if not whole:       # a store keeps full pieces
                most = len(session.data) if limit is None else min(len(session.data), size + limit)
                del session.data[max(size, most // session.unit * session.unit):]
            session.busy = False
        return True

    # ---- Microsoft Graph

    def graph(self):
        session = self.stores.sessions.get(self.path_only.rsplit("/", 1)[1])
        if session is None or session.done:
            raise gone("The upload session was not found")
        if self.command == "DELETE":
            del self.stores.sessions[self.path_only.rsplit("/", 1)[1]]
            raise Answer(204)
        if self.command == "PUT":
            if self.left >= 60 * MIB:
                self.violation("60 MiB or more at once")
            if not self.take_range(session, self.headers.get("Content-Range")):
                raise Answer(416, {"error": {"code": "invalidRange", "message": "these bytes were received"}})
            if session.total == len(session.data):
                self.finish(session)
                raise Answer(201, {"id": "item-1", "name": session.key, "size": session.total, "eTag": "graph", "webUrl": f"{self.host()}/web/item-1"})
        raise Answer(202 if self.command == "PUT" else 200, {"nextExpectedRanges": [f"{len(session.data)}-"]})

    # ---- Azure

    def azure_error(self, status, code, words=""):
        raise Answer(status, f"\ufeff<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{words}</Message></Error>", x_ms_error_code=code)

    def azure_check(self, scope):
        end, rights = self.query.get("se", ""), self.query.get("sp", "")
        container = scope.split("/")[0]
        if self.query.get("sig") not in (sign("sas", scope, end, rights), sign("sas", container, end, rights)):
            self.azure_error(403, "AuthenticationFailed", f"Server failed to authenticate the request. sig={self.query.get('sig')}")
        if end <= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()):
            self.azure_error(403, "AuthenticationFailed", "Signature not valid in the specified time frame")
        if container != "cont":
            self.azure_error(404, "ContainerNotFound")
        needed = "r" if self.command in ("GET", "HEAD") else "d" if self.command == "DELETE" else "wc"
        if not set(needed) & set(rights):
            self.azure_error(403, "AuthorizationPermissionMismatch")

    def azure_body(self):
        data, md5 = self.body(), self.headers.get("Content-MD5")
        if md5 not in (None, b64md5(data)):
            self.azure_error(400, "Md5Mismatch")
        return data, ({"Content_MD5": md5} if md5 else {})

    def azure(self):
        s = self.stores
        scope = urllib.parse.unquote(self.path_only[len("/azure/"):])
        self.azure_check(scope)
        key = scope.partition("/")[2]
        blocks = s.blocks.setdefault(key, {})
        if self.command == "PUT" and self.query.get("comp") == "block":
            name = base64.b64decode(self.query["blockid"], validate=True)
            data, md5 = self.azure_body()
            if len(name) > 64 or any(len(name) != len(base64.b64decode(n)) for n in blocks):
                self.azure_error(400, "InvalidBlobOrBlock")
            with s.lock:
                blocks[self.query["blockid"]] = data
            raise Answer(201, **md5)
        if self.command == "PUT" and self.query.get("comp") == "blocklist":
            self.azure_list(key, blocks)
        if self.command == "PUT":
            if self.headers.get("x-ms-blob-type") != "BlockBlob":
                self.azure_error(400, "MissingRequiredHeader")
            data, md5 = self.azure_body()
            self.azure_store(key, data, self.headers.get("x-ms-blob-content-type") or self.headers.get("Content-Type"))
            raise Answer(201, ETag='"0x1"', **md5)
        if self.command == "GET" and self.query.get("comp") == "blocklist":
            if not blocks and key not in s.objects:
                self.azure_error(404, "BlobNotFound")
            rows = "".join(f"<Block><Name>{n}</Name><Size>{len(d)}</Size></Block>" for n, d in blocks.items())
            raise Answer(200, f"\ufeff<?xml version=\"1.0\"?><BlockList><UncommittedBlocks>{rows}</UncommittedBlocks></BlockList>")
        if key not in s.objects:
            self.azure_error(404, "BlobNotFound")
        if self.command == "DELETE":
            del s.objects[key]
            raise Answer(202)
        raise Answer(200, s.objects[key], ETag='"0x1"', **s.metadata.get(key, {}))

    def azure_store(self, key, data, content_type):
        s = self.stores
        if self.headers.get("If-None-Match") == "*" and key in s.objects:
            self.azure_error(409, "BlobAlreadyExists")
        with s.lock:
            s.types[key] = content_type
            s.metadata[key] = {k.lower(): v for k, v in self.headers.items() if k.lower().startswith("x-ms-meta-")}
        self.store(key, data)

    def azure_list(self, key, blocks):
        names = [e.text for e in xml.etree.ElementTree.fromstring(self.body())]
        committed = self.stores.metadata.get(f"{key}\0", {})
        found = {**committed, **blocks}
        if any(n not in found for n in names):
            self.azure_error(400, "InvalidBlockList")
        self.azure_store(key, b"".join(found[n] for n in names), self.headers.get("x-ms-blob-content-type"))
        with self.stores.lock:
            self.stores.metadata[f"{key}\0"] = {n: found[n] for n in names}
            self.stores.blocks[key] = {}
        raise Answer(201, ETag='"0x2"')

    # ---- forms

    def form(self):
        boundary = b"--" + re.search("boundary=(.*)", self.headers["Content-Type"])[1].encode()
        fields = {}
        for part in self.body().split(b"\r\n" + boundary):
            head, _, value = part.removeprefix(boundary).lstrip(b"\r\n").partition(b"\r\n\r\n")
            name = re.search(rb'name="([^"]*)"', head)
            if name:
                fields[name[1].decode()] = value
        return fields

    def cloudinary(self):
        s = self.stores
        given, name = self.headers.get("Content-Range"), self.headers.get("X-Unique-Upload-Id")
        fields = self.form()
        stamp, folder = fields["timestamp"].decode(), fields["folder"].decode()
        if fields["signature"].decode() != sign("cloudinary", folder, stamp):
            raise Answer(401, {"error": {"message": f"Invalid Signature {fields['signature'].decode()}. String to sign - 'x'"}})
        if int(stamp) < time.time() - 3600:
            raise Answer(400, {"error": {"message": f"Stale request - reported time is {stamp} which is more than 1 hour ago"}})
        data = fields["file"]
        if given:
            begin, end, total = map(int, re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", given).groups())
            have = s.chunks.setdefault(name, bytearray())
            if begin > len(have) or end + 1 - begin != len(data) or (end + 1 < total and len(data) <= 5000000):
                self.violation(f"{given} after {len(have)} bytes")
                raise Answer(400, {"error": {"message": "bad chunk"}})
            have[begin:end + 1] = data
            if len(have) < total:
                raise Answer(200, {"done": False, "bytes": len(have), "public_id": name})
            data = bytes(have)
        key = folder + "file"
        self.store(key, data)
        raise Answer(200, {"done": True, "public_id": key, "bytes": len(data), "etag": hashlib.md5(data).hexdigest(), "secure_url": f"https://res.example.com/{key}"})

    def ut(self):
        key = self.path_only[len("/ut/"):]
        if self.query.get("sig") != sign("ut", key, self.query.get("end", "")) or int(self.query["end"]) <= time.time():
            raise Answer(403)
        have = self.stores.chunks.setdefault(key, bytearray())
        if self.command == "HEAD":
            raise Answer(200, x_ut_range_start=str(len(have)))
        begin = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])[1])
        if begin != len(have):
            self.violation(f"Range {begin}, but {len(have)} bytes are here")
        boundary = b"\r\n--" + re.search("boundary=(.*)", self.headers["Content-Type"])[1].encode()
        body = bytearray()
        try:
            while self.left > 0:
                body += self.read(self.left)
        finally:
            data = body.partition(b"\r\n\r\n")[2]
            have += data.partition(boundary)[0]
        self.store(urllib.parse.unquote(key), have)
        raise Answer(200, {"url": f"https://utfs.example.com/{key}", "ufsUrl": f"https://utfs.example.com/{key}"})
