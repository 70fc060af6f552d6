// sharp.js FORMAT EFFORT OUTDIR FILE...: two pictures at a time, one libvips thread each. $SHARP: the folder that has node_modules/sharp.
const { createRequire } = require('module');
const path = require('path');
const sharp = createRequire(path.join(process.env.SHARP || __dirname, 'x.js'))('sharp');
const [format, effort, dir, ...files] = process.argv.slice(2);

sharp.concurrency(1);
sharp.cache(false);

async function worker() {
  for (let file = files.shift(); file; file = files.shift()) {
    const fitted = sharp(file).rotate().resize(1920, 1920, { fit: 'inside', withoutEnlargement: true });
    const made = format === 'webp' ? fitted.webp({ quality: 80, effort: Number(effort) }) : fitted.jpeg({ quality: 80 });
    await made.toFile(path.join(dir, path.basename(file) + '.' + format));
  }
}

Promise.all([worker(), worker()]).catch((why) => { console.error(why); process.exit(1); });
