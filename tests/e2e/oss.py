"""A strict Aliyun OSS for the tests: there is no open one. Standard library only; one thread per connection, on loopback.

It checks what OSS documents: signatures V1 and V4 (header, URL, PostObject policy), dates, STS tokens, Content-MD5, order, size and ETags of
parts, x-oss-forbid-overwrite; it really calls callbacks; refusals come as OSS's XML, for HEAD in x-oss-err. Objects are plain files.
test_oss.py makes the vendor's own SDKs upload to it in the same run. Faults are put in with Oss.fault(); every request is in Oss.log.
Sources: OSS documentation, "Signature version 1", "Signature version 4", "PostObject", "Callback", "Error codes" and the pages of the operations.
"""
import base64
import binascii
import email.utils
import fnmatch
import hashlib
import hmac
import http.server
import json
import os
import re
import socket
import threading
import time
import urllib.parse
import urllib.request
import uuid
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape

REGION = "cn-hangzhou"
PART_MIN, SKEW_S, CALLBACK_S = 100 << 10, 900, 5
V4 = "OSS4-HMAC-SHA256"
KEPT = ("content-type", "cache-control", "content-disposition", "content-encoding", "expires")
SUBRESOURCES = {"acl", "append", "callback", "callback-var", "continuation-token", "delete", "location", "objectMeta", "partNumber", "policy",
                "position", "restore", "security-token", "sequential", "symlink", "tagging", "uploadId", "uploads", "versionId", "versions",
                "x-oss-process", "x-oss-traffic-limit", "response-content-type", "response-content-language", "response-expires",
                "response-cache-control", "response-content-disposition", "response-content-encoding"}


def _table(bits):
    table = []
    for value in range(1 << bits):
        for _ in range(bits):
            value = value >> 1 ^ (0xC96C5795D7870F42 if value & 1 else 0)
        table.append(value)
    return table


TABLE8, TABLE16 = _table(8), _table(16)


def crc64(data):
    """ECMA-182, reflected: bit by bit in the table, two bytes at a time in the loop."""
    crc, even = (1 << 64) - 1, len(data) & ~1
    for pair in memoryview(data)[:even].cast("H"):
        crc = TABLE16[(crc ^ pair) & 0xFFFF] ^ crc >> 16
    for byte in data[even:]:
        crc = TABLE8[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ (1 << 64) - 1


assert crc64(b"123456789") == 11051210869376104954


def hmac_bytes(key, text, how="sha256"):
    return hmac.new(key, text.encode(), how).digest()


def upper_md5(data):
    return hashlib.md5(data).hexdigest().upper()


class Refused(Exception):
    def __init__(self, status, code, message="refused by the emulator", **fields):
        super().__init__(code)
        self.status, self.code, self.message, self.fields = status, code, message, fields


class Fault:
    """What happens to requests that fit, so many times: a Refused, "lost" (done, but nobody hears of it), or a function of the handler."""

    def __init__(self, method, target, what, times):
        self.method, self.target, self.what, self.left = method, target, what, times


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 64

    def handle_error(self, request, client_address):
        """A client that went away is no error here."""


class Oss:
    def __init__(self, folder, key="hoistkey", secret="hoistsecret", token=None, region=REGION, buckets=("bucket",)):
        self.folder, self.key, self.secret, self.token, self.region = folder, key, secret, token, region
        self.objects = {b: {} for b in buckets}     # bucket -> key -> {path, size, etag, crc, md5, type, headers}
        self.uploads = {}                           # id -> {bucket, key, headers, initiated, parts: {number: {path, size, etag, crc}}}
        self.lock, self.log, self.faults = threading.RLock(), [], []
        self.clock_s, self.page, self.token_expired = 0, 1000, False
        os.makedirs(folder, exist_ok=True)
        self.http = Listener(("127.0.0.1", 0), type("Handler", (Handler,), {"oss": self}))
        self.port = self.http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()

    def fault(self, method, target, what, times=1):
        """target: a regular expression over path and query."""
        with self.lock:
            self.faults.append(Fault(method, target, what, times))

    def now(self):
        return time.time() + self.clock_s

    def requests(self, method=".*", target=".*"):
        with self.lock:
            return [e for e in self.log if re.fullmatch(method, e["method"]) and re.search(target, e["target"])]

    def get(self, key, bucket="bucket"):
        with open(self.objects[bucket][key]["path"], "rb") as f:
            return f.read()

    def put(self, bucket, key, data, kind, etag, headers):
        path = os.path.join(self.folder, f"o-{uuid.uuid4().hex}")
        with open(path, "wb") as f:
            f.write(data)
        with self.lock:
            self.objects[bucket][key] = {"path": path, "size": len(data), "etag": etag, "crc": crc64(data), "type": kind, "headers": headers,
                                         "at": self.now()}
            return self.objects[bucket][key]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "AliyunOSS", ""
    oss = None

    def log_message(self, *args):
        pass

    def date_time_string(self, timestamp=None):
        return email.utils.formatdate(self.oss.now(), usegmt=True)

    # ------------------------------------------------------------------------------------------------------- one request

    def handle_any(self):
        self.rid = uuid.uuid4().hex[:24].upper()
        self.body = self.read_body()
        path, _, self.raw_query = self.path.partition("?")
        self.query = dict(urllib.parse.parse_qsl(self.raw_query, keep_blank_values=True, encoding="utf-8"))
        self.names = {k.lower(): v for k, v in self.headers.items()}
        bucket, _, key = path.lstrip("/").partition("/")
        host = self.names.get("host", "").split(":")[0]
        if host.endswith(".localhost"):
            bucket, key = host.removesuffix(".localhost"), path.lstrip("/")
        self.bucket, self.key = urllib.parse.unquote(bucket), urllib.parse.unquote(key)
        entry = {"method": self.command, "target": self.path, "bytes": len(self.body), "headers": self.names, "status": None}
        with self.oss.lock:
            self.oss.log.append(entry)
        fault = self.take_fault()
        try:
            if isinstance(fault, Refused):
                raise fault
            if callable(fault):
                self.rid, answer = None, fault(self)
            else:
                answer = self.operate()
        except Refused as why:
            answer = self.refusal(why)
        except Exception as why:    # a test must not wait for an answer that never comes
            answer = self.refusal(Refused(500, "InternalError", f"the emulator failed: {why!r}"))
        entry["status"] = answer[0]
        if fault == "lost":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send(*answer)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            data = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def take_fault(self):
        with self.oss.lock:
            for f in self.oss.faults:
                if f.left > 0 and re.fullmatch(f.method, self.command) and re.search(f.target, self.path):
                    f.left -= 1
                    return f.what
        return None

    def refusal(self, why):
        fields = {"Code": why.code, "Message": why.message, "RequestId": self.rid or "-", "HostId": self.names.get("host", ""), "EC": "0002-00000000",
                  **why.fields}
        document = '<?xml version="1.0" encoding="UTF-8"?>\n<Error>' + "".join(
            f"<{k}>{escape(str(v))}</{k}>" for k, v in fields.items()) + "</Error>"
        headers = {"Content-Type": "application/xml", "x-oss-ec": fields["EC"]}
        if self.command == "HEAD":
            headers["x-oss-err"] = base64.b64encode(document.encode()).decode()
            return why.status, headers, b""
        return why.status, headers, document.encode()

    def send(self, status, headers, body):
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if self.rid:        # an injected answer need not be OSS's
                self.send_header("x-oss-request-id", self.rid)
            if "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
        except OSError:
            self.close_connection = True

    # ------------------------------------------------------------------------------------------------------- who asks

    def authorize(self):
        auth = self.names.get("authorization", "")
        if auth.startswith(V4 + " "):
            self.check_v4_header(auth)
        elif auth.startswith("OSS "):
            self.check_v1_header(auth)
        elif "x-oss-signature" in self.query:
            self.check_v4_url()
        elif "Signature" in self.query:
            self.check_v1_url()
        else:
            raise Refused(403, "AccessDenied", "You have no right to access this object because of bucket acl.")

    def same(self, ours, theirs, text):
        if not hmac.compare_digest(ours, theirs):
            raise Refused(403, "SignatureDoesNotMatch",
                          "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
                          StringToSign=text, SignatureProvided=theirs)

    def check_key(self, key):
        if key != self.oss.key:
            raise Refused(403, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records.", OSSAccessKeyId=key)

    def check_token(self, token):
        if self.oss.token_expired and token:
            raise Refused(403, "SecurityTokenExpired", "The security token you provided has expired.")
        if token != self.oss.token:
            raise Refused(403, "InvalidAccessKeyId" if token is None else "InvalidSecurityToken", "The security token you provided is invalid.")

    def check_date(self, at):
        if abs(at - self.oss.now()) > SKEW_S:
            raise Refused(403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.",
                          ServerTime=time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(self.oss.now())))

    def resource(self, coded):
        key = urllib.parse.quote(self.key, safe="/-_.~") if coded else self.key
        return f"/{self.bucket}/{key}" if self.bucket else "/"

    def v1_text(self, date, query):
        lines = [self.command, self.names.get("content-md5", ""), self.names.get("content-type", ""), date]
        lines += [f"{k}:{v.strip()}" for k, v in sorted(self.names.items()) if k.startswith("x-oss-")]
        signed = [f"{k}={v}" if v else k for k, v in sorted(query.items()) if k in SUBRESOURCES]
        return "\n".join(lines) + "\n" + self.resource(False) + ("?" + "&".join(signed) if signed else "")

    def v1_signature(self, text):
        return base64.b64encode(hmac_bytes(self.oss.secret.encode(), text, "sha1")).decode()

    def check_v1_header(self, auth):
        key, _, signature = auth.removeprefix("OSS ").partition(":")
        self.check_key(key)
        date = self.names.get("x-oss-date", self.names.get("date"))
        try:
            self.check_date(email.utils.parsedate_to_datetime(date).timestamp())
        except (TypeError, ValueError):
            raise Refused(403, "AccessDenied", "OSS authentication requires a valid Date.") from None
        text = self.v1_text(date, self.query)
        self.same(self.v1_signature(text), signature, text)
        self.check_token(self.names.get("x-oss-security-token"))

    def check_v1_url(self):
        self.check_key(self.query.get("OSSAccessKeyId", ""))
        if int(self.query.get("Expires", 0)) < self.oss.now():
            raise Refused(403, "AccessDenied", "Request has expired.", Expires=self.query.get("Expires", ""))
        text = self.v1_text(self.query["Expires"], self.query)
        self.same(self.v1_signature(text), self.query["Signature"], text)
        self.check_token(self.query.get("security-token"))

    def v4_signature(self, scope, stamp, canonical):
        text = f"{V4}\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        return hmac.new(self.v4_key(scope), text.encode(), "sha256").hexdigest()

    def v4_key(self, scope):
        key = ("aliyun_v4" + self.oss.secret).encode()
        for word in scope.split("/"):
            key = hmac_bytes(key, word)
        return key

    def v4_scope(self, credential, stamp):
        key, _, scope = credential.partition("/")
        self.check_key(key)
        words = scope.split("/")
        if len(words) != 4 or words[2:] != ["oss", "aliyun_v4_request"] or words[0] != stamp[:8]:
            raise Refused(400, "InvalidArgument", "Invalid credential scope in Authorization header.")
        if words[1] != self.oss.region:
            raise Refused(403, "AccessDenied", "The bucket you are attempting to access must be addressed using the specified endpoint. "
                          "Please send all future requests to this endpoint.", Endpoint=f"oss-{self.oss.region}.aliyuncs.com", Bucket=self.bucket)
        return scope

    def stamp_time(self, stamp):
        if not re.fullmatch(r"\d{8}T\d{6}Z", stamp or ""):
            raise Refused(403, "AccessDenied", "x-oss-date is missing or malformed.")
        return email.utils.parsedate_to_datetime(
            time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.strptime(stamp, "%Y%m%dT%H%M%SZ"))).timestamp()

    def v4_canonical(self, query, additional):
        names = [k for k in self.names if k in ("content-type", "content-md5") or k.startswith("x-oss-") or k in additional]
        code = lambda text: urllib.parse.quote(text, safe="-_.~")
        pairs = sorted((code(k), code(v)) for k, v in query.items())
        line = "&".join(f"{k}={v}" if v else k for k, v in pairs)
        headers = "".join(f"{k}:{self.names[k].strip()}\n" for k in sorted(names))
        return "\n".join([self.command, self.resource(True), line, headers, ";".join(additional), "UNSIGNED-PAYLOAD"])

    def check_v4_header(self, auth):
        fields = dict(f.strip().split("=", 1) for f in auth.removeprefix(V4).split(","))
        stamp = self.names.get("x-oss-date")
        self.check_date(self.stamp_time(stamp))
        scope = self.v4_scope(fields.get("Credential", ""), stamp)
        if self.names.get("x-oss-content-sha256") != "UNSIGNED-PAYLOAD":
            raise Refused(400, "InvalidArgument", "x-oss-content-sha256 must be UNSIGNED-PAYLOAD.")
        additional = [n for n in fields.get("AdditionalHeaders", "").split(";") if n]
        canonical = self.v4_canonical(self.query, additional)
        self.same(self.v4_signature(scope, stamp, canonical), fields.get("Signature", ""), canonical)
        self.check_token(self.names.get("x-oss-security-token"))

    def check_v4_url(self):
        query = {k: v for k, v in self.query.items() if k != "x-oss-signature"}
        stamp, expires = query.get("x-oss-date"), int(query.get("x-oss-expires", 0))
        if query.get("x-oss-signature-version") != V4 or not 0 < expires <= 604800:
            raise Refused(400, "InvalidArgument", "The signed URL lacks its version, or has no good time to live.")
        if self.stamp_time(stamp) + expires < self.oss.now():
            raise Refused(403, "AccessDenied", "Request has expired.", Expires=expires)
        scope = self.v4_scope(query.get("x-oss-credential", ""), stamp)
        additional = [n for n in query.get("x-oss-additional-headers", "").split(";") if n]
        canonical = self.v4_canonical(query, additional)
        self.same(self.v4_signature(scope, stamp, canonical), self.query["x-oss-signature"], canonical)
        self.check_token(query.get("x-oss-security-token"))

    # ------------------------------------------------------------------------------------------------------- what is asked

    def operate(self):
        if self.command == "POST" and not self.key and "multipart/form-data" in self.names.get("content-type", ""):
            return self.post_object()
        self.authorize()
        if self.bucket not in self.oss.objects:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist.", BucketName=self.bucket)
        if not self.key:
            return self.list_uploads() if self.command == "GET" and "uploads" in self.query else self.list_objects()
        self.check_name()
        rows = [("POST", "uploads", self.initiate), ("PUT", "partNumber", self.put_part), ("GET", "uploadId", self.list_parts),
                ("POST", "uploadId", self.complete), ("DELETE", "uploadId", self.abort), ("PUT", None, self.put_object),
                ("HEAD", None, self.show), ("GET", None, self.show), ("DELETE", None, self.delete)]
        for method, parameter, what in rows:
            if self.command == method and (parameter is None or parameter in self.query):
                return what()
        raise Refused(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")

    def check_name(self):
        raw = self.key.encode("utf-8", "surrogateescape")
        if not 0 < len(raw) <= 1023 or self.key[0] in "/\\" or "\ufffd" in self.key:
            raise Refused(400, "InvalidObjectName", "The specified object is not valid.", ObjectName=self.key)

    def check_body(self):
        if "content-length" not in self.names and "transfer-encoding" not in self.names:
            raise Refused(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
        told = self.names.get("content-md5")
        if told is None:
            return
        try:
            right = base64.b64decode(told, validate=True) == hashlib.md5(self.body).digest()
        except binascii.Error:
            right = False
        if not right:
            raise Refused(400, "InvalidDigest", "The Content-MD5 you specified was invalid.")

    def check_limits(self, headers):
        limit = headers.get("x-oss-traffic-limit")
        if limit is not None and not 819200 <= int(limit) <= 838860800:
            raise Refused(400, "InvalidArgument", "The traffic limit is out of range.")
        allowed = {"x-oss-object-acl": ("default", "private", "public-read", "public-read-write"),
                   "x-oss-storage-class": ("Standard", "IA", "Archive", "ColdArchive", "DeepColdArchive"),
                   "x-oss-server-side-encryption": ("AES256", "KMS", "SM4")}
        for name, values in allowed.items():
            if name in headers and headers[name] not in values:
                raise Refused(400, "InvalidArgument", f"no such {name}", ArgumentName=name, ArgumentValue=headers[name])
        if sum(len(k) + len(v) for k, v in headers.items() if k.startswith("x-oss-meta-")) > 8192:
            raise Refused(400, "InvalidArgument", "The user metadata is too large.")

    def check_overwrite(self, headers, bucket, key):
        if headers.get("x-oss-forbid-overwrite") == "true" and key in self.oss.objects[bucket]:
            raise Refused(409, "FileAlreadyExists", "The object you specified already exists and can not be overwritten.")

    @staticmethod
    def kept(headers):
        return {k: v for k, v in headers.items() if k in KEPT or k.startswith(
            ("x-oss-meta-", "x-oss-object-acl", "x-oss-storage-class", "x-oss-server-side-encryption", "x-oss-tagging"))}

    def told(self, o):
        return {"ETag": f'"{o["etag"]}"', "x-oss-hash-crc64ecma": str(o["crc"]), "x-oss-server-time": "1"}

    def put_object(self):
        self.check_body()
        self.check_limits(self.names)
        with self.oss.lock:
            self.check_overwrite(self.names, self.bucket, self.key)
            o = self.oss.put(self.bucket, self.key, self.body, "Normal", upper_md5(self.body), self.kept(self.names))
        headers = {**self.told(o), "Content-MD5": base64.b64encode(hashlib.md5(self.body).digest()).decode()}
        return self.call_back(self.names.get("x-oss-callback"), self.names.get("x-oss-callback-var"), {}, headers, o, b"")

    def upload(self):
        u = self.oss.uploads.get(self.query["uploadId"])
        if u is None or (u["bucket"], u["key"]) != (self.bucket, self.key):
            raise Refused(404, "NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid, or the upload may have been "
                          "aborted or completed.", UploadId=self.query["uploadId"])
        return u

    def xml(self, root, inner, headers=None):
        document = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}>{inner}</{root}>'
        return 200, {"Content-Type": "application/xml", **(headers or {})}, document.encode()

    @staticmethod
    def elements(**fields):
        return "".join(f"<{k}>{escape(str(v))}</{k}>" for k, v in fields.items())

    def initiate(self):
        self.check_limits(self.names)
        with self.oss.lock:
            self.check_overwrite(self.names, self.bucket, self.key)
            upload_id = uuid.uuid4().hex.upper()
            self.oss.uploads[upload_id] = {"bucket": self.bucket, "key": self.key, "headers": self.kept(self.names), "parts": {},
                                           "initiated": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(self.oss.now()))}
        return self.xml("InitiateMultipartUploadResult", self.elements(Bucket=self.bucket, Key=self.key, UploadId=upload_id))

    def put_part(self):
        number = int(self.query["partNumber"])
        if not 1 <= number <= 10000:
            raise Refused(400, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
        self.check_body()
        self.check_limits(self.names)
        path = os.path.join(self.oss.folder, f"p-{uuid.uuid4().hex}")
        with self.oss.lock:
            u = self.upload()
            with open(path, "wb") as f:
                f.write(self.body)
            part = {"path": path, "size": len(self.body), "etag": upper_md5(self.body), "crc": crc64(self.body)}
            u["parts"][number] = part
        return 200, {**self.told(part), "Content-MD5": base64.b64encode(hashlib.md5(self.body).digest()).decode()}, b""

    def list_parts(self):
        with self.oss.lock:
            u = self.upload()
            marker, most = int(self.query.get("part-number-marker") or 0), min(int(self.query.get("max-parts") or 1000), self.oss.page)
            numbers = sorted(n for n in u["parts"] if n > marker)
            page = numbers[:most]
            inner = self.elements(Bucket=self.bucket, Key=self.key, UploadId=self.query["uploadId"], MaxParts=most,
                                  IsTruncated=str(len(numbers) > most).lower(), PartNumberMarker=marker,
                                  NextPartNumberMarker=page[-1] if page else 0)
            for n in page:
                p = u["parts"][n]
                inner += "<Part>" + self.elements(PartNumber=n, LastModified=u["initiated"], ETag=f'"{p["etag"]}"', HashCrc64ecma=p["crc"],
                                                  Size=p["size"]) + "</Part>"
        return self.xml("ListPartsResult", inner)

    def list_uploads(self):
        url = self.query.get("encoding-type") == "url"
        code = lambda text: urllib.parse.quote(text, safe="") if url else text
        after = (self.query.get("key-marker", ""), self.query.get("upload-id-marker", ""))
        most = min(int(self.query.get("max-uploads") or 1000), self.oss.page)
        with self.oss.lock:
            rows = sorted((u["key"], i, u["initiated"]) for i, u in self.oss.uploads.items()
                          if u["bucket"] == self.bucket and u["key"].startswith(self.query.get("prefix", "")))
        rows = [r for r in rows if r[:2] > after or (after[1] == "" and r[0] > after[0])]
        page = rows[:most]
        inner = self.elements(Bucket=self.bucket, EncodingType="url" if url else "", IsTruncated=str(len(rows) > most).lower(),
                              NextKeyMarker=code(page[-1][0]) if page else "", NextUploadIdMarker=page[-1][1] if page else "", MaxUploads=most)
        for key, upload_id, at in page:
            inner += "<Upload>" + self.elements(Key=code(key), UploadId=upload_id, StorageClass="Standard", Initiated=at) + "</Upload>"
        return self.xml("ListMultipartUploadsResult", inner)

    def list_objects(self):
        if self.command != "GET":
            raise Refused(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        inner = self.elements(Name=self.bucket, Prefix=self.query.get("prefix", ""), MaxKeys=1000, IsTruncated="false")
        for key, o in sorted(self.oss.objects[self.bucket].items()):
            if key.startswith(self.query.get("prefix", "")):
                inner += "<Contents>" + self.elements(Key=key, ETag=f'"{o["etag"]}"', Type=o["type"], Size=o["size"]) + "</Contents>"
        return self.xml("ListBucketResult", inner)

    def named_parts(self, u):
        if self.names.get("x-oss-complete-all") == "yes":
            return sorted(u["parts"])
        try:
            root = ET.fromstring(self.body)
        except ET.ParseError:
            raise Refused(400, "MalformedXML", "The XML you provided was not well-formed.") from None
        named = [(int(p.findtext("{*}PartNumber", "0")), p.findtext("{*}ETag", "").strip('"')) for p in root.iter() if p.tag.endswith("Part")]
        if not named:
            raise Refused(400, "MalformedXML", "no parts")
        if [n for n, _ in named] != sorted({n for n, _ in named}):
            raise Refused(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
        for number, etag in named:
            if number not in u["parts"] or u["parts"][number]["etag"] != etag.upper():
                raise Refused(400, "InvalidPart", "One or more of the specified parts could not be found.", PartNumber=number)
        return [n for n, _ in named]

    def complete(self):
        with self.oss.lock:
            u = self.upload()
            numbers = self.named_parts(u)
            self.check_overwrite(self.names, self.bucket, self.key)
            for number in numbers[:-1]:
                if u["parts"][number]["size"] < PART_MIN:
                    raise Refused(400, "EntityTooSmall", "Your proposed upload smaller than the minimum allowed size.", PartNumber=number)
            data = b"".join(open(u["parts"][n]["path"], "rb").read() for n in numbers)
            # Not the MD5 of the MD5s, which nobody may rely on.
            etag = upper_md5(("oss" + "".join(u["parts"][n]["etag"] for n in numbers)).encode()) + f"-{len(numbers)}"
            headers = {**u["headers"], **({"x-oss-object-acl": self.names["x-oss-object-acl"]} if "x-oss-object-acl" in self.names else {})}
            o = self.oss.put(self.bucket, self.key, data, "Multipart", etag, headers)
            del self.oss.uploads[self.query["uploadId"]]
        answer = self.xml("CompleteMultipartUploadResult", self.elements(Location=f"{self.oss.url}/{self.bucket}/{self.key}",
                                                                         Bucket=self.bucket, Key=self.key, ETag=f'"{etag}"'), self.told(o))
        return self.call_back(self.names.get("x-oss-callback"), self.names.get("x-oss-callback-var"), {}, answer[1], o, answer[2])

    def abort(self):
        with self.oss.lock:
            self.upload()
            del self.oss.uploads[self.query["uploadId"]]
        return 204, {}, b""

    def show(self):
        with self.oss.lock:
            o = self.oss.objects[self.bucket].get(self.key)
            if o is None:
                raise Refused(404, "NoSuchKey", "The specified key does not exist.", Key=self.key)
            data = self.oss.get(self.key, self.bucket)
        headers = {**{k: v for k, v in o["headers"].items()}, **self.told(o), "x-oss-object-type": o["type"], "Content-Length": str(o["size"]),
                   "Last-Modified": email.utils.formatdate(o["at"], usegmt=True)}
        headers.setdefault("content-type", "application/octet-stream")
        return 200, headers, data

    def delete(self):
        with self.oss.lock:
            self.oss.objects[self.bucket].pop(self.key, None)
        return 204, {}, b""

    # ------------------------------------------------------------------------------------------------------- PostObject

    def form(self):
        """Names (lower case for all but variables) and values, and the file, which must come last."""
        boundary = re.search(r'boundary="?([^";]+)', self.names["content-type"]).group(1).encode()
        pieces = self.body.split(b"\r\n--" + boundary)
        if not self.body.startswith(b"--" + boundary) or pieces[-1].strip() != b"--":
            raise Refused(400, "MalformedPOSTRequest", "The body of your POST request is not well-formed multipart/form-data.")
        pieces[0] = pieces[0].removeprefix(b"--" + boundary)
        fields, file = {}, None
        for piece in pieces[:-1]:
            head, _, value = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
            name = re.search(rb'name="([^"]*)"', head).group(1).decode()
            if file is not None:
                raise Refused(400, "InvalidArgument", "the file is not the last field")
            if name == "file":
                file = value
                part_type = re.search(rb"(?i)content-type: *([^\r\n]+)", head)
            elif len(value) > 8192:
                raise Refused(400, "FieldItemTooLong", f"field {name} is too long")
            else:
                fields[name.lower()] = value.decode()
        if file is None:
            raise Refused(400, "IncorrectNumberOfFilesInPOSTRequest", "POST requires exactly one file upload per request.")
        if part_type and "content-type" not in fields:
            fields["content-type"] = part_type.group(1).decode()
        return fields, file

    def check_policy(self, fields, size):
        text = fields.get("policy")
        if text is None:
            raise Refused(403, "AccessDenied", "The form has no policy.")
        if "x-oss-signature" in fields:
            stamp = fields.get("x-oss-date", "")
            self.check_date(self.stamp_time(stamp))
            scope = self.v4_scope(fields.get("x-oss-credential", ""), stamp)
            ours = hmac.new(self.v4_key(scope), text.encode(), "sha256").hexdigest()
            self.same(ours, fields["x-oss-signature"], text)
        else:
            self.check_key(fields.get("ossaccesskeyid", ""))
            self.same(self.v1_signature(text), fields.get("signature", ""), text)
        self.check_token(fields.get("x-oss-security-token"))
        policy = json.loads(base64.b64decode(text))
        ends = time.strptime(policy["expiration"], "%Y-%m-%dT%H:%M:%S.000Z")
        if email.utils.parsedate_to_datetime(time.strftime("%a, %d %b %Y %H:%M:%S GMT", ends)).timestamp() < self.oss.now():
            raise Refused(403, "AccessDenied", "Invalid according to Policy: Policy expired.")
        rows = [c if isinstance(c, list) else ["eq", "$" + next(iter(c)), next(iter(c.values()))] for c in policy["conditions"]]
        for how, what, value, *more in rows:
            self.check_condition(how, what, value, more, {**fields, "bucket": self.bucket}, size)
        if "x-oss-signature" in fields and not {"$x-oss-date", "$x-oss-credential", "$x-oss-signature-version"} <= {r[1] for r in rows}:
            raise Refused(403, "AccessDenied", "Invalid according to Policy: the policy does not name who signs.")

    def check_condition(self, how, what, value, more, fields, size):
        if how == "content-length-range":
            if size < what:
                raise Refused(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size.")
            if size > value:
                raise Refused(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size.")
            return
        had = fields.get(what.removeprefix("$").lower(), "")
        fits = {"eq": lambda: had == value, "starts-with": lambda: had.startswith(value),
                "in": lambda: any(fnmatch.fnmatch(had, v) for v in value), "not-in": lambda: had not in value}[how]()
        if not fits or more:
            raise Refused(403, "AccessDenied", f'Invalid according to Policy: Policy Condition failed: ["{how}", "{what}", "{value}"]')

    def post_object(self):
        fields, file = self.form()
        if self.bucket not in self.oss.objects:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist.")
        self.check_policy(fields, len(file))
        self.key = fields.get("key", "")
        self.check_name()
        self.check_limits(fields)
        with self.oss.lock:
            self.check_overwrite(fields, self.bucket, self.key)
            o = self.oss.put(self.bucket, self.key, file, "Normal", upper_md5(file), self.kept(fields))
        status = int(fields.get("success_action_status", 204))
        if fields.get("callback"):
            variables = {k: v for k, v in fields.items() if k.startswith("x:")}
            return self.call_back(fields["callback"], None, variables, self.told(o), o, b"")
        if status != 201:
            return status if status == 200 else 204, self.told(o), b""
        document = "<PostResponse>" + self.elements(Bucket=self.bucket, Location=f"{self.oss.url}/{self.bucket}/{self.key}", Key=self.key,
                                                    ETag=f'"{o["etag"]}"') + "</PostResponse>"
        return 201, {"Content-Type": "application/xml", **self.told(o)}, document.encode()

    # ------------------------------------------------------------------------------------------------------- callbacks

    def call_back(self, spec, spec_vars, variables, headers, o, body):
        if not spec:
            return 200, headers, body
        try:
            call = json.loads(base64.b64decode(spec, validate=True))
            variables = {**variables, **(json.loads(base64.b64decode(spec_vars, validate=True)) if spec_vars else {})}
            urls, text = call["callbackUrl"].split(";"), call["callbackBody"]
        except (ValueError, KeyError):
            raise Refused(400, "InvalidArgument", "The callback configuration is not json format.") from None
        if any(k != k.lower() or not k.startswith("x:") for k in variables) or len(urls) > 5:
            raise Refused(400, "InvalidArgument", "The callback configuration is invalid.")
        known = {"bucket": self.bucket, "object": self.key, "etag": o["etag"], "size": o["size"], "crc64": str(o["crc"]),
                 "mimeType": o["headers"].get("content-type", ""), **variables}
        kind = call.get("callbackBodyType", "application/x-www-form-urlencoded")
        as_json = kind == "application/json"
        fill = lambda m: json.dumps(known.get(m.group(1), "")) if as_json else urllib.parse.quote(str(known.get(m.group(1), "")), safe="")
        sent = re.sub(r"\$\{([^}]+)\}", fill, text).encode()
        for url in urls:
            rq = urllib.request.Request(url, sent, {"Content-Type": kind, "User-Agent": "aliyun-oss-callback"}, method="POST")
            if call.get("callbackHost"):
                rq.add_header("Host", call["callbackHost"])
            try:
                with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(rq, timeout=CALLBACK_S) as answer:
                    words = answer.read(3 << 20)
                    json.loads(words)
                    return 200, {**headers, "Content-Type": "application/json"}, words
            except (OSError, ValueError) as why:
                reason = str(why)
        status, error_headers, document = self.refusal(Refused(203, "CallbackFailed", f"Error status : {reason}."))
        return status, {**headers, **error_headers}, document
