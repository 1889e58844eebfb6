import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { Bitfield } from '../content/bitfield.ts';
import type { ContentId } from '../content/digest.ts';
import type { Reachability } from '../contract/reachability.ts';
import { ShoalError } from '../errors.ts';
import { formatAddress } from '../net/address.ts';
import { Announcer, type AnnounceClient, type AnnouncedContent } from './announcer.ts';
import { createContent, until } from './fixtures.ts';
import type { HoldingChangeReport, HoldingReport, PeerReport, SwarmNews } from './tracker-client.ts';

const PEER = 'ab'.repeat(16);

/** A tracker of one peer's size: keeps the promises of the real one, counts the calls, and can be away or forgetful. */
class FakeTracker implements AnnounceClient {
  readonly calls: string[] = [];
  readonly holdings = new Map<ContentId, Bitfield>();
  readonly names = new Map<string, ContentId>();
  readonly #manifests = new Map<ContentId, number>();
  registered = false;
  away: ShoalError | undefined;
  refusedNames: readonly string[] = [];
  news: SwarmNews[] = [];
  readonly reports: PeerReport[] = [];
  takesReports = true;
  renewMs = 60_000;
  /** What happens, once, when a renewal has been answered. */
  afterRenew: (() => void) | undefined;
  /** Calls wait for this. */
  gate: Promise<void> = Promise.resolve();

  peerExchange = true;
  reachability: Reachability = 'reachable';

  forgetAll(): void {
    this.registered = false;
    this.holdings.clear();
    this.names.clear();
    this.#manifests.clear();
  }

  async register({ peerId, holdings }: { peerId: string; holdings: readonly HoldingReport[] }) {
    await this.#enter('register', undefined);
    expect(peerId).toBe(PEER);
    this.registered = true;
    this.holdings.clear();
    return {
      leaseMs: 30_000,
      renewMs: this.renewMs,
      observedHost: '127.0.0.1',
      unknownContentIds: this.#put(holdings),
      peerExchange: this.peerExchange,
      reachability: this.reachability,
    };
  }

  async renew(_peerId: string, changes: readonly HoldingChangeReport[], signal?: AbortSignal) {
    await this.#enter('renew', signal);
    if (!this.registered)
      return {
        known: false,
        leaseMs: 0,
        news: [],
        unknownContentIds: [],
        reachability: this.reachability,
        replicas: [],
      };
    const unknownContentIds: ContentId[] = [];
    for (const { contentId, complete, gained = [], lost = [], dropped } of changes) {
      const held = this.holdings.get(contentId);
      if (dropped === true) this.holdings.delete(contentId);
      else if (held === undefined) unknownContentIds.push(contentId);
      else if (complete === true) held.addAll();
      for (const chunk of dropped === true ? [] : gained) held?.add(chunk);
      for (const chunk of dropped === true ? [] : lost) held?.delete(chunk);
    }
    this.afterRenew?.();
    this.afterRenew = undefined;
    const { reachability } = this;
    return { known: true, leaseMs: 30_000, news: this.news.splice(0), unknownContentIds, reachability, replicas: [] };
  }

  async publish(_peerId: string, items: Parameters<AnnounceClient['publish']>[1], signal?: AbortSignal) {
    await this.#enter(`publish ${items.length}`, signal);
    if (!this.registered) throw new ShoalError('unknown-peer', 'the tracker does not know this peer');
    return items.map(({ name, manifest, partial }) => {
      if (this.refusedNames.includes(name)) return { problem: 'the name is refused' };
      this.names.set(name, manifest.contentId);
      this.#manifests.set(manifest.contentId, manifest.chunkCount);
      if (partial !== true && !this.holdings.has(manifest.contentId))
        this.holdings.set(manifest.contentId, Bitfield.full(manifest.chunkCount));
      return { problem: undefined };
    });
  }

  async registerChunks(_peerId: string, holdings: readonly HoldingReport[], signal?: AbortSignal) {
    await this.#enter('registerChunks', signal);
    if (!this.registered) return { known: false, unknownContentIds: [] };
    return { known: true, unknownContentIds: this.#put(holdings) };
  }

  async reportPeers(_peerId: string, reports: readonly PeerReport[], signal?: AbortSignal) {
    await this.#enter(`report ${reports.length}`, signal);
    if (!this.takesReports) throw new ShoalError('tracker-unreachable', 'answers, but not this call');
    if (this.registered) this.reports.push(...reports);
    return this.registered;
  }

  async leave(): Promise<void> {
    await this.#enter('leave', undefined);
    this.registered = false;
  }

  #put(holdings: readonly HoldingReport[]): ContentId[] {
    const unknown: ContentId[] = [];
    for (const { contentId, chunks } of holdings) {
      const chunkCount = this.#manifests.get(contentId);
      if (chunkCount === undefined) unknown.push(contentId);
      else this.holdings.set(contentId, chunks?.clone() ?? Bitfield.full(chunkCount));
    }
    return unknown;
  }

  async #enter(call: string, signal: AbortSignal | undefined): Promise<void> {
    await this.gate;
    if (signal?.aborted === true) throw new ShoalError('cancelled', 'the call was cancelled');
    this.calls.push(call);
    if (this.away !== undefined) throw this.away;
  }
}

function createBench(tracker = new FakeTracker()) {
  const states: string[] = [];
  const news: SwarmNews[] = [];
  const problems: string[] = [];
  const exchange: boolean[] = [];
  const reachabilities: string[] = [];
  const announcer = new Announcer({
    client: tracker,
    peerId: PEER,
    addresses: () => [{ host: '', port: 1 }],
    dialects: ['native', 'range'],
    random: () => 0.5,
    onNews: (one) => void news.push(one),
    onPeerExchange: (allowed) => void exchange.push(allowed),
    onReachability: (found, addresses) => void reachabilities.push(`${found} ${addresses.map(formatAddress).join()}`),
    onState: (state) => void states.push(state),
    onPublishProblem: (name, problem) => void problems.push(`${name}: ${problem}`),
  });
  onTestFinished(() => announcer.close());
  return { tracker, announcer, states, news, problems, exchange, reachabilities };
}

function sharedContent(size: number, ...names: string[]): AnnouncedContent & { readonly contentId: ContentId } {
  const { manifest } = createContent(size);
  const full = Bitfield.full(manifest.chunkCount);
  return { manifest, names: new Set(names), have: () => full, links: () => 0, contentId: manifest.contentId };
}

/** A content that is being fetched. */
function fetchedContent(size: number) {
  const { manifest } = createContent(size);
  const field = new Bitfield(manifest.chunkCount);
  return {
    manifest,
    names: new Set<string>(),
    have: () => field,
    links: () => 2,
    contentId: manifest.contentId,
    field,
  };
}

test('what is put is registered and published, and settled says when', async () => {
  const { tracker, announcer, states } = createBench();
  const content = sharedContent(100_000, 'a.bin', 'same as a.bin');
  announcer.put(content);
  announcer.start();
  await announcer.settled();
  expect(tracker.names).toEqual(
    new Map([
      ['a.bin', content.contentId],
      ['same as a.bin', content.contentId],
    ]),
  );
  expect(tracker.holdings.get(content.contentId)?.isFull).toBe(true);
  expect(states).toEqual(['connected']);
  expect(announcer.state).toBe('connected');
});

test('settled waits for a round that is under way', async () => {
  const { tracker, announcer } = createBench();
  announcer.start();
  await announcer.settled();
  const gate = Promise.withResolvers<void>();
  tracker.gate = gate.promise;
  announcer.put(sharedContent(10, 'late.bin'));
  await new Promise((resolve) => setImmediate(resolve)); // the round has taken it up, and its first call waits
  const settled = announcer.settled();
  gate.resolve();
  await settled;
  expect([...tracker.names.keys()]).toEqual(['late.bin']);
});

test('what comes later is published alone', async () => {
  const { tracker, announcer } = createBench();
  announcer.put(sharedContent(10, 'first.bin'));
  announcer.start();
  await announcer.settled();
  tracker.calls.length = 0;
  announcer.put(sharedContent(20, 'second.bin'));
  await announcer.settled();
  expect(tracker.calls).toContain('publish 1');
  expect([...tracker.names.keys()]).toEqual(['first.bin', 'second.bin']);
});

test('renewals carry the chunks that were gained and lost, and what was dropped', async () => {
  const { tracker, announcer } = createBench();
  const other = fetchedContent(300_000);
  tracker.registered = true;
  await tracker.publish(PEER, [{ name: 'theirs.bin', manifest: other.manifest, partial: true }]);
  announcer.put(other);
  announcer.start();
  await announcer.settled();
  expect(tracker.holdings.get(other.contentId)?.count).toBe(0);
  other.field.add(1);
  other.field.add(4);
  announcer.touch();
  await announcer.settled();
  other.field.delete(1);
  other.field.add(5);
  announcer.touch();
  await announcer.settled();
  expect([...(tracker.holdings.get(other.contentId) ?? [])]).toEqual([4, 5]);

  other.field.addAll();
  announcer.touch();
  await announcer.settled();
  expect(tracker.holdings.get(other.contentId)?.isFull).toBe(true);

  announcer.drop(other.contentId);
  await announcer.settled();
  expect(tracker.holdings.has(other.contentId)).toBe(false);
});

test('a tracker that has forgotten us learns everything again', async () => {
  const { tracker, announcer } = createBench();
  const content = sharedContent(50_000, 'kept.bin');
  announcer.put(content);
  announcer.start();
  await announcer.settled();
  tracker.forgetAll();
  announcer.touch();
  await announcer.settled();
  expect(tracker.registered).toBe(true);
  expect(tracker.names.get('kept.bin')).toBe(content.contentId);
  expect(tracker.holdings.get(content.contentId)?.isFull).toBe(true);
});

test('what the tracker does not know of yet is told again as a whole', async () => {
  const { tracker, announcer } = createBench();
  const content = fetchedContent(100_000);
  content.field.add(0);
  announcer.put(content);
  announcer.start();
  await announcer.settled();
  expect(tracker.holdings.size).toBe(0);

  // another peer publishes it
  await tracker.publish(PEER, [{ name: 'theirs.bin', manifest: content.manifest, partial: true }]);
  content.field.add(2);
  announcer.touch();
  await announcer.settled();
  expect([...(tracker.holdings.get(content.contentId) ?? [])]).toEqual([0, 2]);
});

test('while the tracker is away settled fails, attempts go on, and all is told when it is back', async () => {
  const tracker = new FakeTracker();
  tracker.away = new ShoalError('tracker-unreachable', 'nobody answers');
  const { announcer, states } = createBench(tracker);
  const content = sharedContent(10, 'patient.bin');
  announcer.put(content);
  announcer.start();
  await expect(announcer.settled()).rejects.toThrow('nobody answers');
  expect(announcer.state).toBe('away');
  const attempts = tracker.calls.length;
  for (let more = 0; more < 5; more++) announcer.touch();
  await new Promise((resolve) => setImmediate(resolve));
  expect(tracker.calls.length).toBe(attempts); // news do not shorten the wait
  tracker.away = undefined;
  await announcer.settled();
  expect(tracker.names.get('patient.bin')).toBe(content.contentId);
  expect(states).toEqual(['away', 'connected']);
});

test('a tracker that restarts between two calls of a round is no failure for who waits', async () => {
  const { tracker, announcer } = createBench();
  announcer.start();
  await announcer.settled();
  tracker.afterRenew = () => tracker.forgetAll();
  const content = sharedContent(10, 'unlucky.bin');
  announcer.put(content);
  await announcer.settled();
  expect(tracker.names.get('unlucky.bin')).toBe(content.contentId);
  expect(tracker.holdings.has(content.contentId)).toBe(true);
});

test('a name that is refused is told once, and holds up nobody', async () => {
  const { tracker, announcer, problems } = createBench();
  tracker.refusedNames = ['bad'];
  announcer.put(sharedContent(10, 'bad', 'good'));
  announcer.start();
  await announcer.settled();
  announcer.touch();
  await announcer.settled();
  expect(problems).toEqual(['bad: the name is refused']);
  expect([...tracker.names.keys()]).toEqual(['good']);
});

test('news of the swarm are passed on, and renewals come by themselves', async () => {
  const { tracker, announcer, news } = createBench();
  tracker.renewMs = 10;
  announcer.start();
  await announcer.settled();
  const one = { contentId: sharedContent(1).contentId, seederRank: 1, seederCount: 3, peerCount: 5 };
  tracker.news = [one];
  await until(() => news.length > 0, 'a renewal brings news');
  expect(news).toEqual([one]);
});

test('close leaves the tracker at once, and fails who still waits', async () => {
  const { tracker, announcer } = createBench();
  announcer.start();
  await announcer.settled();
  await announcer.close();
  expect(tracker.calls.at(-1)).toBe('leave');

  const away = new FakeTracker();
  away.gate = new Promise(() => undefined);
  const second = createBench(away).announcer;
  const waiting = second.settled();
  second.close().catch(() => undefined);
  await expect(waiting).rejects.toMatchObject({ code: 'cancelled' });
});

test('close leaves also a tracker whose answer to the registration is still on its way', async () => {
  const { tracker, announcer } = createBench();
  const register = tracker.register.bind(tracker);
  Object.assign(tracker, {
    register: async (registration: Parameters<typeof register>[0], signal: AbortSignal) => {
      await register(registration);
      await once(signal, 'abort');
      throw signal.reason;
    },
  });
  announcer.start();
  await until(() => tracker.registered, 'the tracker has it');
  await announcer.close();
  expect(tracker.calls).toEqual(['register', 'leave']);
});

test("whether peers may tell each other of peers is the tracker's word, asked with every registration", async () => {
  const { tracker, announcer, exchange } = createBench();
  tracker.peerExchange = false;
  announcer.put(sharedContent(100, 'a.bin'));
  announcer.start();
  await announcer.settled();
  expect(exchange).toEqual([false]);
  tracker.forgetAll();
  tracker.peerExchange = true;
  announcer.put(sharedContent(200, 'b.bin'));
  await announcer.settled();
  expect(exchange.at(-1)).toBe(true);
});

const lie: PeerReport = {
  contentId: createContent(100_000).manifest.contentId,
  peerId: 'cd'.repeat(16),
  address: { host: '10.0.0.1', port: 9001 },
  offence: 'wrong-bytes',
};

test('a peer that lied is reported at once, and once', async () => {
  const { announcer, tracker } = createBench();
  announcer.start();
  await announcer.settled();
  announcer.report(lie);
  await until(() => tracker.reports.length > 0, 'the report');
  await announcer.settled();
  announcer.touch();
  await announcer.settled();
  expect(tracker.reports).toEqual([lie]);
});

test('a report the tracker could not place comes again after the registration', async () => {
  const { announcer, tracker } = createBench();
  announcer.start();
  await announcer.settled();
  tracker.afterRenew = () => tracker.forgetAll();
  announcer.report(lie);
  await announcer.settled();
  expect(tracker.reports).toEqual([lie]);
});

test('a node that ends tells what it knows of liars first', async () => {
  const { announcer, tracker } = createBench();
  announcer.start();
  await announcer.settled();
  const gate = Promise.withResolvers<void>();
  tracker.gate = gate.promise;
  announcer.report(lie);
  const closed = announcer.close();
  gate.resolve();
  await closed;
  expect(tracker.reports).toEqual([lie]);
  expect(tracker.registered).toBe(false);
});

test('a tracker that does not take reports is not away for that', async () => {
  const { announcer, tracker, states } = createBench();
  tracker.takesReports = false;
  announcer.start();
  await announcer.settled();
  announcer.report(lie);
  await announcer.settled();
  expect(states).toEqual(['connected']);
  expect(tracker.calls.filter((call) => call === 'register')).toHaveLength(1);
});

test('what the tracker found at our addresses is told when it changes, with where it sees us', async () => {
  const { tracker, announcer, reachabilities } = createBench();
  tracker.reachability = 'unknown';
  announcer.start();
  await announcer.settled();
  tracker.reachability = 'unreachable';
  for (const name of ['a.bin', 'b.bin']) {
    announcer.put(sharedContent(10, name));
    await announcer.settled();
  }
  tracker.reachability = 'reachable';
  announcer.put(sharedContent(10, 'c.bin'));
  await announcer.settled();
  expect(reachabilities).toEqual(['unreachable 127.0.0.1:1', 'reachable 127.0.0.1:1']);
});

test('a node whose tracker has closed the connection calls again soon, and not again before its next renewal', async () => {
  const { tracker, announcer } = createBench();
  announcer.start();
  await announcer.settled();
  tracker.calls.length = 0;
  announcer.lost();
  await until(() => tracker.calls.includes('renew'), 'it calls');
  announcer.lost();
  announcer.lost();
  announcer.touch();
  await announcer.settled();
  expect(tracker.calls).toEqual(['renew', 'renew']);
});
