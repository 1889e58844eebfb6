/*
 * The first file under a Node that is new enough: what has to come before everything else, then the program. Plain JavaScript, because
 * types are stripped only once the cache is on: the stripper itself would be the most expensive thing that a short command loads.
 */
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const { enableCompileCache } = require('node:module');

// libuv reads it when its thread pool is first used. Hashing and disk work run there: one thread a core, and some that may wait for a disk.
process.env.UV_THREADPOOL_SIZE ||= String(require('node:os').availableParallelism() + 4);

const cache = cacheFolder(process.env, process.platform);
if (process.env.NODE_COMPILE_CACHE === undefined && cache !== undefined && isOurs(cache)) {
  enableCompileCache(cache);
  process.env.NODE_COMPILE_CACHE = cache; // threads take it from there, and each would load the type stripper of its own otherwise
}

const root = path.join(__dirname, '..');
const built = path.join(root, 'dist', 'main.js');
const main = isUpToDate(built) ? built : path.join(root, 'src', 'cli', 'main.ts');
process.argv[1] = main;
import(require('node:url').pathToFileURL(main).href);

/** An installation has nothing but what was built; in a checkout it must be newer than every source, or the sources are run. */
function isUpToDate(file) {
  const sources = path.join(root, 'src');
  try {
    const builtAtMs = fs.statSync(file).mtimeMs;
    const newer = (entry) => fs.statSync(path.join(entry.parentPath, entry.name)).mtimeMs > builtAtMs;
    return !fs.existsSync(sources) || !fs.readdirSync(sources, { recursive: true, withFileTypes: true }).some(newer);
  } catch {
    return false; // not built
  }
}

/** Where this user's programs keep what they can make again; undefined when there is no such place. */
function cacheFolder(env, platform) {
  const home = env.HOME || undefined;
  if (platform === 'win32') return env.LOCALAPPDATA && path.join(env.LOCALAPPDATA, 'shoal', 'compiled');
  if (platform === 'darwin') return home && path.join(home, 'Library', 'Caches', 'shoal', 'compiled');
  if (env.XDG_CACHE_HOME) return path.join(env.XDG_CACHE_HOME, 'shoal', 'compiled');
  return home && path.join(home, '.cache', 'shoal', 'compiled');
}

/** Makes it if need be. What lies there is run: a folder into which somebody else may write is not used. */
function isOurs(folder) {
  try {
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (process.platform === 'win32') return true;
    const { uid, mode } = fs.statSync(folder);
    return uid === process.getuid() && (mode & 0o022) === 0;
  } catch {
    return false; // a home that cannot be written: it only starts slower
  }
}
