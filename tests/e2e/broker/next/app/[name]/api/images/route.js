import { route } from '../../../../lib/case.js';

export const POST = route('notify', async (app, image) => ({ id: 1, ...image }));
