// @tus/server with its file store. Environment: TUS_HOME (where it is installed), DATADIR, PORT; loopback only, endpoint /files.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
const installed = createRequire(process.env.TUS_HOME + '/x.js');
const load = async (name) => import(pathToFileURL(installed.resolve(name)));
const { Server } = await load('@tus/server');
const { FileStore } = await load('@tus/file-store');
const server = new Server({ path: '/files', datastore: new FileStore({ directory: process.env.DATADIR }) });
server.listen({ host: '127.0.0.1', port: +process.env.PORT });
