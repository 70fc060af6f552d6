import { randomUUID } from 'node:crypto';
import { route } from '../../../lib/case.js';
import { put } from '../../../lib/sign.js';

export const POST = route('grant', async (app, { filename, type, size, checksum }) => {
  if (checksum === undefined) return { url: await put(app, filename, type) };
  const mediaId = randomUUID();
  const bound = { ContentLength: size, ChecksumSHA256: Buffer.from(checksum, 'hex').toString('base64') };
  return { success: { url: await put(app, mediaId, type, bound, ['content-length', 'x-amz-checksum-sha256']), mediaId } };
});
