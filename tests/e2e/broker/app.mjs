// A web application that hands out uploads: node app.mjs, with PORT, MODULES (folder with node_modules), LOG (one JSON object a request).
//
// Everything below /CASE/ is one application of its own. PUT /CASE with JSON sets it up:
//   store    {endpoint, bucket, prefix, key, secret}      what it signs for
//   need     {header: value}                              sign-in: 401 without these, 422 without x-csrf-token
//   cookies  [text]                                       set on every answer
//   expires  [seconds]                                    of grants in turn; the last one stays
//   max, types                                            413 and 415 beyond these
//   grant, notify  [how]                                  answers in turn, then "ok": a status, or a name of `odd` below
//   name     text                                         of objects, where the application chooses it; else random
//   kodo     {url, ak, sk, bucket, domain, policy}        for the Qiniu token
// The signing is done by the vendors' own libraries.
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import { randomUUID } from 'node:crypto';

const { PORT, MODULES, LOG } = process.env;
const library = createRequire(MODULES + '/x.js');
const { S3Client, PutObjectCommand } = library('@aws-sdk/client-s3');
const { getSignedUrl } = library('@aws-sdk/s3-request-presigner');
const { createPresignedPost } = library('@aws-sdk/s3-presigned-post');
const cases = new Map();

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// ---- signing

const client = ({ endpoint, key, secret }) => new S3Client({
  endpoint, region: 'us-east-1', forcePathStyle: true, credentials: { accessKeyId: key, secretAccessKey: secret },
  requestChecksumCalculation: 'WHEN_REQUIRED',
});

const keyOf = (app, name) => `${app.store.prefix}${name}`;

async function presignedPut(app, name, type, bound = {}, headers = []) {
  const command = new PutObjectCommand({ Bucket: app.store.bucket, Key: keyOf(app, name), ContentType: type, ...bound });
  return getSignedUrl(client(app.store), command, {
    expiresIn: nextExpiry(app), signableHeaders: new Set(['host', 'content-type', ...headers]), unhoistableHeaders: new Set(headers),
  });
}

async function presignedPost(app, name, type) {
  const conditions = [['content-length-range', 0, app.policy_max ?? 1 << 30]];
  return createPresignedPost(client(app.store), {
    Bucket: app.store.bucket, Key: keyOf(app, name), Conditions: conditions, Expires: nextExpiry(app),
    Fields: { success_action_status: '201', 'Content-Type': type },
  });
}

function qiniuToken(app, key) {
  const qiniu = library('qiniu');
  const { ak, sk, bucket, policy } = app.kodo;
  return new qiniu.rs.PutPolicy({ scope: `${bucket}:${key}`, expires: nextExpiry(app), ...policy }).uploadToken(new qiniu.auth.digest.Mac(ak, sk));
}

const nextExpiry = (app) => (app.expires.length > 1 ? app.expires.shift() : app.expires[0]);
const typeOf = (name) => ({ png: 'image/png', jpg: 'image/jpeg', txt: 'text/plain' })[name.split('.').pop()] ?? 'application/octet-stream';

// ---- routes: what the request says -> what the application answers

const grants = {
  'POST /api/upload': async (app, { fileName, fileType }) => {
    allowed(app, 0, fileType);
    return { uploadUrl: await presignedPut(app, fileName, fileType), fileUrl: `https://cdn.example.com/${keyOf(app, encodeURIComponent(fileName))}` };
  },
  'POST /api/images/presigned': async (app, { contentType }) => {
    allowed(app, 0, contentType);
    const name = app.name ?? `${randomUUID()}.img`;
    return { presignedUrl: await presignedPut(app, name, contentType), fileName: keyOf(app, name) };
  },
  'GET /s3_credentials': async (app, { filename }) => {
    const { url, fields } = await presignedPost(app, filename, typeOf(filename));
    return { endpoint_url: url, params: fields };
  },
  // Either {filename, type, size}, or with the digest of the file, which the store then checks.
  'POST /sign': async (app, { filename, type, size, checksum }) => {
    allowed(app, size, type);
    if (checksum === undefined) return { url: await presignedPut(app, filename, type) };
    const id = randomUUID();
    const bound = { ContentLength: size, ChecksumSHA256: Buffer.from(checksum, 'hex').toString('base64') };
    return { success: { url: await presignedPut(app, id, type, bound, ['content-length', 'x-amz-checksum-sha256']), mediaId: id } };
  },
  'POST /sign-s3': async (app, { filename, contentType }) => ({
    method: 'PUT', url: await presignedPut(app, filename, contentType), fields: {}, headers: { 'Content-Type': contentType },
  }),
  'GET /images/presign': async (app, { filename, type }) => ({ method: 'post', ...await presignedPost(app, filename, type), headers: {} }),
  'POST /rails/active_storage/direct_uploads': async (app, { blob }) => {
    allowed(app, blob.byte_size, blob.content_type);
    const key = randomUUID();
    const bound = { ContentLength: blob.byte_size, ContentMD5: blob.checksum };
    const url = await presignedPut(app, key, blob.content_type, bound, ['content-length', 'content-md5']);
    return {
      id: 1, key, ...blob, signed_id: `signed-${key}`,
      direct_upload: { url, headers: { 'Content-Type': blob.content_type, 'Content-MD5': blob.checksum } },
    };
  },
  'GET /r2/sign': async (app, { tail }) => String(await presignedPut(app, tail, typeOf(tail))),
  'POST /objects/batch': async (app, { objects: [{ oid, size }] }, base) => ({
    transfer: 'basic',
    objects: [{ oid, size, actions: app.stored?.includes(oid) ? undefined : {
      upload: { href: await presignedPut(app, oid, 'application/octet-stream'), header: { 'Content-Type': 'application/octet-stream' }, expires_in: 300 },
      verify: { href: `${base}/objects/verify`, expires_in: 300 },
    } }],
  }),
  // As Companion's route of this name; that one asks a service of AWS, this one gives the keys of the store.
  'GET /s3/sts': async (app) => ({
    credentials: { AccessKeyId: app.store.key, SecretAccessKey: app.store.secret, Expiration: new Date(Date.now() + nextExpiry(app) * 1000).toISOString() },
    bucket: app.store.bucket, region: 'us-east-1',
  }),
  'POST /api/qiniu-upload': async (app, { fileName }) => {
    const key = keyOf(app, fileName);
    return { token: qiniuToken(app, key), key, domain: app.kodo.domain };
  },
};

const notifies = {
  'POST /api/images': (app, body) => ({ id: 1, ...body }),
  'PATCH /posts/1': (app, body) => ({ id: 1, ...body }),
  'POST /objects/verify': (app, body) => body,
};

function allowed(app, size, type) {
  if (size > (app.max ?? Infinity)) throw new Refused(413, `larger than ${app.max} bytes`);
  if (app.types && !app.types.includes(type)) throw new Refused(415, `files of type ${type} are not taken`);
}

// ---- answers that a sound application does not give

const odd = {
  'not-json': (res) => res.writeHead(200, { 'Content-Type': 'text/html' }).end('<html><body>Please sign in</body></html>'),
  'cut-json': (res) => res.writeHead(200, { 'Content-Type': 'application/json' }).end('{"uploadUrl":"http://127'),
  'no-url': (res) => send(res, 200, { fileUrl: 'https://cdn.example.com/x' }),
  'number': (res) => send(res, 200, { uploadUrl: 17, url: 17, fileUrl: 'x' }),
  'line-break': (res) => send(res, 200, { uploadUrl: 'http://127.0.0.1:9/x\r\nX-Injected: 1', fileUrl: 'x' }),
  'file-url': (res) => send(res, 200, { uploadUrl: 'file:///etc/passwd', fileUrl: 'x' }),
  'deep': (res) => res.writeHead(200, { 'Content-Type': 'application/json' }).end('['.repeat(100000)),
  'empty': (res) => res.writeHead(200, { 'Content-Type': 'application/json' }).end(),
  'redirect': (res) => res.writeHead(302, { Location: '/elsewhere' }).end(),
  'gone': (res) => res.destroy(),
  'hang': () => {},
  'huge': (res) => {
    res.writeHead(200, { 'Content-Type': 'application/json' });
    const block = Buffer.alloc(1 << 20, ' ');
    let left = 50;
    const more = () => {
      while (left-- > 0) if (!res.write(block)) return res.once('drain', more);
      res.end('{}');
    };
    more();
  },
};

function send(res, status, value) {
  const text = typeof value === 'string';
  res.writeHead(status, { 'Content-Type': text ? 'text/plain' : 'application/json' }).end(text ? value : JSON.stringify(value));
}

// ---- one request

function signedIn(app, req) {
  for (const [name, value] of Object.entries(app.need ?? {})) {
    if (req.headers[name] !== value) throw new Refused(name === 'x-csrf-token' ? 422 : 401, `${name} is missing or wrong`);
  }
}

async function answer(app, route, req, res, said, base) {
  if (app.cookies) res.setHeader('Set-Cookie', app.cookies);
  signedIn(app, req);
  const kind = grants[route] ? 'grant' : 'notify';
  const how = app[kind].shift() ?? 'ok';
  if (odd[how]) return odd[how](res);
  if (how !== 'ok') throw new Refused(how, `told to answer ${how}`);
  return send(res, 200, await (grants[route] ?? notifies[route])(app, said, base));
}

// "/CASE/r2/sign/a%20b" -> case, route "GET /r2/sign", tail "a b"
function routeOf(method, path) {
  const [, name, ...rest] = path.split('/');
  const whole = `${method} /${rest.join('/')}`;
  const route = [...Object.keys(grants), ...Object.keys(notifies)].find((r) => whole === r) ?? Object.keys(grants).find((r) => whole.startsWith(`${r}/`));
  return { name, route, tail: route === undefined ? '' : decodeURIComponent(whole.slice(route.length + 1)) };
}

async function bodyOf(req) {
  const pieces = [];
  for await (const piece of req) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

async function handle(req, res) {
  const url = new URL(req.url, `http://${req.headers.host}`);
  const { name, route, tail } = routeOf(req.method, url.pathname);
  const body = await bodyOf(req);
  if (req.method === 'PUT') {
    cases.set(name, { expires: [300], grant: [], notify: [], ...cases.get(name), ...JSON.parse(body) });
    return res.end();
  }
  const kind = grants[route] ? 'grant' : 'notify';
  fs.appendFileSync(LOG, JSON.stringify({ case: name, kind, method: req.method, target: req.url, headers: req.headers, body }) + '\n');
  try {
    const app = cases.get(name);
    if (!app || !route) throw new Refused(404, 'no such route');
    const said = { ...Object.fromEntries(url.searchParams), ...(body ? JSON.parse(body) : {}), tail };
    return await answer(app, route, req, res, said, `${url.origin}/${name}`);
  } catch (why) {
    return send(res, why.status ?? 500, { message: why.message });
  }
}

http.createServer((req, res) => void handle(req, res)).listen(Number(PORT), '127.0.0.1', () => console.log('ready'));
