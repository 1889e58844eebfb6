/*
 * Run by npm after `npm ci` in a checkout, and before it packs: builds dist/. Where the tools of development were left out
 * (--omit=dev) there is nothing to build with, and nothing needs it: bin/shoal then runs from the sources.
 */
'use strict';
const { spawnSync } = require('node:child_process');
const path = require('node:path');

let bundler;
try {
  bundler = require.resolve('rolldown/package.json');
} catch {
  console.log('shoal: dist/ is not built, the tools for it are not installed; bin/shoal runs from the sources');
  process.exit(0);
}
const cli = path.join(path.dirname(bundler), require(bundler).bin.rolldown);
const { status, stdout, stderr } = spawnSync(process.execPath, [cli, '-c', 'rolldown.config.js'], {
  cwd: path.join(__dirname, '..'),
  encoding: 'utf8',
});
if (status !== 0) {
  process.stderr.write(`${stdout ?? ''}${stderr ?? ''}shoal: building dist/ has failed\n`);
  process.exit(status ?? 1);
}
