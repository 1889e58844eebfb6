/**
 * Quantities as people type them: rates, sizes, durations and addresses of the command line, read into numbers with units in their
 * names. Refuses everything it does not understand, with an example; it never guesses.
 */
import { ShoalError } from '../errors.ts';
import { CHUNK_SIZE_MAX_BYTES, CHUNK_SIZE_MIN_BYTES, REPLICAS_MAX } from '../limits.ts';
import { humanBytes } from './human.ts';

const POWERS_OF_TEN: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 };
const NUMBER = String.raw`(\d{1,15}(?:\.\d{1,9})?)`;
const RATE_BYTES = new RegExp(`^${NUMBER} *([kmgt]?)b?(?:/s)?$`, 'i');
const RATE_BITS = new RegExp(`^${NUMBER} *([kmgt]?)(?:bit|bps)(?:/s)?$`, 'i');
const SIZE = new RegExp(`^${NUMBER} *([kmgt]?)(i?)b?$`, 'i');
const DURATION = new RegExp(`^${NUMBER} *(ms|s|m|min|h)?$`, 'i');

/** `60M`, `1.5G` (bytes a second, powers of ten) or `500mbit`, as bytes a second. */
export function parseRate(text: string): number {
  const trimmed = text.trim();
  const bits = RATE_BITS.exec(trimmed);
  const match = bits ?? RATE_BYTES.exec(trimmed);
  const rate = match === null ? 0 : Math.round(scaled(match, 1000) / (bits === null ? 1 : 8));
  if (rate < 1 || !Number.isSafeInteger(rate))
    throw new ShoalError('usage', `"${text}" is not a rate: write bytes a second as 60M or 1.5G, or bits as 500mbit`);
  return rate;
}

/** `64KiB`, `1MiB` (powers of two), `50G`, `512M`, `1000` (powers of ten), as bytes. */
export function parseSize(text: string): number {
  const match = SIZE.exec(text.trim());
  const binary = match?.[3] !== '' && match?.[3] !== undefined;
  const size =
    match === null || (binary && match[2] === '') ? Number.NaN : Math.round(scaled(match, binary ? 1024 : 1000));
  if (!Number.isSafeInteger(size))
    throw new ShoalError('usage', `"${text}" is not a size: write it as 64KiB, 1MiB, 50G or a number of bytes`);
  return size;
}

/** A size that chunks may have. Bytes that are asked for in powers of ten are answered with the power of two nearby. */
export function parseChunkSize(text: string): number {
  const size = parseSize(text);
  if (size >= CHUNK_SIZE_MIN_BYTES && size <= CHUNK_SIZE_MAX_BYTES && Number.isInteger(Math.log2(size))) return size;
  const nearest = 2 ** Math.round(Math.log2(Math.max(size, 1)));
  const meant = Math.min(Math.max(nearest, CHUNK_SIZE_MIN_BYTES), CHUNK_SIZE_MAX_BYTES);
  throw new ShoalError(
    'usage',
    `"${text}" is no size for chunks: they are powers of two from ${binary(CHUNK_SIZE_MIN_BYTES)} to ${binary(CHUNK_SIZE_MAX_BYTES)}`,
    { hint: `--chunk-size ${binary(meant)} is the nearest` },
  );
}

/** `256KiB`, as parseSize reads it. */
function binary(bytes: number): string {
  return humanBytes(bytes).replace(' ', '');
}

/** `30`, `30s`, `500ms`, `5m`, `1h`, as milliseconds; a bare number is seconds. */
export function parseDurationMs(text: string): number {
  const match = DURATION.exec(text.trim());
  const unitMs = { ms: 1, s: 1_000, m: 60_000, min: 60_000, h: 3_600_000 }[(match?.[2] ?? 's').toLowerCase()];
  const durationMs = match === null || unitMs === undefined ? 0 : Math.round(Number(match[1]) * unitMs);
  // a timer of Node holds 2^31 - 1 ms
  if (durationMs < 1 || durationMs > 2 ** 31 - 1)
    throw new ShoalError('usage', `"${text}" is not a time: write seconds as 30, or 500ms, 5m, 1h (at most 24 days)`);
  return durationMs;
}

/** A port: 0 (any free one) to 65,535. */
export function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (!(port <= 65_535)) throw new ShoalError('usage', `"${text}" is not a port: write a number from 0 to 65535`);
  return port;
}

/** A number of things, at least 1. */
export function parseCount(text: string): number {
  const count = /^\d{1,9}$/.test(text.trim()) ? Number(text) : 0;
  if (count < 1) throw new ShoalError('usage', `"${text}" is not a number of rows: write 1 or more`);
  return count;
}

/** How many copies volunteers are to keep. */
export function parseReplicas(text: string): number {
  const copies = /^\d{1,3}$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (!(copies <= REPLICAS_MAX))
    throw new ShoalError('usage', `"${text}" is not a number of replicas: write 0 to ${REPLICAS_MAX}`);
  return copies;
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** All addresses of this machine, IPv6 and IPv4; where there is no IPv6, those of IPv4. */
export const EVERYWHERE = '::';

/** `HOST:PORT`, `[v6]:PORT`, `:PORT` or `PORT` (all interfaces), or `HOST` (any free port). */
export function parseListen(text: string, anyHost = EVERYWHERE): HostPort {
  const trimmed = text.trim();
  const bracketed = /^\[([0-9a-fA-F:.%\w]+)\](?::(\d{1,5}))?$/.exec(trimmed);
  if (bracketed !== null) return { host: bracketed[1] ?? '', port: parsePort(bracketed[2] ?? '0') };
  if (/^\d{1,5}$/.test(trimmed)) return { host: anyHost, port: parsePort(trimmed) };
  const plain = /^([\w.-]*)(?::(\d{1,5}))?$/.exec(trimmed);
  if (plain === null || trimmed === '')
    throw new ShoalError('usage', `"${text}" is not an address to listen on: write HOST:PORT, [::1]:PORT or just PORT`);
  return { host: plain[1] === '' ? anyHost : (plain[1] ?? anyHost), port: parsePort(plain[2] ?? '0') };
}

/** `HOST`, `HOST:PORT`, an IPv6 address or `[v6]:PORT`: where others reach a node. The text as it is. */
export function parseAdvertised(text: string): string {
  const trimmed = text.trim();
  const isHost = /^[\w.-]+(?::\d{1,5})?$/.test(trimmed) || /^\[[0-9a-fA-F:.]+\](?::\d{1,5})?$/.test(trimmed);
  const port = /(?:\]|^[\w.-]+):(\d+)$/.exec(trimmed)?.[1];
  if ((!isHost && !/^[0-9a-fA-F:]*:[0-9a-fA-F:.]*$/.test(trimmed)) || (port !== undefined && parsePort(port) === 0))
    throw new ShoalError('usage', `"${text}" is not where others can reach a node: write HOST or HOST:PORT`);
  return trimmed;
}

/** `HOST:PORT` of a peer; both are needed. */
export function parsePeerAddress(text: string): string {
  const trimmed = text.trim();
  const match = /^(?:\[[0-9a-fA-F:.%\w]+\]|[\w.-]+):(\d{1,5})$/.exec(trimmed);
  if (match === null || parsePort(match[1] ?? '') === 0)
    throw new ShoalError('usage', `"${text}" is not the address of a peer: write HOST:PORT, as in 192.0.2.7:9001`);
  return trimmed;
}

/** One or more base URLs of trackers, divided by commas; a bare `host:port` is taken as http. */
export function parseTrackerUrls(text: string): readonly string[] {
  const urls = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map(parseTrackerUrl);
  if (urls.length === 0) throw new ShoalError('usage', 'no tracker is named: write --tracker http://HOST:PORT');
  return [...new Set(urls)];
}

function parseTrackerUrl(text: string): string {
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  const usable = url !== null && (url.protocol === 'http:' || url.protocol === 'https:') && url.hostname !== '';
  if (!usable)
    throw new ShoalError('usage', `"${text}" is not the URL of a tracker: write it as http://192.0.2.1:9000`);
  if (url.username !== '' || url.password !== '')
    throw new ShoalError('usage', 'a tracker URL does not carry a user or password: use --token or SHOAL_TOKEN');
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}

function scaled(match: RegExpExecArray, base: 1000 | 1024): number {
  const power = POWERS_OF_TEN[(match[2] ?? '').toLowerCase()] ?? Number.NaN;
  const exponent = Math.round(Math.log10(power) / 3);
  return Number(match[1]) * base ** exponent;
}
