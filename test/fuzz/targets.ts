/**
 * What is fuzzed: everything that reads bytes of strangers, or of a disk that may have lied. Each target says in `run` what must never
 * happen; a refusal with the right kind of error is what should.
 */
import { createHash } from 'node:crypto';
import { Bitfield } from '../../src/content/bitfield.ts';
import { createChunkLayout } from '../../src/content/chunk-layout.ts';
import { entryNameProblem, localPathSegments, parseEntryName } from '../../src/content/entry-name.ts';
import {
  encodeFolder,
  listingBytesOf,
  LISTING_HEADER_BYTES,
  parseFolderListing,
  type FolderFile,
} from '../../src/content/folder-listing.ts';
import { parseContentId, parseSha256Hex } from '../../src/content/digest.ts';
import { createManifest, parseManifest } from '../../src/content/manifest.ts';
import { ShoalError } from '../../src/errors.ts';
import * as limits from '../../src/limits.ts';
import { createLog } from '../../src/log.ts';
import { formatAddress, parseAddress } from '../../src/net/address.ts';
import { dialectOf } from '../../src/net/first-bytes.ts';
import { parseRangeRequest } from '../../src/peer/frontends/range.ts';
import { createLineReader } from '../../src/peer/control-lines.ts';
import { readAnswer, readRequest } from '../../src/peer/control-messages.ts';
import {
  encodeJournalHeader,
  encodeJournalRecords,
  headerCrc,
  replayJournal,
} from '../../src/storage/journal-codec.ts';
import { Swarm } from '../../src/swarm/swarm.ts';
import type { SwarmAction, SwarmFact, SwarmMessage } from '../../src/swarm/facts.ts';
import { createTrackerApp } from '../../src/tracker/server.ts';
import { createBench } from '../../src/tracker/test-fixtures.ts';
import { FrameDecoder } from '../../src/wire/decode.ts';
import { encodeFragmentHeader, encodeMessage } from '../../src/wire/encode.ts';
import { createRecorder, streamOf } from '../../src/wire/fixtures.ts';
import type { ControlMessage } from '../../src/wire/messages.ts';
import type { FuzzTarget } from './fuzz.ts';

const utf8 = new TextEncoder();
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const sha256 = (bytes: Uint8Array): Uint8Array<ArrayBuffer> =>
  new Uint8Array(createHash('sha256').update(bytes).digest());

/** Runs it; true when it was refused as strangers are refused. Anything else that is thrown is a failure. */
function isRefused(codes: readonly ShoalError['code'][], work: () => void): boolean {
  try {
    work();
    return false;
  } catch (error) {
    if (error instanceof ShoalError && codes.includes(error.code)) return true;
    throw error;
  }
}

function claim(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

const CHUNK_SIZE = 16 * 1024;
const layout = createChunkLayout(20 * CHUNK_SIZE - 7, CHUNK_SIZE);
const manifest = createManifest(layout, sha256(utf8.encode('whole')), new Uint8Array(32 * layout.chunkCount), sha256);
const id = (fill: number, length = 16): Uint8Array<ArrayBuffer> => new Uint8Array(length).fill(fill);

const handshake: readonly ControlMessage[] = [
  {
    type: 'hello',
    complete: true,
    uploadDisabled: false,
    listenPort: 9001,
    features: 0,
    contentId: id(7, 32),
    peerId: id(1),
    nonce: id(2),
    inFlightBytesMax: 1 << 26,
    grantsMax: 32,
  },
  { type: 'auth', mac: id(3, 32) },
];
const traffic: readonly ControlMessage[] = [
  { type: 'have-all' },
  { type: 'have-none' },
  { type: 'bitfield', chunkCount: layout.chunkCount, bytes: Uint8Array.of(0xff, 0x0f, 0xf0) },
  { type: 'have', chunkIndexes: [0, 3, 19] },
  { type: 'lost', chunkIndexes: [3] },
  { type: 'grant', grantId: 1, etaMs: 20, suggestions: [4, 5] },
  { type: 'request', grantId: 0, requestId: 0, chunkIndex: 2 },
  { type: 'decline', grantId: 1, reason: 'busy' },
  { type: 'interest', interested: true, wantedCount: 12 },
  { type: 'cancel', requestId: 0 },
  { type: 'reject', requestId: 0, reason: 'no-chunk', retryMs: 100 },
  { type: 'ping', token: 77 },
  { type: 'pong', token: 77, heldMicros: 12 },
  { type: 'pace', bytesPerSecond: 20_000 },
  { type: 'pex', added: [{ ip: id(4), port: 9002, peerId: id(5) }], dropped: [id(6)] },
  { type: 'manifest-request', offset: 0 },
  { type: 'manifest-part', offset: 0, totalBytes: manifest.bytes.length, bytes: manifest.bytes.subarray(0, 100) },
  { type: 'goodbye', reason: 'leaving', retryMs: 1000, text: 'done for today' },
];
const fragment = (requestId: number, chunkIndex: number, offset: number, byteCount: number): Uint8Array =>
  joined([encodeFragmentHeader({ requestId, chunkIndex, offset, byteCount }), new Uint8Array(byteCount)]);

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(parts));
}

const frames: FuzzTarget = {
  name: 'frames',
  bytesMax: 4_096,
  seeds: [
    ...[...handshake, ...traffic].map((message) => encodeMessage(message)),
    joined(traffic.map((message) => encodeMessage(message))),
    fragment(1, 2, 0, 300),
  ],
  run(bytes) {
    // the first byte says in which pieces the rest arrives, as a socket might
    const [pieceBytes = 1] = bytes;
    const recorder = createRecorder();
    const decoder = new FrameDecoder(recorder);
    isRefused(['protocol'], () => {
      for (let at = 1; at < bytes.length; at += pieceBytes + 1) {
        decoder.push(bytes, at, Math.min(bytes.length, at + pieceBytes + 1));
        claim(
          decoder.bufferBytes <= at + pieceBytes + 1 + limits.BODY_GATHER_STEP_BYTES,
          'it keeps more than has arrived',
        );
      }
    });
    const again = createRecorder();
    new FrameDecoder(again).push(streamOf(recorder.items));
    claim(
      JSON.stringify(again.items) === JSON.stringify(recorder.items),
      'what was read is not what is written from it',
    );
  },
};

/** A peer that proved itself and now sends whatever it likes: the policy refuses or copes, and keeps only what was verified. */
const swarm: FuzzTarget = {
  name: 'swarm',
  bytesMax: 2_048,
  seeds: [
    joined([
      encodeMessage({ type: 'have-all' }),
      encodeMessage({ type: 'grant', grantId: 0, etaMs: 1, suggestions: [] }),
    ]),
    joined([
      encodeMessage({ type: 'have-all' }),
      encodeMessage({ type: 'grant', grantId: 0, etaMs: 1, suggestions: [5] }),
      fragment(0, 5, 0, 1_000),
      fragment(0, 5, 1_000, 600),
    ]),
    joined([
      encodeMessage({ type: 'have-none' }),
      encodeMessage({ type: 'request', grantId: 0, requestId: 9, chunkIndex: 1 }),
      encodeMessage({ type: 'cancel', requestId: 9 }),
    ]),
    joined(traffic.slice(2).map((message) => encodeMessage(message))),
  ],
  run(bytes) {
    const have = new Bitfield(layout.chunkCount);
    have.add(1);
    const node = new Swarm(
      {
        ownKey: '00',
        size: layout.size,
        chunkSize: layout.chunkSize,
        have,
        seed: 1,
        order: 'rarest',
        single: false,
        upload: true,
        downBytesPerSecond: Number.POSITIVE_INFINITY,
        upBytesPerSecond: Number.POSITIVE_INFINITY,
      },
      0,
    );
    let nowMs = 0;
    let gainedCount = 1;
    let isOpen = true;
    const waiting: SwarmFact[] = [];
    const act = (action: SwarmAction): void => {
      if (action.type === 'verify') waiting.push({ ...action, type: 'verified', ok: action.chunkIndex % 2 === 1 });
      if (action.type === 'write') {
        claim(action.chunkIndex % 2 === 1, 'a chunk that did not verify is written');
        waiting.push({ ...action, type: 'written', ok: true });
      }
      if (action.type === 'gained') gainedCount++;
      if (action.type === 'stop-send') waiting.push({ ...action, type: 'send-ended', why: 'stopped' });
      if (action.type === 'close') isOpen = false;
    };
    const tell = (fact: SwarmFact): void => {
      waiting.push(fact);
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const actions = node.step(nowMs, next);
        claim(actions.length < 1_000, `one fact makes ${actions.length} actions`);
        for (const action of actions) act(action);
      }
    };
    tell({ type: 'linked', link: 1, key: 'ff', address: '192.0.2.1:9', outbound: false });
    const decoder = new FrameDecoder(
      {
        message(message) {
          nowMs += 7;
          if (isOpen && isForTheSwarm(message)) tell({ type: 'message', link: 1, message });
        },
        fragment(header) {
          if (!isOpen || node.admitFragment(nowMs, 1, header) === 'skip') return undefined;
          return new Uint8Array(header.byteCount);
        },
        fragmentEnd: ({ requestId, byteCount }) => tell({ type: 'fragment', link: 1, requestId, byteCount }),
      },
      'traffic',
    );
    isRefused(['protocol'], () => void decoder.push(bytes));
    for (let ticks = 0; ticks < 4; ticks++) {
      nowMs += 5_000;
      tell({ type: 'tick' });
    }
    tell({ type: 'unlinked', link: 1, misbehaved: false });
    claim(node.have.count === gainedCount, 'it has chunks that nobody verified');
    claim(node.linkCount === 0, 'a link is left');
  },
};

function isForTheSwarm(message: ControlMessage): message is SwarmMessage & ControlMessage {
  return !['hello', 'auth', 'ping', 'pong', 'pex', 'manifest-request', 'manifest-part', 'goodbye'].includes(
    message.type,
  );
}

const manifests: FuzzTarget = {
  name: 'manifest',
  bytesMax: 2_048,
  seeds: [manifest.bytes, createManifest(createChunkLayout(0, CHUNK_SIZE), sha256(id(0, 0)), id(0, 0), sha256).bytes],
  run(bytes) {
    isRefused(['integrity', 'protocol', 'usage', 'limit', 'too-large'], () => {
      const read = parseManifest(bytes, sha256);
      claim(Buffer.compare(read.bytes, bytes) === 0, 'a manifest is not its canonical bytes');
      claim(read.chunkCount === Math.ceil(read.size / read.chunkSize), 'its chunks do not make its size');
    });
  },
};

const journalIdentity = id(9, 32);
const journalHeader = encodeJournalHeader({ identity: journalIdentity, layout, bootId: id(8, 8) });
const journalRecords = encodeJournalRecords(
  [
    { type: 'boot', bootId: id(8, 8), pid: 4_711 },
    { type: 'done', chunkIndex: 3 },
    { type: 'done', chunkIndex: 4 },
    { type: 'sync', upToSequence: 3 },
    { type: 'lost', chunkIndex: 4 },
    { type: 'snap', durable: Bitfield.fromBytes(Uint8Array.of(0x80, 0, 0), layout.chunkCount) },
    { type: 'clean' },
  ],
  { firstSequence: 1, headerCrc: headerCrc(journalHeader) },
);
const journal: FuzzTarget = {
  name: 'journal',
  bytesMax: 1_024,
  seeds: [journalHeader, joined([journalHeader, journalRecords])],
  run(bytes) {
    const replay = replayJournal(bytes, { identity: journalIdentity, layout });
    if (replay === undefined) return;
    claim(replay.validByteCount <= bytes.length, 'more is valid than there is');
    const shorter = replayJournal(bytes.subarray(0, replay.validByteCount), { identity: journalIdentity, layout });
    claim(shorter?.recordCount === replay.recordCount, 'what was valid is not valid by itself');
  },
};

const rangeLines: FuzzTarget = {
  name: 'range',
  bytesMax: 512,
  seeds: ['big.bin:0:16\n', 'a:b:c.bin:1:9007199254740991', 'GET /x HTTP/1.1\r\n', 'été/☃.bin:3:4'].map((line) =>
    utf8.encode(line),
  ),
  run(bytes) {
    if (bytes.length > 0) dialectOf(bytes, true);
    const request = parseRangeRequest(text(bytes).replace(/\r?\n$/u, ''));
    if (request === undefined) return;
    claim(request.start >= 0 && request.start <= request.end, 'a range that ends before it begins');
    claim(entryNameProblem(request.name) === undefined, 'a name that is refused elsewhere');
  },
};

const names: FuzzTarget = {
  name: 'names',
  bytesMax: 512,
  seeds: ['course/week 1/notes.pdf', 'a', '..', 'con.txt', 'x/../y', 'e\u0301', 'a\\b', 'nul', 'trailing.'].map(
    (name) => utf8.encode(name),
  ),
  run(bytes) {
    isRefused(['usage'], () => {
      const name = parseEntryName(text(bytes));
      for (const platform of ['linux', 'win32', 'darwin']) {
        // a name that is fine here may be impossible there; then it is refused, never bent
        isRefused(['usage', 'disk'], () => {
          for (const segment of localPathSegments(name, platform))
            claim(!/^\.{0,2}$|[/\0]/u.test(segment), `${JSON.stringify(segment)} leads out of its folder`);
        });
      }
    });
  },
};

const addresses: FuzzTarget = {
  name: 'addresses',
  bytesMax: 300,
  seeds: ['127.0.0.1:9000', '[::1]:80', 'host.example:65535', '[fe80::1%eth0]:1', '::ffff:1.2.3.4'].map((one) =>
    utf8.encode(one),
  ),
  run(bytes) {
    isRefused(['usage'], () => {
      const address = parseAddress(text(bytes));
      const again = parseAddress(formatAddress(address));
      claim(again.host === address.host && again.port === address.port, 'an address is not read as it is written');
    });
  },
};

const controlLines: FuzzTarget = {
  name: 'control',
  bytesMax: 2_048,
  seeds: [
    '{"id":1,"method":"status"}\n',
    `{"id":"a","method":"get","what":"big.bin","output":"/tmp/x","from":["127.0.0.1:1"],"single":true}\n`,
    '{"id":1,"event":"error","error":{"code":"usage","message":"no","hint":"try"}}\n',
    '{"id":1,"event":"peer-banned","address":"192.0.2.1:5","reason":"integrity"}\n',
  ].map((line) => utf8.encode(line)),
  run(bytes) {
    isRefused(['too-large', 'protocol'], () =>
      createLineReader(1_024, (line) => {
        readRequest(line);
        readAnswer(line);
      })(Buffer.from(bytes)),
    );
  },
};

/** A registry only grows, so it is made anew now and then; what an input does may depend on those before it. */
const CALLS_PER_TRACKER = 2_000;
let tracker: Awaited<ReturnType<typeof startQuietTracker>> | undefined;
let calls = 0;

async function startQuietTracker() {
  const bench = await createBench();
  return createTrackerApp({
    registry: bench.registry,
    now: () => bench.clock.nowMs,
    log: createLog({ name: 'fuzz', level: 'silent' }),
    closing: new AbortController().signal,
  });
}

const HTTP_METHODS = ['GET', 'POST'] as const;
const announce = '{"ip":"192.0.2.1","port":7001,"files":[{"name":"a.bin","size":3,"sha256":"ab"}]}';
const rest: FuzzTarget = {
  name: 'rest',
  bytesMax: 1_024,
  // the first byte says the method, the rest of the first line the path, what follows is the body
  seeds: [
    `\u0001/announce\n${announce}`,
    '\u0001/complete\n{"peer_ip":"192.0.2.1","port":7001,"name":"a.bin"}',
    '\u0001/heartbeat\n{"ip":"192.0.2.1","port":7001}',
    '\u0001/leave\n{"ip":"192.0.2.1","port":7001}',
    '\u0000/files?q=a&limit=10&after=a\n',
    '\u0000/file/a.bin\n',
    '\u0000/file/a.bin%40ab/chunks?from=1&limit=5\n',
    '\u0000/torrents/a.bin.json\n',
    '\u0000/peers?limit=2\n',
    '\u0001/shoal.v1.TrackerService/ListFiles\n{"query":"a"}',
    '\u0001/shoal.v1.TrackerService/Locate\n{"name":"a.bin"}',
  ].map((line) => utf8.encode(line)),
  async run(bytes) {
    if (++calls % CALLS_PER_TRACKER === 0) {
      await tracker?.close();
      tracker = undefined;
    }
    tracker ??= await startQuietTracker();
    const [method = 0, ...others] = bytes;
    const lineEnd = others.indexOf(0x0a);
    const path = text(Uint8Array.from(lineEnd < 0 ? others : others.slice(0, lineEnd)));
    const url = `/${path.replace(/^\/+/u, '')}`;
    if (url.startsWith('/events') || !URL.canParse(url, 'http://tracker')) return;
    const answer = await tracker.inject({
      method: HTTP_METHODS[method % 2] ?? 'GET',
      url,
      headers: { 'content-type': 'application/json' },
      payload: lineEnd < 0 ? '' : Buffer.from(others.slice(lineEnd + 1)),
    });
    claim(answer.statusCode < 500, `${url} is answered ${answer.statusCode}: ${answer.body.slice(0, 300)}`);
  },
};

const listed = (name: string, size: number, more: Partial<FolderFile> = {}): FolderFile => ({
  name: parseEntryName(name),
  size,
  sha256: parseSha256Hex(sha256(utf8.encode(name)).toHex()),
  contentId: undefined,
  ...more,
});

/** The listing of a folder that somebody shares: it names files that will be written. */
const folderListing: FuzzTarget = {
  name: 'folder-listing',
  bytesMax: 2_048,
  seeds: [
    encodeFolder([]).bytes,
    encodeFolder([listed('a/b', 10), listed('a-b', 0), listed('\u00fc', 1)]).bytes,
    encodeFolder([listed('big', 2 ** 40, { contentId: parseContentId('ab'.repeat(32)) }), listed('c/d/e', 3)]).bytes,
    encodeFolder([listed('bin/run', 3, { executable: true }), listed('z', 5)], [parseEntryName('empty/one')]).bytes,
  ],
  run(bytes) {
    isRefused(['integrity'], () => {
      const { files, emptyFolders, listingBytes, contentBytes } = parseFolderListing(bytes);
      claim(
        listingBytesOf(bytes.subarray(0, LISTING_HEADER_BYTES), contentBytes) === bytes.length,
        'its length is another',
      );
      const again = encodeFolder(files, emptyFolders);
      claim(Buffer.compare(again.bytes, bytes) === 0, 'what was read is not what is written from it');
      claim(again.contentBytes === contentBytes && listingBytes === bytes.length, 'the content has another size');
      let end = listingBytes;
      const taken = new Set<string>();
      for (const { name, size, offset, contentId } of files) {
        claim(offset === end, `${name} does not begin where the file before it ends`);
        if (contentId === undefined) end += size;
        for (const one of localPathSegments(name, 'linux')) claim(one !== '..' && one !== '.' && one !== '', name);
      }
      for (const name of [...files.map((file) => file.name), ...emptyFolders]) {
        claim(entryNameProblem(name) === undefined, `the name ${name}`);
        claim(!taken.has(name), `${name} is there twice`);
        taken.add(name);
      }
      for (const name of taken)
        for (let slash = name.indexOf('/'); slash >= 0; slash = name.indexOf('/', slash + 1))
          claim(!taken.has(name.slice(0, slash)), `${name} is in a file`);
    });
  },
};

export const TARGETS: readonly FuzzTarget[] = [
  frames,
  swarm,
  manifests,
  folderListing,
  journal,
  rangeLines,
  names,
  addresses,
  controlLines,
  rest,
];
