import { route } from '../../../../lib/case.js';
import { token } from '../../../../lib/sign.js';

export const POST = route('grant', async (app, { fileName }) => {
  const key = app.store.prefix + fileName;
  return { token: token(app, key), key, domain: app.kodo.domain };
});
