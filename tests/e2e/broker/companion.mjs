// Uppy Companion before S3 stores: node companion.mjs, with PORT, MODULES (folder with node_modules), LOG (one JSON object a request), DATA (folder),
// STORES = {"NAME": {endpoint, bucket, prefix, key, secret, expires, trap}}: the routes of a store lie below /NAME. The package's own command listens
// on all addresses; this one on loopback alone. With TOKEN set, requests need "Authorization: Bearer TOKEN", as behind an application's own sign-in.
//
// trap: the SDK in Companion writes the CRC-32 of an empty body into each part's URL, as it does unless told otherwise; strict stores then
// refuse every part.
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const { PORT, MODULES, LOG, DATA, STORES, TOKEN } = process.env;
const express = createRequire(MODULES + '/node_modules/@uppy/companion/x.js')('express');
const companion = await import(pathToFileURL(`${MODULES}/node_modules/@uppy/companion/lib/companion.js`));

function log(req, res, next) {
  const name = req.originalUrl.split('/')[1];
  fs.appendFileSync(LOG, JSON.stringify({ case: name, method: req.method, target: req.originalUrl, headers: req.headers }) + '\n');
  next();
}

function signedIn(req, res, next) {
  if (TOKEN && req.headers.authorization !== `Bearer ${TOKEN}`) res.status(401).json({ error: 'sign in first' });
  else next();
}

function before(store) {
  const { app } = companion.app({
    providerOptions: {},
    s3: {
      key: store.key, secret: store.secret, bucket: store.bucket, region: 'us-east-1', endpoint: store.endpoint, forcePathStyle: true, acl: null,
      expires: store.expires ?? 300, getKey: ({ filename }) => `${store.prefix}${filename}`,
      awsClientOptions: { requestChecksumCalculation: store.trap ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED' },
    },
    server: { host: `127.0.0.1:${PORT}`, protocol: 'http' },
    filePath: DATA, secret: 'of-a-test', uploadUrls: [/.*/], corsOrigins: true, metrics: false, enableUrlEndpoint: false, logClientVersion: false,
  });
  return app;
}

const top = express();
top.use(log, signedIn);
for (const [name, store] of Object.entries(JSON.parse(STORES))) top.use(`/${name}`, before(store));
http.createServer(top).listen(Number(PORT), '127.0.0.1', () => console.log('ready'));
