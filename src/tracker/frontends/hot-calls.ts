/**
 * The calls that come ten thousand times a second (announce, Renew, Locate), from the bytes of a body to those of an answer, without the
 * machinery of the app: the same registry, the same bytes back. They take only what is plainly right. See hot-connection.ts.
 */
import { decodeMessage, encodeMessage } from '../../contract/message-codec.ts';
import { CALLS, SERVICE_NAME } from '../../contract/messages.ts';
import * as limits from '../../limits.ts';
import type { Need } from '../access.ts';
import type { PlainFile } from '../plain-calls.ts';
import type { Registry } from '../registry.ts';
import type { Caller } from '../state.ts';
import { othersRow } from './rest-views.ts';
import { locateAtOnce, locateCall, renewCall } from './rpc.ts';

export type Answer = Uint8Array | string | undefined;

export interface HotCall {
  readonly route: string;
  readonly need: Need;
  /** Of request and answer. */
  readonly contentType: 'application/json' | 'application/proto';
  /** Undefined, or an error: not plainly right, or refused; nothing has changed then. */
  run(body: Buffer, caller: Caller, query: string): Answer | Promise<Answer>;
}

/** By path. */
export function hotCalls(registry: Registry): ReadonlyMap<string, HotCall> {
  const rpc = `/${SERVICE_NAME}/`;
  const announce: HotCall = {
    route: '/announce',
    need: 'publish',
    contentType: 'application/json',
    run(body, caller, query) {
      const call = parseAnnounce(body);
      const others = OTHERS_QUERY.exec(query);
      if (call === undefined || (query !== '' && others === null)) return undefined;
      const { ip, port, files } = call;
      return registry
        .announcePlain({ host: ip, port }, files, caller, Number(others?.[1] ?? 0))
        .then((named) => JSON.stringify(others === null ? { ok: true } : { ok: true, files: named.map(othersRow) }));
    },
  };
  const renew: HotCall = {
    route: `${rpc}Renew`,
    need: 'read',
    contentType: 'application/proto',
    run: (body) => encodeMessage(RENEW.answer, renewCall(registry, decodeMessage(RENEW.request, viewOf(body)))),
  };
  const locate: HotCall = {
    route: `${rpc}Locate`,
    need: 'read',
    contentType: 'application/proto',
    run(body, caller) {
      const request = decodeMessage(LOCATE.request, viewOf(body));
      const atOnce = locateAtOnce(registry, request, caller);
      if (atOnce !== undefined) return encodeMessage(LOCATE.answer, atOnce);
      return locateCall(registry, request, caller).then((located) => encodeMessage(LOCATE.answer, located));
    },
  };
  return new Map([announce, renew, locate].map((call) => [call.route, call]));
}

const { renew: RENEW, locate: LOCATE } = CALLS;

/** Parts of a plain array of bytes cost less than parts of a Buffer. */
function viewOf(body: Buffer): Uint8Array<ArrayBuffer> {
  return new Uint8Array(body.buffer as ArrayBuffer, body.byteOffset, body.length);
}

const OTHERS_QUERY = /^peers=([0-9]{1,4})$/u;

/** The body when it has the shape that the schema of the call asks for, and no number or text beyond its bounds. */
function parseAnnounce(body: Buffer): { ip: string; port: number; files: readonly PlainFile[] } | undefined {
  const parsed: unknown = JSON.parse(body.toString());
  if (!isRecord(parsed)) return undefined;
  const { ip, port, files } = parsed;
  if (typeof ip !== 'string' || ip.length === 0 || ip.length > 255 || !isCount(port)) return undefined;
  if (!Array.isArray(files) || !files.every(isPlainFile)) return undefined;
  return { ip, port, files };
}

function isPlainFile(file: unknown): file is PlainFile {
  if (!isRecord(file)) return false;
  const { name, size, sha256 } = file;
  if (typeof name !== 'string' || name.length > limits.NAME_BYTES_MAX || !isCount(size)) return false;
  return typeof sha256 === 'string' && sha256.length > 0 && sha256.length <= limits.PLAIN_SHA256_CHARS_MAX;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
