// Every application below /NAME/ has its settings in a file, because routes share no memory; see ../../app.mjs for what they mean.
import fs from 'node:fs';

const file = (name) => `${process.env.DATA}/${name.replace(/\W/g, '')}.json`;

export function change(name, settings) {
  const before = fs.existsSync(file(name)) ? JSON.parse(fs.readFileSync(file(name))) : { expires: [300] };
  fs.writeFileSync(file(name), JSON.stringify({ ...before, ...settings }));
}

// Wraps a route: signs in, logs, and answers in JSON.
export const route = (kind, answer) => async (req, { params }) => {
  const { name } = await params;
  const url = new URL(req.url);
  const body = await req.text();
  const headers = Object.fromEntries(req.headers);
  fs.appendFileSync(process.env.LOG, JSON.stringify({ case: name, kind, method: req.method, target: url.pathname + url.search, headers, body }) + '\n');
  const settings = JSON.parse(fs.readFileSync(file(name)));
  for (const [header, value] of Object.entries(settings.need ?? {})) {
    if (headers[header] !== value) return Response.json({ message: `${header} is missing or wrong` }, { status: 401 });
  }
  return Response.json(await answer(settings, { ...Object.fromEntries(url.searchParams), ...(body ? JSON.parse(body) : {}) }));
};
