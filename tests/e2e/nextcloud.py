"""A Nextcloud that keeps its files in memory and takes nothing on trust: chunked upload v2 as its developer manual tells it.

Sources: Nextcloud developer manual, "Chunked file upload" and "WebDAV basics"; RFC 4918; ownCloud, "OC-Checksum". Everything listens on
loopback; one thread a connection. What a client does wrong is answered as Nextcloud would and kept in self.faults, which tests look at.
"""
import base64
import hashlib
import http.server
import itertools
import re
import socketserver
import threading
import time
import urllib.parse
import xml.etree.ElementTree as ET
from email.utils import formatdate

USER, PASSWORD, TOKEN = "hoist", "hoistpass", "t0ken-of-the-tests"
MIB = 1 << 20
CHUNK_MIN, CHUNK_MAX, EXPIRES_S = 5 * MIB, 5 << 30, 24 * 3600
NAMES = {"DAV:": "d", "http://owncloud.org/ns": "oc"}


class Refuse(Exception):
    def __init__(self, status, exception, message, headers=()):
        super().__init__(message)
        self.status, self.exception, self.message, self.headers = status, exception, message, headers


class File:
    ids = itertools.count(1000)

    def __init__(self, content, mtime, checksum=""):
        self.content, self.mtime, self.checksum = content, mtime, checksum
        self.id = next(File.ids)
        self.etag = hashlib.md5(b"%d" % self.id).hexdigest()        # random to a client: not that of the content


class Folder:
    """Chunks of one upload."""

    def __init__(self, destination, now):
        self.destination, self.touched, self.total, self.chunks = destination, now, None, {}


class Nextcloud:
    def __init__(self, quota=None, owncloud=False, bearer=False, chunking=True, user=USER):
        self.quota, self.owncloud, self.bearer, self.chunking, self.user = quota, owncloud, bearer, chunking, user
        self.files, self.folders, self.uploads = {}, {"/"}, {}
        self.lock, self.log, self.faults = threading.RLock(), [], []
        self.maintenance = 0            # so many requests are answered 503
        self.locked = 0                 # so many MOVEs are answered 423
        self.mute_moves = 0             # so many MOVEs are obeyed without an answer
        self.bps = 0                    # bodies are read so fast; 0 = as they come
        self.clock_s = 0                # runs ahead so far
        self.server = Listener(("127.0.0.1", 0), Handler)
        self.server.cloud = self
        self.port = self.server.server_address[1]
        self.path = f"/remote.php/dav/files/{urllib.parse.quote(user)}"
        self.url = f"http://127.0.0.1:{self.port}{self.path}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def now(self):
        return time.time() + self.clock_s

    def count(self, method, pattern=".*", status=None):
        with self.lock:
            return len([e for e in self.log if e[0] == method and re.search(pattern, e[1]) and status in (None, e[2])])

    def chunks_put(self):
        """How often each chunk was taken: path -> times."""
        with self.lock:
            paths = [e[1] for e in self.log if e[0] == "PUT" and "/uploads/" in e[1] and e[2] in (201, 204)]
        return {p: paths.count(p) for p in paths}

    def used(self):
        return sum(len(f.content) for f in self.files.values()) + sum(len(c) for u in self.uploads.values() for c in u.chunks.values())

    def expire(self):
        for name in [n for n, u in self.uploads.items() if self.now() - u.touched > EXPIRES_S]:
            del self.uploads[name]


class Listener(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass                            # a client that was killed


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    # ---- one request

    def handle_one(self):
        cloud, status = self.server.cloud, 0
        target = urllib.parse.urlsplit(self.path)
        self.parts = [urllib.parse.unquote(p) for p in target.path.split("/")[1:]]
        self.body, self.unread = None, int(self.headers.get("Content-Length") or 0)
        try:
            try:
                self.check(cloud, target)
                status, headers, text = self.answer(cloud)
            except Refuse as why:
                status, headers, text = why.status, dict(why.headers), self.error(why)
            with cloud.lock:
                cloud.log.append((self.command, target.path, status))
                if status in (400, 411, 415):
                    cloud.faults.append(f"{self.command} {target.path}: {status} {text}")
            if self.command == "MOVE" and status in (201, 204) and cloud.mute_moves > 0:
                cloud.mute_moves -= 1
                self.close_connection = True
                return
            self.send(status, headers, text)
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_DELETE = do_MKCOL = do_MOVE = do_PROPFIND = do_OPTIONS = do_POST = handle_one

    def send(self, status, headers, text):
        self.send_response(status)
        data = text.encode()
        if self.unread:                 # refused before it was read
            self.close_connection = True
            headers = {**headers, "Connection": "close"}
        for name, value in headers.items():
            self.send_header(name, value)
        if data:
            self.send_header("Content-Type", "application/xml; charset=utf-8")
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def error(self, why):
        return ('<?xml version="1.0" encoding="utf-8"?>\n<d:error xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns">\n'
                f"  <s:exception>{why.exception}</s:exception>\n  <s:message>{why.message}</s:message>\n</d:error>\n")

    def check(self, cloud, target):
        if cloud.maintenance > 0:
            cloud.maintenance -= 1
            raise Refuse(503, "Sabre\\DAV\\Exception\\ServiceUnavailable", "System in maintenance mode.",
                         {"X-Nextcloud-Maintenance-Mode": "1", "Retry-After": "1"})
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        wanted = f"Bearer {TOKEN}" if cloud.bearer else basic
        if self.headers.get("Authorization") != wanted:
            raise Refuse(401, "Sabre\\DAV\\Exception\\NotAuthenticated", "No public access to this resource., Username or password was incorrect",
                         {"WWW-Authenticate": "Bearer realm=\"Nextcloud\"" if cloud.bearer else 'Basic realm="Nextcloud", charset="UTF-8"'})
        if "Transfer-Encoding" in self.headers or (self.command == "PUT" and "Content-Length" not in self.headers):
            raise Refuse(411, "Sabre\\DAV\\Exception\\LengthRequired", "a body has a Content-Length here")
        if ".." in self.parts or "." in self.parts or "" in self.parts[:-1]:
            raise Refuse(400, "Sabre\\DAV\\Exception\\BadRequest", f"{target.path} is no clean path")

    def read_body(self, cloud):
        content = bytearray()
        while self.unread:
            piece = self.rfile.read(min(self.unread, 65536))
            if not piece:
                raise ConnectionError
            self.unread -= len(piece)
            content += piece
            if cloud.bps:
                time.sleep(len(piece) / cloud.bps)
        return bytes(content)

    def answer(self, cloud):
        if self.parts[:2] != ["remote.php", "dav"] or len(self.parts) < 4 or self.parts[3] != cloud.user:
            raise Refuse(404, "Sabre\\DAV\\Exception\\NotFound", "File not found: " + "/".join(self.parts))
        tree, rest = self.parts[2], self.parts[4:]
        is_dir = not rest or rest[-1] == ""
        path = "/" + "/".join(p for p in rest if p)
        if tree == "uploads" and cloud.chunking:
            return self.in_uploads(cloud, [p for p in rest if p])
        if tree != "files":
            raise Refuse(404, "Sabre\\DAV\\Exception\\NotFound", f"File not found: {tree}")
        handler = {"PUT": self.put, "MKCOL": self.mkcol, "PROPFIND": self.propfind, "DELETE": self.delete}.get(self.command)
        if handler is None:
            raise Refuse(405, "Sabre\\DAV\\Exception\\MethodNotAllowed", f"{self.command} is not known here")
        return handler(cloud, path, is_dir)

    # ---- files

    def need_parent(self, cloud, path, status):
        parent = path.rsplit("/", 1)[0] or "/"
        if parent not in cloud.folders:
            raise Refuse(status, "Sabre\\DAV\\Exception\\Conflict", f"Parent node does not exist: {parent}")

    def room(self, cloud, more):
        if cloud.quota is not None and cloud.used() + more > cloud.quota:
            raise Refuse(507, "Sabre\\DAV\\Exception\\InsufficientStorage", f"Insufficient space in {self.path}, {more} required")

    def may_store(self, cloud, path):
        if re.search(r'[\\:*?"<>|]', path):
            raise Refuse(400, "OCA\\DAV\\Connector\\Sabre\\Exception\\InvalidPath", "File name contains at least one invalid character")
        if path in cloud.folders:
            raise Refuse(409, "Sabre\\DAV\\Exception\\Conflict", "PUT is not allowed on non-files.")
        if self.headers.get("If-None-Match") == "*" and path in cloud.files:
            raise Refuse(412, "Sabre\\DAV\\Exception\\PreconditionFailed", "An If-None-Match header was specified, but the ETag matched")

    def store(self, cloud, path, content, checksum):
        mtime = self.headers.get("X-OC-Mtime")
        if mtime is not None and not mtime.isdigit():
            raise Refuse(400, "Sabre\\DAV\\Exception\\BadRequest", f"X-OC-Mtime {mtime}")
        new = path not in cloud.files
        file = cloud.files[path] = File(content, int(mtime) if mtime else int(cloud.now()), checksum)
        headers = {"OC-ETag": f'"{file.etag}"', "ETag": f'"{file.etag}"', "OC-FileId": f"{file.id:08}ocinstance"}
        if mtime:
            headers["X-OC-MTime"] = "accepted"
        return 201 if new else 204, headers, ""

    def checksum(self, cloud, content):
        """Nextcloud keeps what it is told; ownCloud compares it and computes the others."""
        told = self.headers.get("OC-Checksum", "")
        if told and not re.fullmatch(r"(SHA1:[0-9a-f]{40}|MD5:[0-9a-f]{32}|SHA256:[0-9a-f]{64})", told):
            raise Refuse(400, "Sabre\\DAV\\Exception\\BadRequest", f"OC-Checksum {told}")
        if not cloud.owncloud:
            return told
        sums = [f"{kind}:{hashlib.new(kind.lower(), content).hexdigest()}" for kind in ("SHA1", "MD5")]
        if told and told.split(":")[0] in ("SHA1", "MD5") and told not in sums:
            raise Refuse(400, "Sabre\\DAV\\Exception\\BadRequest", "The computed checksum does not match the one received from the client.")
        return " ".join(sums)

    def put(self, cloud, path, is_dir):
        with cloud.lock:
            if is_dir:
                raise Refuse(409, "Sabre\\DAV\\Exception\\Conflict", "PUT is not allowed on non-files.")
            self.may_store(cloud, path)
            self.need_parent(cloud, path, 404)
            self.room(cloud, self.unread)
        content = self.read_body(cloud)                     # a body that is cut leaves nothing: PUT is atomic here
        with cloud.lock:
            return self.store(cloud, path, content, self.checksum(cloud, content))

    def mkcol(self, cloud, path, is_dir):
        with cloud.lock:
            if self.read_body(cloud):
                raise Refuse(415, "Sabre\\DAV\\Exception\\UnsupportedMediaType", "The request body for the MKCOL request must have an xml Content-Type")
            if path in cloud.folders or path in cloud.files:
                raise Refuse(405, "Sabre\\DAV\\Exception\\MethodNotAllowed", "The resource you tried to create already exists")
            self.need_parent(cloud, path, 409)
            cloud.folders.add(path)
            return 201, {}, ""

    def delete(self, cloud, path, is_dir):
        with cloud.lock:
            if path in cloud.files:
                del cloud.files[path]
            elif path in cloud.folders and path != "/":
                cloud.folders = {f for f in cloud.folders if f != path and not f.startswith(path + "/")}
                cloud.files = {f: v for f, v in cloud.files.items() if not f.startswith(path + "/")}
            else:
                raise Refuse(404, "Sabre\\DAV\\Exception\\NotFound", f"File with name {path} could not be located")
            return 204, {}, ""

    # ---- PROPFIND

    def wanted(self):
        if self.headers.get("Depth") not in ("0", "1"):
            raise Refuse(403, "Sabre\\DAV\\Exception\\Forbidden", "Depth: infinity is not allowed")
        try:
            return [p.tag for p in ET.fromstring(self.read_body(self.server.cloud)).find("{DAV:}prop")]
        except (ET.ParseError, TypeError) as why:
            raise Refuse(400, "Sabre\\DAV\\Exception\\BadRequest", f"no propfind document: {why}")

    def described(self, href, known, wanted):
        rows = {200: [], 404: []}
        for tag in wanted:
            namespace, name = tag[1:].split("}")
            prefix = NAMES.get(namespace, "x")
            value = known.get(name)
            rows[404 if value is None else 200].append(f"<{prefix}:{name}/>" if value is None else f"<{prefix}:{name}>{value}</{prefix}:{name}>")
        stats = [f"<d:propstat><d:prop>{''.join(rows[s])}</d:prop><d:status>HTTP/1.1 {s} {w}</d:status></d:propstat>"
                 for s, w in ((404, "Not Found"), (200, "OK")) if rows[s]]
        return f"<d:response><d:href>{href}</d:href>{''.join(stats)}</d:response>"

    def multistatus(self, responses):
        return 207, {}, ('<?xml version="1.0"?>\n<d:multistatus xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns" xmlns:oc="http://owncloud.org/ns">' +
                         "".join(responses) + "</d:multistatus>\n")

    def propfind(self, cloud, path, is_dir):
        wanted = self.wanted()
        with cloud.lock:
            href = self.path
            if path in cloud.folders:
                return self.multistatus([self.described(href, {"resourcetype": "<d:collection/>", "getetag": "&quot;folder&quot;"}, wanted)])
            file = cloud.files.get(path)
            if file is None:
                raise Refuse(404, "Sabre\\DAV\\Exception\\NotFound", f"File with name {path} could not be located")
            known = {"resourcetype": "", "getcontentlength": len(file.content), "getetag": f"&quot;{file.etag}&quot;",
                     "getlastmodified": formatdate(file.mtime, usegmt=True)}
            if file.checksum:
                known["checksums"] = f"<oc:checksum>{file.checksum}</oc:checksum>"
            return self.multistatus([self.described(href, known, wanted)])

    # ---- chunked upload v2

    def destination(self, cloud):
        """Path below files/USER of the Destination header, which every step of version 2 carries."""
        text = self.headers.get("Destination", "")
        prefix = f"http://{self.headers['Host']}/remote.php/dav/files/{urllib.parse.quote(cloud.user)}/"
        if not text.startswith(prefix) or len(text) == len(prefix):
            raise Refuse(400, "Sabre\\DAV\\Exception\\BadRequest", f"Destination {text!r} is not below {prefix}")
        return "/" + urllib.parse.unquote(text[len(prefix):])

    def total(self):
        text = self.headers.get("OC-Total-Length", "")
        if not text.isdigit():
            raise Refuse(400, "Sabre\\DAV\\Exception\\BadRequest", f"OC-Total-Length {text!r}")
        return int(text)

    def in_uploads(self, cloud, rest):
        with cloud.lock:
            cloud.expire()
        if len(rest) == 1 and self.command == "MKCOL":
            return self.make_folder(cloud, rest[0])
        folder = cloud.uploads.get(rest[0]) if rest else None
        if folder is None:
            raise Refuse(404, "Sabre\\DAV\\Exception\\NotFound", f"File not found: {'/'.join(rest)}")
        if len(rest) == 1 and self.command == "DELETE":
            with cloud.lock:
                del cloud.uploads[rest[0]]
            return 204, {}, ""
        if len(rest) == 1 and self.command == "PROPFIND":
            return self.list_folder(cloud, folder)
        if len(rest) == 2 and self.command == "PUT":
            return self.put_chunk(cloud, rest[0], folder, rest[1])
        if len(rest) == 2 and rest[1] == ".file" and self.command == "MOVE":
            return self.assemble(cloud, rest[0], folder)
        raise Refuse(405, "Sabre\\DAV\\Exception\\MethodNotAllowed", f"{self.command} is not known here")

    def make_folder(self, cloud, name):
        destination = self.destination(cloud)
        with cloud.lock:
            if name in cloud.uploads:
                raise Refuse(405, "Sabre\\DAV\\Exception\\MethodNotAllowed", "The resource you tried to create already exists")
            cloud.uploads[name] = Folder(destination, cloud.now())
        return 201, {}, ""

    def same_upload(self, cloud, folder):
        destination, total = self.destination(cloud), self.total()
        if destination != folder.destination:
            raise Refuse(400, "Sabre\\DAV\\Exception\\BadRequest", f"Destination was {folder.destination}, is {destination}")
        if folder.total not in (None, total):
            raise Refuse(400, "Sabre\\DAV\\Exception\\BadRequest", f"OC-Total-Length was {folder.total}, is {total}")
        return total

    def put_chunk(self, cloud, name, folder, number):
        total = self.same_upload(cloud, folder)
        if not re.fullmatch(r"\d{5}", number) or not 1 <= int(number) <= 10000:
            raise Refuse(400, "Sabre\\DAV\\Exception\\BadRequest", f"{number} is no name of a chunk")
        if self.unread > CHUNK_MAX or self.unread == 0:
            raise Refuse(400, "Sabre\\DAV\\Exception\\BadRequest", f"a chunk has {self.unread} bytes")
        with cloud.lock:
            self.room(cloud, self.unread)
        content = self.read_body(cloud)
        with cloud.lock:
            if name not in cloud.uploads:
                raise Refuse(404, "Sabre\\DAV\\Exception\\NotFound", f"File not found: {name}")
            self.room(cloud, len(content))
            new = number not in folder.chunks
            folder.chunks[number], folder.total, folder.touched = content, total, cloud.now()
        return 201 if new else 204, {"OC-ETag": f'"{hashlib.md5(content).hexdigest()}"'}, ""

    def list_folder(self, cloud, folder):
        wanted = self.wanted()
        base = self.path.rstrip("/")
        with cloud.lock:
            rows = [self.described(base + "/", {"resourcetype": "<d:collection/>"}, wanted)]
            if self.headers["Depth"] == "1":
                rows += [self.described(f"{base}/{n}", {"resourcetype": "", "getcontentlength": len(c)}, wanted) for n, c in sorted(folder.chunks.items())]
                rows.append(self.described(f"{base}/.file", {"resourcetype": "", "getcontentlength": 0}, wanted))
        return self.multistatus(rows)

    def assemble(self, cloud, name, folder):
        with cloud.lock:
            if cloud.locked > 0:
                cloud.locked -= 1
                raise Refuse(423, "OCA\\DAV\\Connector\\Sabre\\Exception\\FileLocked", "is locked, existing lock on file")
            total, path = self.same_upload(cloud, folder), folder.destination
            self.may_store(cloud, path)
            self.need_parent(cloud, path, 409)
            if self.headers.get("Overwrite", "T") == "F" and path in cloud.files:
                raise Refuse(412, "Sabre\\DAV\\Exception\\PreconditionFailed", "The destination node already exists, and the overwrite header is set to false")
            names = sorted(folder.chunks)
            if names != [f"{n:05}" for n in range(1, len(names) + 1)]:
                raise Refuse(400, "Sabre\\DAV\\Exception\\BadRequest", f"chunks are missing: {names}")
            if any(len(folder.chunks[n]) < CHUNK_MIN for n in names[:-1]):
                raise Refuse(400, "Sabre\\DAV\\Exception\\BadRequest", "a chunk but the last has less than 5 MB")
            content = b"".join(folder.chunks[n] for n in names)
            if len(content) != total:
                raise Refuse(400, "Sabre\\DAV\\Exception\\BadRequest", f"Chunks on server do not sum up to {total} but to {len(content)} bytes")
            answer = self.store(cloud, path, content, self.checksum(cloud, content) if "OC-Checksum" in self.headers else "")
            del cloud.uploads[name]
            return answer
