import { describe, expect, it } from 'vitest';
import { BottleneckMeter, downloadBottleneck, uploadBottleneck, type DownloadFacts } from './bottleneck.ts';
import { countReasons, requestReason, waitingReason, type RequestFacts } from './chunk-reasons.ts';

const free: DownloadFacts = {
  isDiskPaused: false,
  isCheckingFull: false,
  hashingCount: 0,
  writingCount: 0,
  isRateLimited: false,
  ableCount: 3,
  toldToWaitCount: 0,
  snubbedCount: 0,
  isLinkShared: false,
};

describe('what holds a download up', () => {
  it.each([
    ['the sources, when nothing of ours does', {}, 'source', 'choked'],
    ['the disk, when it takes nothing', { isDiskPaused: true, isRateLimited: true }, 'disk', 'disk'],
    [
      'digests, when whole chunks wait for them',
      { isCheckingFull: true, hashingCount: 9, writingCount: 2 },
      'hash',
      'hashing',
    ],
    [
      'the disk, when verified chunks wait for it',
      { isCheckingFull: true, hashingCount: 2, writingCount: 9 },
      'disk',
      'disk',
    ],
    ['the limit', { isRateLimited: true, toldToWaitCount: 3 }, 'rate-limit', 'rate-limit'],
    ['our own link, when the sources share it', { isLinkShared: true }, 'link-down', 'choked'],
    [
      'the sources, when some wait for us and all deliver by themselves',
      { toldToWaitCount: 2 },
      'source',
      'pipeline-full',
    ],
    ['sources that have gone silent', { snubbedCount: 3 }, 'source', 'slow-source'],
    ['that there are none', { ableCount: 0 }, 'source', 'choked'],
  ] as const)('is %s', (_what, facts, bottleneck, reason) => {
    expect(downloadBottleneck({ ...free, ...facts })).toBe(bottleneck);
    expect(waitingReason({ ...free, ...facts })).toBe(reason);
  });
});

describe('what holds an upload up', () => {
  it('is nothing while nobody wants more, else the disk, the limit or the link', () => {
    const facts = { readingCount: 0, sendingCount: 0, isHeldByLimit: false };
    expect(uploadBottleneck(facts)).toBeNull();
    expect(uploadBottleneck({ ...facts, readingCount: 3, sendingCount: 1 })).toBe('disk');
    expect(uploadBottleneck({ ...facts, sendingCount: 1, isHeldByLimit: true })).toBe('rate-limit');
    expect(uploadBottleneck({ ...facts, sendingCount: 1 })).toBe('link-up');
  });
});

describe('a chunk that was asked for', () => {
  const request: RequestFacts = {
    state: 'open',
    receivedBytes: 10,
    silentMs: 10,
    bytesPerSecond: 100,
    usualBytesPerSecond: 100,
  };
  it.each([
    [{}, null],
    [{ receivedBytes: 0 }, 'requested'],
    [{ silentMs: 1_000 }, 'slow-source'],
    [{ bytesPerSecond: 24 }, 'slow-source'],
    [{ bytesPerSecond: 26 }, null],
    [{ usualBytesPerSecond: undefined, bytesPerSecond: 1 }, null],
    [{ state: 'hashing' }, 'hashing'],
    [{ state: 'writing' }, 'disk'],
  ] as const)('with %o waits for %s', (facts, reason) => {
    expect(requestReason({ ...request, ...facts })).toBe(reason);
  });

  it('is counted by its reason, with those that are still to be asked for', () => {
    const waiting = { sourcelessCount: 4, otherCount: 10, reason: 'choked' as const };
    expect(countReasons(waiting, [null, 'hashing', 'choked', 'hashing'])).toEqual({
      'no-source': 4,
      choked: 11,
      hashing: 2,
    });
    expect(countReasons({ ...waiting, sourcelessCount: 0, otherCount: 0 }, [null])).toEqual({});
  });
});

describe('BottleneckMeter', () => {
  it('names what was seen most of late, and forgets', () => {
    const meter = new BottleneckMeter();
    expect(meter.at(0)).toBeNull();
    for (let nowMs = 0; nowMs < 2_000; nowMs += 250) meter.add(nowMs, 'source');
    meter.add(2_000, 'disk');
    expect(meter.at(2_000)).toBe('source');
    for (let nowMs = 2_250; nowMs < 5_000; nowMs += 250) meter.add(nowMs, 'disk');
    expect(meter.at(5_000)).toBe('disk');
  });
});
