import { expect, onTestFinished, test } from 'vitest';
import { Bitfield } from '../content/bitfield.ts';
import { ShoalError } from '../errors.ts';
import { createReceiveBuffers, createSendBuffers } from './chunk-buffers.ts';
import { ContentSession, type ChunkStore, type SessionEvents } from './content-session.ts';
import { createContent, createLinkPair, KiB, until, type MemoryContent, type MemoryLink } from './fixtures.ts';
import { Uploader } from './uploader.ts';

interface Bench {
  readonly key: string;
  readonly session: ContentSession;
  readonly stored: Map<number, Uint8Array>;
  /** What its owner was told, as short words. */
  readonly told: string[];
  /** Buffers still in use. */
  taken(): number;
  /** Thrown by every write while it is set. */
  failWrites: ShoalError | undefined;
}

interface BenchOptions {
  readonly complete?: boolean;
  readonly events?: Partial<SessionEvents>;
  readonly read?: ChunkStore['read'];
  readonly single?: boolean;
}

function createPeer(key: string, content: MemoryContent, options: BenchOptions = {}): Bench {
  const { complete = false, single = false } = options;
  const { chunkCount } = content.manifest;
  const sendBuffers = createSendBuffers();
  const receiveBuffers = createReceiveBuffers(() => undefined);
  const uploader = new Uploader(sendBuffers, Number.POSITIVE_INFINITY, () => performance.now());
  const stored = new Map<number, Uint8Array>();
  const told: string[] = [];
  const bench: Bench = {
    key,
    stored,
    told,
    failWrites: undefined,
    taken: () => sendBuffers.takenCount + receiveBuffers.takenCount,
    session: new ContentSession({
      layout: content.manifest,
      ownKey: key,
      have: complete ? Bitfield.full(chunkCount) : new Bitfield(chunkCount),
      store: {
        read:
          options.read ??
          ((chunkIndex, into) => {
            into.set(stored.get(chunkIndex) ?? content.chunk(chunkIndex));
            return Promise.resolve();
          }),
        write: (chunkIndex, bytes) => {
          if (bench.failWrites !== undefined) return Promise.reject(bench.failWrites);
          stored.set(chunkIndex, bytes.slice());
          return Promise.resolve();
        },
      },
      verify: (chunkIndex, bytes) => content.verify(chunkIndex, bytes),
      buffers: receiveBuffers,
      uploader,
      clock: () => performance.now(),
      seed: 1,
      order: 'rarest',
      single,
      upload: true,
      upBytesPerSecond: Number.POSITIVE_INFINITY,
      downBytesPerSecond: Number.POSITIVE_INFINITY,
      events: {
        dial: (candidate) => void told.push(`dial ${candidate.key}`),
        needPeers: () => void told.push('need peers'),
        complete: () => void told.push('complete'),
        banned: ({ address, reason }) => void told.push(`banned ${address}: ${reason}`),
        accused: (chunkIndexes) => void told.push(`accused of ${chunkIndexes.join(' ')}`),
        diskProblem: (error, chunkIndex) => void told.push(`disk ${chunkIndex}: ${error.message}`),
        ...options.events,
      },
    }),
  };
  onTestFinished(async () => {
    await bench.session.close();
    uploader.close();
    await until(() => bench.taken() === 0, `every buffer of ${key} is given back`);
  });
  return bench;
}

/** Connects two sessions; `from` dials. */
function join(from: Bench, to: Bench): { readonly atFrom: MemoryLink; readonly atTo: MemoryLink } {
  const { atA, atB } = createLinkPair(from.key, to.key);
  atB.events = to.session.linked(atB, { outbound: false });
  atA.events = from.session.linked(atA, { outbound: true, dialledKey: to.key });
  return { atFrom: atA, atTo: atB };
}

function isWhole(peer: Bench, content: MemoryContent): boolean {
  for (let index = 0; index < content.manifest.chunkCount; index++) {
    if (!Buffer.from(peer.stored.get(index) ?? []).equals(content.chunk(index))) return false;
  }
  return true;
}

test('what one has goes over to the other, chunk by chunk, and is counted', async () => {
  const content = createContent(20 * 16 * KiB + 5);
  const [leecher, seeder] = [createPeer('aa', content), createPeer('bb', content, { complete: true })];
  join(leecher, seeder);
  await until(() => leecher.told.includes('complete'), 'it is complete');
  expect(isWhole(leecher, content)).toBe(true);
  expect(leecher.session.sources).toHaveLength(1);
  expect(leecher.session.sources[0]).toMatchObject({ key: 'bb', bytes: content.bytes.length, chunks: 21 });
  expect(leecher.session.receivedBytes).toBe(content.bytes.length);
  expect(seeder.session.sentBytes).toBe(content.bytes.length);
  expect(leecher.session.stallReason()).toBeNull();
  await until(() => leecher.session.linkCount === 0 && seeder.session.linkCount === 0, 'both hang up');
});

test('who is still fetching serves what it has', async () => {
  const content = createContent(60 * 16 * KiB);
  const seeder = createPeer('aa', content, { complete: true });
  const [first, second] = [createPeer('bb', content), createPeer('cc', content)];
  join(first, seeder);
  join(second, seeder);
  join(second, first);
  await until(() => first.told.includes('complete') && second.told.includes('complete'), 'both are complete');
  expect(isWhole(first, content) && isWhole(second, content)).toBe(true);
  expect(first.session.sentBytes + second.session.sentBytes).toBeGreaterThan(0);
});

test('a peer that sends wrong bytes is banned and named, and the rest comes from others', async () => {
  const content = createContent(30 * 16 * KiB);
  const leecher = createPeer('aa', content);
  const [liar, honest] = [createPeer('bb', content, { complete: true }), createPeer('cc', content, { complete: true })];
  const toLiar = join(leecher, liar);
  toLiar.atTo.corrupt = (_fragment, bytes) => bytes.map((byte) => byte ^ 0xff);
  await until(() => leecher.told.some((one) => one.startsWith('banned')), 'the liar is banned');
  expect(leecher.told.find((one) => one.startsWith('banned'))).toMatch(/^banned bb\.test:1: \w+/u);
  expect(toLiar.atFrom.closedFor).toBe('integrity');
  expect(leecher.stored.size).toBe(0);
  // and the other side hears of what it sent, so that it can look at it again
  await until(() => liar.told.some((one) => /^accused of \d/u.test(one)), 'the liar is told');

  // it comes back at once, and is not let in
  const again = join(leecher, liar);
  await until(() => again.atFrom.closedFor !== undefined, 'it is refused');
  join(leecher, honest);
  await until(() => leecher.told.includes('complete'), 'it is complete');
  expect(isWhole(leecher, content)).toBe(true);
  expect(leecher.session.sources.map(({ key }) => key)).toEqual(['cc']);
});

test('a disk that refuses a write makes a pause with a reason, and it goes on when it can', async () => {
  const content = createContent(10 * 16 * KiB);
  const [leecher, seeder] = [createPeer('aa', content), createPeer('bb', content, { complete: true })];
  leecher.failWrites = new ShoalError('no-space', 'the disk is full');
  join(leecher, seeder);
  await until(() => leecher.session.stallReason() === 'disk', 'it says why it waits');
  expect(leecher.session.lastDiskError?.code).toBe('no-space');
  expect(leecher.told.some((one) => one.endsWith('the disk is full'))).toBe(true);
  leecher.failWrites = undefined;
  await until(() => leecher.told.includes('complete'), 'it goes on');
  expect(isWhole(leecher, content)).toBe(true);
});

test('a chunk that the uploader cannot read is taken from the map, told, and fetched elsewhere', async () => {
  const content = createContent(8 * 16 * KiB);
  const leecher = createPeer('aa', content);
  const broken = createPeer('bb', content, {
    complete: true,
    read: (chunkIndex, into) => {
      if (chunkIndex === 3) return Promise.reject(new ShoalError('disk', 'bad sector'));
      into.set(content.chunk(chunkIndex));
      return Promise.resolve();
    },
  });
  join(leecher, broken);
  await until(() => leecher.stored.size === 7, 'all but one chunk came');
  await until(() => broken.told.includes('disk 3: bad sector'), 'the owner of the broken copy hears of it');
  expect(broken.session.swarm.have.has(3)).toBe(false);
  expect(leecher.told).not.toContain('complete');
  join(leecher, createPeer('cc', content, { complete: true }));
  await until(() => leecher.told.includes('complete'), 'it is complete');
});

test('a lost connection is not the end: what was under way is asked elsewhere', async () => {
  const content = createContent(200 * 16 * KiB);
  const leecher = createPeer('aa', content);
  const [dies, stays] = [createPeer('bb', content, { complete: true }), createPeer('cc', content, { complete: true })];
  const { atFrom } = join(leecher, dies);
  join(leecher, stays);
  await until(() => leecher.stored.size > 20, 'it has begun');
  atFrom.break();
  await until(() => leecher.told.includes('complete'), 'it is complete');
  expect(isWhole(leecher, content)).toBe(true);
});

test('reads wait while the file moves, and then come from where it is', async () => {
  const content = createContent(4 * 16 * KiB);
  const seeder = createPeer('bb', content, {
    complete: true,
    read: () => Promise.reject(new ShoalError('disk', 'it is not here any more')),
  });
  const moved = Promise.withResolvers<void>();
  seeder.session.holdReads(moved.promise);
  const leecher = createPeer('aa', content);
  join(leecher, seeder);
  await until(() => seeder.taken() > 0, 'it is asked for a chunk');
  seeder.session.useStore({
    read: (chunkIndex, into) => {
      into.set(content.chunk(chunkIndex));
      return Promise.resolve();
    },
  });
  moved.resolve();
  await until(() => leecher.told.includes('complete'), 'it is complete');
  expect(seeder.told).toEqual([]);
});

test('a session that closes hangs up, gives back every buffer, and takes nobody in', async () => {
  const content = createContent(100 * 16 * KiB);
  const [leecher, seeder] = [createPeer('aa', content), createPeer('bb', content, { complete: true })];
  const { atFrom } = join(leecher, seeder);
  await until(() => leecher.stored.size > 0, 'it has begun');
  await leecher.session.close();
  expect(atFrom.closedFor).toBe('leaving');
  expect(leecher.session.linkCount).toBe(0);
  const late = join(leecher, seeder);
  expect(late.atFrom.closedFor).toBe('leaving');
  await until(() => seeder.session.linkCount === 0, 'the other side hears of it');
});

test('candidates are dialled, and the tracker is asked again while there are too few', async () => {
  const content = createContent(16 * KiB);
  const leecher = createPeer('aa', content);
  leecher.session.learn(
    [{ key: 'bb', addresses: ['192.0.2.1:1'], dialect: 'native', complete: true, rangeName: undefined }],
    true,
  );
  expect(leecher.told).toContain('dial bb');
  await until(() => leecher.told.includes('need peers'), 'it asks for more');
  leecher.session.dialFailed('bb');
  await until(() => leecher.session.stallReason() === 'no-source', 'it says why nothing moves');
});
