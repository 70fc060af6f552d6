// Uppy Companion before S3 stores: node companion.mjs, with PORT, MODULES (folder with node_modules), LOG (one JSON object a request), DATA (folder).
// The package's own command listens on all addresses; this one on loopback alone.
//
// Everything below /CASE/ is one Companion of its own. PUT /CASE with JSON sets it up:
//   store    {endpoint, bucket, prefix, key, secret}      what it signs for
//   token    text                                         requests need "Authorization: Bearer TOKEN", as behind an application's own sign-in
//   expires  seconds                                      of what it signs
//   trap     true                                         the AWS library writes the CRC-32 of an empty body into each part's URL, as it does
//                                                         unless told otherwise; strict stores then refuse every part
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const { PORT, MODULES, LOG, DATA } = process.env;
const express = createRequire(MODULES + '/node_modules/@uppy/companion/x.js')('express');
const companion = await import(pathToFileURL(`${MODULES}/node_modules/@uppy/companion/lib/companion.js`));
const cases = new Map();

function before({ store, token, expires, trap }) {
  const { app } = companion.app({
    providerOptions: {},
    s3: {
      key: store.key, secret: store.secret, bucket: store.bucket, region: 'us-east-1', endpoint: store.endpoint, forcePathStyle: true, acl: null,
      expires: expires ?? 300, getKey: ({ filename }) => `${store.prefix}${filename}`,
      awsClientOptions: { requestChecksumCalculation: trap ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED' },
    },
    server: { host: `127.0.0.1:${PORT}`, protocol: 'http' },
    filePath: DATA, secret: 'of-a-test', uploadUrls: [/.*/], corsOrigins: true, metrics: false, enableUrlEndpoint: false, logClientVersion: false,
  });
  const signedIn = (req, res, next) => {
    if (token && req.headers.authorization !== `Bearer ${token}`) res.status(401).json({ error: 'sign in first' });
    else next();
  };
  return express.Router().use(signedIn, app);
}

const top = express();
top.put('/:name', express.json(), (req, res) => {
  cases.set(req.params.name, before(req.body));
  res.end();
});
top.use('/:name', (req, res, next) => {
  const { name } = req.params;
  fs.appendFileSync(LOG, JSON.stringify({ case: name, method: req.method, target: req.originalUrl, headers: req.headers }) + '\n');
  if (cases.has(name)) cases.get(name)(req, res, next);
  else res.status(404).json({ error: 'no such case' });
});
http.createServer(top).listen(Number(PORT), '127.0.0.1', () => console.log('ready'));
