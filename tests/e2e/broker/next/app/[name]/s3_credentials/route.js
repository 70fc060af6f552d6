import { route } from '../../../lib/case.js';
import { post } from '../../../lib/sign.js';

export const GET = route('grant', async (app, { filename }) => {
  const { url, fields } = await post(app, filename, 'application/octet-stream');
  return { endpoint_url: url, params: fields };
});
