import { change } from '../../lib/case.js';

export async function PUT(req, { params }) {
  change((await params).name, await req.json());
  return new Response();
}
