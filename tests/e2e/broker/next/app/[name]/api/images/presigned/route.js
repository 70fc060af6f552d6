import { randomUUID } from 'node:crypto';
import { route } from '../../../../../lib/case.js';
import { put } from '../../../../../lib/sign.js';

export const POST = route('grant', async (app, { contentType }) => {
  const name = `${randomUUID()}.img`;
  return { presignedUrl: await put(app, name, contentType), fileName: app.store.prefix + name };
});
