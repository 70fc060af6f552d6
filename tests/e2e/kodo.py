"""A strict stand-in for Qiniu Kodo: uploads (form, v1, v2), query API, stat, delete, downloads. Plain files below a folder; loopback only.

It checks what the documents say a server checks: every signature, scope, deadline and limit of a token, sizes, CRC-32, Content-MD5, the chain
of contexts, number, order and size of parts, expiry; and answers the documented errors. The SDKs of the vendor upload to it in test_qiniu.py,
which is what makes it a judge.

    kodo = Kodo(folder, {"ACCESS": "SECRET"}, {"bucket": {}})       # {"private": True}, {"max": bytes}
    kodo.rule("part", status=599)                                   # the next request of this kind; see rule()
    kodo.url, kodo.log, kodo.objects, kodo.close()
"""
import base64
import email.utils
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
import zlib

BLOCK = 4 << 20
MIB = 1 << 20
LIFE = 7 * 86400


def b64(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else data.encode()).decode()


def unb64(text):
    if not re.fullmatch(r"(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2}==|[A-Za-z0-9_-]{3}=)?", text):
        raise Refusal(400, "bad base64")
    return base64.urlsafe_b64decode(text)


def sha1(data):
    return hashlib.sha1(data).digest()


def blocks_of(data):
    return [sha1(data[i:i + BLOCK]) for i in range(0, len(data), BLOCK)] or [sha1(b"")]


def etag_of(data):
    sums = blocks_of(data)
    return b64(b"\x16" + sums[0]) if len(sums) == 1 else b64(b"\x96" + sha1(b"".join(sums)))


def etag_of_parts(parts):
    """parts: list of bytes."""
    if all(len(p) == BLOCK for p in parts[:-1]) and len(parts[-1]) <= BLOCK:
        return etag_of(b"".join(parts))
    sums = [s[0] if len(s) == 1 else sha1(b"".join(s)) for s in map(blocks_of, parts)]
    return b64(b"\x16" + sums[0]) if len(sums) == 1 else b64(b"\x9e" + sha1(b"".join(sums)))


class Refusal(Exception):
    def __init__(self, status, text):
        super().__init__(f"{status} {text}")
        self.status, self.text = status, text


def need(condition, status, text):
    if not condition:
        raise Refusal(status, text)


class Rule:
    def __init__(self, op, match, times, what):
        self.op, self.match, self.times, self.what, self.hits = op, match, times, what, 0


class Request:
    """What a handler has read from the socket."""

    def __init__(self, method, target, headers, body, port):
        self.method, self.target, self.headers, self.body, self.port = method, target, headers, body, port
        self.path, _, self.query = target.partition("?")
        self.args = dict(urllib.parse.parse_qsl(self.query, keep_blank_values=True))


class Kodo:
    name = "kodo"

    def __init__(self, folder, keys, buckets, doors=1):
        """doors: the first takes uploads, the others say "incorrect region"."""
        self.folder, self.keys, self.buckets = folder, keys, buckets
        self.objects = {}           # (bucket, key) -> {"hash", "fsize", "mimeType", "putTime", "meta", "path"}
        self.uploads, self.contexts, self.rules, self.log = {}, {}, [], []
        self.lock, self.serial, self.skew, self.context_life = threading.RLock(), 0, 0, LIFE
        self.up_hosts = None        # what the query API says; None = the first door
        os.makedirs(folder, exist_ok=True)
        self.servers = [Server(self) for _ in range(doors)]
        self.hosts = [f"127.0.0.1:{s.server_port}" for s in self.servers]
        self.host, self.url = self.hosts[0], f"http://{self.hosts[0]}"

    def close(self):
        for s in self.servers:
            s.shutdown()
            s.server_close()

    # ---- for tests

    def rule(self, op, match="", times=1, **what):
        """status, error, body, headers: this answer; after=True: having done the work. drop=True: no answer at all, with after=True a lost one.
        do=function(request): called before. Ops: query form init part list complete abort mkblk bput mkfile stat delete get."""
        rule = Rule(op, match, times, what)
        with self.lock:
            self.rules.append(rule)
        return rule

    def count(self, *ops, status=None):
        with self.lock:
            return len([e for e in self.log if e["op"] in ops and status in (None, e["status"])])

    def content(self, bucket, key):
        with open(self.objects[bucket, key]["path"], "rb") as f:
            return f.read()

    def contents(self, bucket):
        return {k: self.content(b, k) for b, k in list(self.objects) if b == bucket}

    def now(self):
        return time.time() + self.skew

    # ---- rights

    def sign(self, access, text):
        need(access in self.keys, 401, "bad token")
        return b64(hmac.new(self.keys[access].encode(), text if isinstance(text, bytes) else text.encode(), "sha1").digest())

    def policy(self, token):
        parts = (token or "").split(":")
        need(token, 401, "token not specified")
        need(len(parts) == 3, 401, "bad token")
        need(hmac.compare_digest(self.sign(parts[0], parts[2]), parts[1]), 401, "bad token")
        policy = json.loads(unb64(parts[2]))
        for name, kind in (("scope", str), ("deadline", int)):
            need(isinstance(policy.get(name), kind), 400, f"invalid {name}")
        for name in ("insertOnly", "fsizeMin", "fsizeLimit", "detectMime", "fileType", "deleteAfterDays", "isPrefixalScope"):
            need(isinstance(policy.get(name, 0), int), 400, f"invalid {name}")
        need(not policy.get("callbackUrl") or policy.get("callbackBody"), 400, "callbackBody must be specified")
        need(policy["deadline"] > self.now(), 401, "token out of date")
        return policy

    def up_policy(self, rq):
        scheme, _, token = rq.headers.get("Authorization", "").partition(" ")
        need(scheme == "UpToken", 401, "token not specified")
        return self.policy(token)

    def scope(self, policy, bucket, key):
        """bucket None: that of the scope."""
        own, colon, name = policy["scope"].partition(":")
        need(bucket in (None, own), 403, "bucket doesn't match scope")
        need(own in self.buckets, 631, "no such bucket")
        if colon and key is not None:
            fits = key.startswith(name) if policy.get("isPrefixalScope") else key == name
            need(fits, 403, "key doesn't match scope")
        need(key is None or "keylimit" not in policy or key in policy["keylimit"], 403, "key doesn't match keylimit")
        need(key is None or len(key.encode()) <= 750, 400, "key too long")
        return own

    def managed(self, rq):
        """QBox, or Qiniu with method and host."""
        scheme, _, value = rq.headers.get("Authorization", "").partition(" ")
        access, _, sign = value.partition(":")
        kind = rq.headers.get("Content-Type")
        form = rq.body if kind == "application/x-www-form-urlencoded" else b""
        if scheme == "QBox":
            text = rq.target.encode() + b"\n" + form
        else:
            need(scheme == "Qiniu", 401, "bad token")
            text = f"{rq.method} {rq.target}\nHost: {rq.headers['Host']}" + (f"\nContent-Type: {kind}" if kind else "")
            for name in sorted(n for n in rq.headers if n.lower().startswith("x-qiniu-")):
                text += f"\n{name}: {rq.headers[name]}"
            text = text.encode() + b"\n\n" + (rq.body if kind and kind != "application/octet-stream" else b"")
        need(hmac.compare_digest(self.sign(access, text), sign), 401, "bad token")
        if "X-Qiniu-Date" in rq.headers:
            sent = time.mktime(time.strptime(rq.headers["X-Qiniu-Date"], "%Y%m%dT%H%M%SZ")) - time.timezone
            need(abs(sent - self.now()) <= 900, 403, "request time is too skewed")

    # ---- the end of an upload

    def store(self, policy, key, data, etag, mime, fname, custom, meta):
        bucket = self.scope(policy, None, key)
        if policy.get("saveKey") and (key is None or policy.get("forceSaveKey")):
            key = self.fill(policy["saveKey"], {"etag": etag, "fname": fname, "ext": os.path.splitext(fname)[1], **custom}, False)
        scoped = policy["scope"].partition(":")[2]
        key = key if key is not None else scoped if scoped and not policy.get("isPrefixalScope") else etag
        need(len(data) <= policy.get("fsizeLimit", len(data)), 413, "request entity too large")
        need(len(data) >= policy.get("fsizeMin", 0), 403, "fsize less than fsizeMin")
        self.check_type(policy, mime)
        with self.lock:
            there = self.objects.get((bucket, key))
            new_only = policy.get("insertOnly") or ":" not in policy["scope"]
            need(not (there and new_only and there["hash"] != etag) and not (there and policy.get("insertOnly")), 614, "file exists")
            self.serial += 1
            path = os.path.join(self.folder, f"object-{self.serial}")
            with open(path, "wb") as f:
                f.write(data)
            self.objects[bucket, key] = {"hash": etag, "fsize": len(data), "mimeType": mime, "putTime": int(self.now() * 10**7),
                                         "type": policy.get("fileType", 0), "meta": meta, "path": path, "fname": fname}
        values = {"bucket": bucket, "key": key, "etag": etag, "fname": fname, "fsize": len(data), "mimeType": mime,
                  "ext": os.path.splitext(fname)[1], "endUser": policy.get("endUser", ""), "uuid": os.urandom(8).hex(), **custom}
        processing = {"persistentId": f"z0.{self.serial}"} if policy.get("persistentOps") else {}
        return self.tell(policy, {**values, **processing}, processing)

    @staticmethod
    def check_type(policy, mime):
        limit = policy.get("mimeLimit", "")
        listed = any(re.fullmatch(re.escape(p).replace(r"\*", ".*"), mime or "") for p in limit.lstrip("!").split(";"))
        need(not limit or listed != limit.startswith("!"), 403, "limited mimeType: this file type is forbidden to upload")

    @staticmethod
    def fill(template, values, as_json):
        """In JSON a variable outside of quotes becomes a JSON value; within them, text."""
        out, quoted = "", False
        for piece in re.findall(r'\\.|\$\([^)]*\)|.', template, re.S):
            name = piece[2:-1] if piece.startswith("$(") else None
            if name is None:
                quoted ^= as_json and piece == '"'
                out += piece
            else:
                value = values.get(name, None if as_json and not quoted else "")
                out += json.dumps(value, ensure_ascii=False) if as_json and not quoted else str(value)
        return out

    def tell(self, policy, values, processing):
        if policy.get("callbackUrl"):
            kind = policy.get("callbackBodyType", "application/x-www-form-urlencoded")
            quoted = values if kind.endswith("json") else {k: urllib.parse.quote(str(v)) for k, v in values.items()}
            body = self.fill(policy["callbackBody"], quoted, kind.endswith("json"))
            last = "no address"
            for url in policy["callbackUrl"].split(";"):
                try:
                    headers = {"Content-Type": kind, "Authorization": "QBox of the store"}
                    if policy.get("callbackHost"):
                        headers["Host"] = policy["callbackHost"]
                    with urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers), timeout=5) as answer:
                        return 200, json.loads(answer.read())
                except Exception as why:
                    last = str(why)
            return 579, {"error": f"callback failed: {last}"}
        if policy.get("returnBody"):
            return 200, json.loads(self.fill(policy["returnBody"], values, True))
        return 200, {"hash": values["etag"], "key": values["key"], **processing}

    # ---- form

    def do_form(self, rq):
        fields, file, fname, mime = self.read_form(rq)
        policy = self.policy(fields.get("token"))
        key = fields.get("key")
        self.scope(policy, None, key)
        if "crc32" in fields:
            need(re.fullmatch(r"\d+", fields["crc32"]) and int(fields["crc32"]) == zlib.crc32(file), 406, "crc32 does not match")
        custom = {k: v for k, v in fields.items() if k.startswith("x:")}
        meta = {k: v for k, v in fields.items() if k.startswith("x-qn-meta-")}
        return self.store(policy, key, file, etag_of(file), mime, fname, custom, meta)

    @staticmethod
    def read_form(rq):
        m = re.fullmatch(r'multipart/form-data; *boundary="?([^";]+)"?', rq.headers.get("Content-Type", ""))
        need(m, 400, "not a form")
        mark, body, fields, file = b"--" + m[1].encode(), rq.body, {}, None
        need(body.startswith(mark + b"\r\n") and body.endswith((b"\r\n" + mark + b"--\r\n", b"\r\n" + mark + b"--")), 400, "malformed form")
        inner = (b"\r\n" + body).rsplit(b"\r\n" + mark + b"--", 1)[0]
        for piece in inner.split(b"\r\n" + mark + b"\r\n")[1:]:
            head, gap, content = piece.partition(b"\r\n\r\n")
            need(gap, 400, "malformed part of a form")
            lines = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in head.decode().split("\r\n"))}
            name = re.search(r'\bname="((?:[^"\\]|\\.)*)"', lines.get("content-disposition", ""))
            need(name, 400, "a field without name")
            need(file is None or name[1] == "crc32", 400, "fields behind the file")
            if name[1] == "file":
                fname = re.search(r'filename="((?:[^"\\]|\\.)*)"', lines["content-disposition"])
                need(fname, 400, "the file has no filename")
                file, shown, mime = content, fname[1], lines.get("content-type", "application/octet-stream")
            else:
                need(name[1] not in fields, 400, "a field twice")
                fields[name[1]] = content.decode()
        need(file is not None, 400, "file is not specified in multipart")
        return fields, file, shown, mime

    # ---- resumable v1

    def block_answer(self, data, chunk, size):
        with self.lock:
            self.serial += 1
            ctx = b64(f"{self.serial}-{os.urandom(40).hex()}")
            self.contexts[ctx] = {"data": data, "size": size, "expires": self.now() + self.context_life}
        return 200, {"ctx": ctx, "checksum": b64(sha1(data)), "crc32": zlib.crc32(chunk), "offset": len(data), "host": self.url,
                     "expired_at": int(self.now() + self.context_life)}

    def context(self, ctx):
        with self.lock:
            found = self.contexts.get(ctx)
        need(found and found["expires"] > self.now(), 701, "invalid ctx" if not found else "ctx is expired")
        return found

    def do_mkblk(self, rq, size):
        self.scope(self.up_policy(rq), None, None)
        size = int(size)
        need(0 < size <= BLOCK, 400, "invalid block size")
        need(0 < len(rq.body) <= size, 400, "chunk larger than its block")
        return self.block_answer(rq.body, rq.body, size)

    def do_bput(self, rq, ctx, offset):
        self.scope(self.up_policy(rq), None, None)
        c = self.context(ctx)
        need(int(offset) == len(c["data"]) and len(c["data"]) + len(rq.body) <= c["size"], 701, "offset does not fit the ctx")
        with self.lock:
            self.contexts.pop(ctx)
        return self.block_answer(c["data"] + rq.body, rq.body, c["size"])

    def do_mkfile(self, rq, size, rest):
        policy = self.up_policy(rq)
        words = rest.split("/")[1:] if rest else []
        need(len(words) % 2 == 0, 400, "odd path")
        args = {name: unb64(value).decode() for name, value in zip(words[::2], words[1::2])}
        need(set(args) <= {"key", "mimeType", "fname"} or all(n.startswith(("x:", "x-qn-meta-")) for n in set(args) - {"key", "mimeType", "fname"}),
             400, "unknown word in the path")
        self.scope(policy, None, args.get("key"))
        need(rq.headers.get("Content-Type", "text/plain").startswith(("text/plain", "application/octet-stream")), 400, "wrong content type")
        contexts = rq.body.decode().split(",") if rq.body else []
        blocks = [self.context(c) for c in contexts]
        need(all(len(b["data"]) == b["size"] for b in blocks), 400, "a block is not whole")
        need(all(b["size"] == BLOCK for b in blocks[:-1]), 400, "a block in the middle is not 4 MiB")
        data = b"".join(b["data"] for b in blocks)
        need(len(data) == int(size), 400, "file size does not match")
        answer = self.store(policy, args.get("key"), data, etag_of(data), args.get("mimeType", "application/octet-stream"), args.get("fname", ""),
                            {k: v for k, v in args.items() if k.startswith("x:")}, {k: v for k, v in args.items() if k.startswith("x-qn-meta-")})
        with self.lock:
            for c in contexts:
                self.contexts.pop(c, None)
        return answer

    # ---- resumable v2

    def begin(self, rq, bucket, entry):
        policy = self.up_policy(rq)
        key = None if entry == "~" else unb64(entry).decode()
        self.scope(policy, bucket, key)
        return policy, key

    def upload(self, rq, bucket, entry, upload_id):
        policy, key = self.begin(rq, bucket, entry)
        with self.lock:
            up = self.uploads.get(upload_id)
        need(up and up["expires"] > self.now(), 612, "no such uploadId")
        need((up["bucket"], up["key"]) == (bucket, key), 612, "no such uploadId")
        return policy, up

    def do_init(self, rq, bucket, entry):
        _, key = self.begin(rq, bucket, entry)
        need(not rq.body, 400, "init has no body")
        with self.lock:
            upload_id = os.urandom(16).hex()
            self.uploads[upload_id] = {"bucket": bucket, "key": key, "parts": {}, "expires": self.now() + LIFE}
        return 200, {"uploadId": upload_id, "expireAt": int(self.now() + LIFE)}

    def do_part(self, rq, bucket, entry, upload_id, number):
        _, up = self.upload(rq, bucket, entry, upload_id)
        need(1 <= int(number) <= 10000 and number == str(int(number)), 400, "invalid part number")
        need(rq.headers.get("Content-Type") == "application/octet-stream", 400, "wrong content type")
        need(0 < len(rq.body) <= 1 << 30, 400, "invalid part size")
        md5 = hashlib.md5(rq.body).hexdigest()
        need(rq.headers.get("Content-MD5", md5) == md5, 400, "Content-MD5 does not match (lower-case hex)")
        etag = b64(sha1(rq.body)[:12] + os.urandom(3))
        with self.lock:
            up["parts"][int(number)] = {"data": rq.body, "etag": etag, "time": int(self.now())}
        return 200, {"etag": etag, "md5": md5}

    def do_list(self, rq, bucket, entry, upload_id):
        _, up = self.upload(rq, bucket, entry, upload_id)
        most, marker = int(rq.args.get("max-parts", 1000)), int(rq.args.get("part-number-marker", 0))
        need(1 <= most <= 1000, 400, "invalid max-parts")
        with self.lock:
            numbers = sorted(n for n in up["parts"] if n > marker)
            parts = [{"size": len(up["parts"][n]["data"]), "etag": up["parts"][n]["etag"], "partNumber": n, "putTime": up["parts"][n]["time"]}
                     for n in numbers[:most]]
        return 200, {"uploadId": upload_id, "expireAt": int(up["expires"]), "partNumberMarker": numbers[most - 1] if len(numbers) > most else 0,
                     "parts": parts}

    def do_complete(self, rq, bucket, entry, upload_id):
        policy, up = self.upload(rq, bucket, entry, upload_id)
        need(rq.headers.get("Content-Type", "").startswith("application/json"), 400, "wrong content type")
        document = json.loads(rq.body)
        allowed = {"parts", "fname", "mimeType", "metadata", "customVars", "cacheControl", "contentDisposition", "contentEncoding",
                   "contentLanguage", "expires"}
        need(set(document) <= allowed, 400, f"unknown member {set(document) - allowed}")
        numbers = [p["partNumber"] for p in document["parts"]]
        need(numbers and numbers == sorted(set(numbers)), 400, "invalid part order")
        with self.lock:
            for p in document["parts"]:
                need(up["parts"].get(p["partNumber"], {}).get("etag") == p["etag"], 400, "invalid part")
            pieces = [up["parts"][n]["data"] for n in numbers]
        need(all(len(p) >= MIB for p in pieces[:-1]), 400, "a part is smaller than 1 MiB")
        meta, custom = document.get("metadata") or {}, document.get("customVars") or {}
        need(all(n.startswith("x-qn-meta-") for n in meta) and all(n.startswith("x:") for n in custom), 400, "invalid name")
        answer = self.store(policy, up["key"], b"".join(pieces), etag_of_parts(pieces), document.get("mimeType", "application/octet-stream"),
                            document.get("fname", ""), custom, meta)
        with self.lock:
            self.uploads.pop(upload_id, None)
        return answer

    def do_abort(self, rq, bucket, entry, upload_id):
        self.upload(rq, bucket, entry, upload_id)
        with self.lock:
            self.uploads.pop(upload_id, None)
        return 200, {}

    # ---- the rest

    def do_query(self, rq):
        need(rq.args.get("ak") in self.keys, 401, "bad ak")
        need(rq.args.get("bucket") in self.buckets, 631, "no such bucket")
        hosts = {"domains": self.up_hosts or [self.host]}
        return 200, {"hosts": [{"region": "z0", "ttl": 86400, "up": {**hosts, "acc_domains": []}, "io": {"domains": [self.host]},
                                "rs": {"domains": [self.host]}, "rsf": {"domains": [self.host]}, "api": {"domains": [self.host]}}]}

    def entry(self, rq, entry):
        self.managed(rq)
        bucket, _, key = unb64(entry).decode().partition(":")
        need(bucket in self.buckets, 631, "no such bucket")
        need((bucket, key) in self.objects, 612, "no such file or directory")
        return bucket, key

    def do_stat(self, rq, entry):
        found = self.objects[self.entry(rq, entry)]
        return 200, {n: found[n] for n in ("fsize", "hash", "mimeType", "putTime", "type")}

    def do_delete(self, rq, entry):
        need(rq.method == "POST", 405, "method not allowed")
        with self.lock:
            self.objects.pop(self.entry(rq, entry))
        return 200, {}

    def do_get(self, rq):
        """Downloads: the one bucket, or the first; a private one wants e and token as the last arguments."""
        bucket = next(iter(self.buckets))
        key = urllib.parse.unquote(rq.path[1:])
        if self.buckets[bucket].get("private"):
            url, found, token = f"http://{rq.headers['Host']}{rq.target}".rpartition("&token=")
            need(found and "e=" in url, 401, "token not specified")
            access, _, sign = token.partition(":")
            need(hmac.compare_digest(self.sign(access, url), sign), 401, "bad token")
            need(int(rq.args["e"]) > self.now(), 401, "token expired")
        need((bucket, key) in self.objects, 404, "Document not found")
        return 200, self.content(bucket, key)

    ROUTES = [
        ("form", "POST", r"/"),
        ("query", "GET", r"/v[24]/query"),
        ("mkblk", "POST", r"/mkblk/(\d+)"),
        ("bput", "POST", r"/bput/([^/]+)/(\d+)"),
        ("mkfile", "POST", r"/mkfile/(\d+)((?:/[^/]*)*)"),
        ("init", "POST", r"/buckets/([^/]+)/objects/([^/]*)/uploads"),
        ("part", "PUT", r"/buckets/([^/]+)/objects/([^/]*)/uploads/([^/]+)/(\d+)"),
        ("list", "GET", r"/buckets/([^/]+)/objects/([^/]*)/uploads/([^/]+)"),
        ("complete", "POST", r"/buckets/([^/]+)/objects/([^/]*)/uploads/([^/]+)"),
        ("abort", "DELETE", r"/buckets/([^/]+)/objects/([^/]*)/uploads/([^/]+)"),
        ("stat", "(?:GET|POST)", r"/stat/([^/]+)"),
        ("delete", "POST", r"/delete/([^/]+)"),
        ("get", "GET", r"/.+"),
    ]
    UPLOADING = ("form", "mkblk", "bput", "mkfile", "init", "part", "list", "complete", "abort")

    def route(self, rq):
        for op, method, path in self.ROUTES:
            m = re.fullmatch(path, rq.path)
            if m and re.fullmatch(method, rq.method):
                return op, m.groups()
        raise Refusal(405 if rq.method not in ("GET", "POST", "PUT", "DELETE") else 404, "no such interface")

    def matching(self, op, rq):
        with self.lock:
            for rule in self.rules:
                if rule.op == op and rule.times > 0 and re.search(rule.match, rq.target):
                    rule.times -= 1
                    rule.hits += 1
                    return rule.what
        return None

    def perform(self, op, args, rq):
        if op in self.UPLOADING and rq.port != self.servers[0].server_port:
            raise Refusal(400, f"incorrect region, please use {self.host}, bucket is: {next(iter(self.buckets))}")
        return getattr(self, f"do_{op}")(rq, *args)

    def answer(self, rq):
        """-> (status, headers, body), or None for no answer."""
        op, what, status, content = "?", None, 0, b""
        try:
            op, args = self.route(rq)
            what = self.matching(op, rq)
            if what and "do" in what:
                what["do"](rq)
            told = what is not None and ("status" in what or "body" in what or "drop" in what)
            if not told or what.get("after"):
                status, content = self.perform(op, args, rq)
            if told:
                status, content = what.get("status", status or 200), what.get("body", {"error": what.get("error", "told by the test")})
        except Refusal as why:
            status, content = why.status, {"error": why.text}
        except (ValueError, KeyError, TypeError) as why:
            status, content = 400, {"error": f"malformed: {why!r}"}
        body = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()
        dropped = bool(what and what.get("drop"))
        with self.lock:
            self.log.append({"op": op, "target": rq.target, "status": 0 if dropped else status, "bytes": len(rq.body), "headers": dict(rq.headers),
                             "port": rq.port, "error": content.get("error") if isinstance(content, dict) else None})
        kind = "application/octet-stream" if isinstance(content, bytes) else "application/json"
        return None if dropped else (status, {"Content-Type": kind, **((what or {}).get("headers") or {})}, body)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, kodo):
        super().__init__(("127.0.0.1", 0), Handler)
        self.kodo = kodo
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, request, client_address):
        pass        # the peer was killed


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def serve(self):
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdigit():
            self.send_error(411)
            self.close_connection = True
            return
        body = self.rfile.read(int(length))
        if len(body) != int(length):
            self.close_connection = True        # cut short: nothing of it counts
            return
        answer = self.server.kodo.answer(Request(self.command, self.path, self.headers, body, self.server.server_port))
        if answer is None:
            self.close_connection = True
            return
        status, headers, content = answer
        self.send_response_only(status, "told")
        now = self.server.kodo.now()
        for name, value in {"Server": "kodo", "Date": email.utils.formatdate(now, usegmt=True), "X-Reqid": os.urandom(6).hex(), "X-Log": "X-Log",
                            "Content-Length": len(content), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = serve

    def log_message(self, *args):
        pass
