/*
 * The first file under a Node that is new enough: what has to come before everything else, then the program. Plain JavaScript, because
 * types are stripped only once the cache is on: the stripper itself would be the most expensive thing that a short command loads.
 */
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const { enableCompileCache } = require('node:module');

// commands that keep what they have compiled for themselves
const OWN_CACHE = new Set(['get', 'share', 'tracker', 'ls']);

// libuv reads it when its thread pool is first used. Hashing and disk work run there: one thread a core, and some that may wait for a disk.
process.env.UV_THREADPOOL_SIZE ||= String(require('node:os').availableParallelism() + 4);

const cache = cacheFolder(process.env, process.platform, process.argv[2]);
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

/**
 * Where this user's programs keep what they can make again; undefined when there is no such place. A command that is started often has a folder of
 * its own: what the cache has of a file is what the process needed that wrote it, and nothing is added to it later.
 */
function cacheFolder(env, platform, command) {
  const base = cacheBase(env, platform);
  return base && path.join(base, 'shoal', 'compiled', OWN_CACHE.has(command) ? command : 'other');
}

function cacheBase(env, platform) {
  if (platform === 'win32') return env.LOCALAPPDATA || undefined;
  if (platform === 'darwin') return env.HOME ? path.join(env.HOME, 'Library', 'Caches') : undefined;
  return env.XDG_CACHE_HOME || (env.HOME ? path.join(env.HOME, '.cache') : undefined);
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
