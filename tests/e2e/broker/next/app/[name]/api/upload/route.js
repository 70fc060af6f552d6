import { route } from '../../../../lib/case.js';
import { put } from '../../../../lib/sign.js';

export const POST = route('grant', async (app, { fileName, fileType }) => ({
  uploadUrl: await put(app, fileName, fileType), fileUrl: `https://cdn.example.com/${app.store.prefix}${encodeURIComponent(fileName)}`,
}));
