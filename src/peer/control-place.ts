/**
 * Where the control sockets of a user's nodes are, and how others find them. Only their owner may connect: a socket is made in a
 * folder nobody else can enter and moved to its place once its own mode is set. Says nothing on them.
 *
 *   <data home>/nodes/<12 hex>/control.sock    a node that shares
 *   <data home>/run/<pid>-<peer>.sock          one that has no data directory (a plain get)
 *   <data home>/run/<pid>-<peer>.path          one whose data directory is elsewhere (--data): names its socket
 *
 * Where a path is too long for a socket, `.path` in its place names one in the folder of temporary files; on Windows, a named pipe.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { access, chmod, lstat, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { ShoalError, systemErrorCode } from '../errors.ts';
import { CONTROL_PATH_BYTES_MAX } from '../limits.ts';

/** The base name of the socket in a data directory. */
const IN_DATA_DIR = 'control';
const RUN_NAME = /^(?<name>(?<pid>\d{1,10})-[0-9a-f]{8})\.(?:sock|path)$/u;
const NOT_OWNER = 0o077;

export interface ControlPlace {
  readonly folder: string;
  /** Without `.sock` or `.path`. */
  readonly name: string;
}

/** A place where a node can be asked, if it still runs. */
export interface ControlSpot extends ControlPlace {
  /** What to connect to. */
  readonly address: string;
  /** Of the node that made it, where the name says so. */
  readonly pid: number | undefined;
}

export function dataDirectoryPlace(dataDir: string): ControlPlace {
  return { folder: dataDir, name: IN_DATA_DIR };
}

/** The place of a node that is not found by its data directory. Several nodes of one process have one each. */
export function runPlace(home: string, peerId: string, pid: number = process.pid): ControlPlace {
  return { folder: runFolder(home), name: `${pid}-${peerId.slice(0, 8)}` };
}

/** Whether whoever looks below the data home finds what lies in this data directory. */
export function isBelowHome(home: string, dataDir: string): boolean {
  return dirname(dataDir) === nodesFolder(home);
}

// ---- making one ------------------------------------------------------------------------------------------------------------

/**
 * Binds `server` at the place and answers with its address. What a dead node left there is replaced; that no live one is there is
 * for the caller to know (it holds the lock, or the place has its name).
 */
export async function bindControl(server: Server, place: ControlPlace): Promise<string> {
  await mkdir(place.folder, { recursive: true, mode: 0o700 });
  const wanted = socketPath(place);
  if (process.platform === 'win32') {
    const address = `\\\\.\\pipe\\shoal-${shortHash(wanted)}`;
    await listenAt(server, address);
    await recordControl(place, address);
    return address;
  }
  const fits = Buffer.byteLength(wanted) <= CONTROL_PATH_BYTES_MAX;
  const address = fits ? wanted : join(await temporaryFolder(), `${shortHash(wanted)}.sock`);
  if (Buffer.byteLength(address) > CONTROL_PATH_BYTES_MAX)
    throw new ShoalError('disk', `${address} is too long for a socket`, { hint: 'set TMPDIR to a shorter path' });
  await bindPrivately(server, address);
  if (fits) await rm(recordPath(place), { force: true });
  else await recordControl(place, address);
  return address;
}

/** Writes down at this place that the socket is elsewhere. Readers see the whole record or none. */
export async function recordControl(place: ControlPlace, address: string): Promise<void> {
  await mkdir(place.folder, { recursive: true, mode: 0o700 });
  const path = recordPath(place);
  await writeFile(`${path}.new`, `${address}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

/** Takes the place back: the socket at it, or what it records. */
export async function removeControl(place: ControlPlace): Promise<void> {
  const address = await recordedAddress(place);
  if (address !== undefined && dirname(address) === temporaryFolderPath()) await rm(address, { force: true });
  await rm(recordPath(place), { force: true });
  if (process.platform !== 'win32') await rm(socketPath(place), { force: true });
}

/** A socket gets its mode after it can be connected to; until then it stands where only we can reach it. */
async function bindPrivately(server: Server, address: string): Promise<void> {
  const hidden = await mkdtemp(join(dirname(address), '.'));
  try {
    const path = join(hidden, 's');
    await listenAt(server, path);
    await chmod(path, 0o600);
    await rename(path, address);
  } finally {
    await rm(hidden, { recursive: true, force: true });
  }
}

async function listenAt(server: Server, path: string): Promise<void> {
  const listening = once(server, 'listening');
  server.listen({ path });
  await listening;
}

/** Ours and nobody else's, or it is not used: others may write to the folder it is in. */
async function temporaryFolder(): Promise<string> {
  const folder = temporaryFolderPath();
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const stats = await lstat(folder);
  if (!stats.isDirectory() || stats.uid !== process.getuid?.() || (stats.mode & NOT_OWNER) !== 0)
    throw new ShoalError('not-allowed', `${folder} is not a folder of this user alone, so no socket is put there`, {
      hint: 'remove it, or set TMPDIR to a folder of your own',
    });
  return folder;
}

function temporaryFolderPath(): string {
  return join(tmpdir(), `shoal-${process.getuid?.() ?? 'user'}`);
}

// ---- finding them ----------------------------------------------------------------------------------------------------------

/** All places below the data home, those of dead nodes included. */
export async function listControls(home: string): Promise<readonly ControlSpot[]> {
  const spots: ControlSpot[] = [];
  for (const entry of await namesIn(nodesFolder(home))) {
    const spot = await controlAt(dataDirectoryPlace(join(nodesFolder(home), entry)));
    if (spot !== undefined) spots.push(spot);
  }
  for (const entry of await namesIn(runFolder(home))) {
    const { name, pid } = RUN_NAME.exec(entry)?.groups ?? {};
    if (name === undefined) continue;
    const spot = await controlAt({ folder: runFolder(home), name });
    if (spot !== undefined) spots.push({ ...spot, pid: Number(pid) });
  }
  return spots;
}

/** What is at a place; undefined: no node has ever been there, or it has left. */
export async function controlAt(place: ControlPlace): Promise<ControlSpot | undefined> {
  const recorded = await recordedAddress(place);
  if (recorded !== undefined) return { ...place, address: recorded, pid: undefined };
  const address = socketPath(place);
  const isThere = await access(address).then(
    () => true,
    () => false,
  );
  return isThere ? { ...place, address, pid: undefined } : undefined;
}

/** Removes what a dead process left below `run`. What lies in a data directory is for the next node there. */
export async function removeLeftOver(spot: ControlSpot): Promise<void> {
  if (spot.pid === undefined || isAlive(spot.pid)) return;
  await removeControl(spot);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemErrorCode(error) !== 'ESRCH';
  }
}

async function recordedAddress(place: ControlPlace): Promise<string | undefined> {
  try {
    const address = (await readFile(recordPath(place), 'utf8')).trim();
    return address === '' ? undefined : address;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR') return undefined;
    throw unreadable(recordPath(place), error);
  }
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    // a record and the socket it stands for are one place
    const names = await readdir(folder);
    return names.filter((name) => !name.endsWith('.path') || !names.includes(`${basename(name, '.path')}.sock`));
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw unreadable(folder, error);
  }
}

function unreadable(path: string, cause: unknown): ShoalError {
  const message = `${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`;
  return new ShoalError('disk', message, { cause, hint: 'it is where nodes of this user are found' });
}

function socketPath({ folder, name }: ControlPlace): string {
  return join(folder, `${name}.sock`);
}

function recordPath({ folder, name }: ControlPlace): string {
  return join(folder, `${name}.path`);
}

function nodesFolder(home: string): string {
  return join(home, 'nodes');
}

function runFolder(home: string): string {
  return join(home, 'run');
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
