import { describe, expect, it } from 'vitest';
import { displayWidth } from './display-width.ts';
import { FakeClock, FakeTerminal } from './fixtures.ts';
import { barLine, createProgressBar, drawsUnicode, type BarState } from './progress-bar.ts';
import { createProgressPace } from './progress-pace.ts';
import { createRateEstimate } from './rate-estimate.ts';

function state(parts: Partial<BarState> = {}): BarState {
  return {
    name: 'big.bin',
    bytes: 500 * 2 ** 20,
    total: 1000 * 2 ** 20,
    bytesPerSecond: 112e6,
    peers: 3,
    etaSeconds: 5,
    stalled: null,
    ...parts,
  };
}

describe('the bar', () => {
  it('shows name, bar, percent, speed, time left, sources and amount', () => {
    expect(barLine(state(), 120, false)).toBe(
      'big.bin  [###############...............]   50 %  112 MB/s  5 s left  3 sources  500 MiB of 1000 MiB',
    );
  });

  it('draws eighths where the terminal can', () => {
    expect(barLine(state({ bytes: 515 * 2 ** 20 }), 120, true)).toContain('  ████████████████▍░░░░░░░░░░░░░░░  ');
  });

  it('says why nothing moves instead of how fast', () => {
    const line = barLine(state({ stalled: 'no-source', peers: 0 }), 120, false);
    expect(line).toContain('waiting: no-source  0 sources');
    expect(line).not.toContain('MB/s');
  });

  it('never is wider than the terminal, and gives up the least important first', () => {
    for (let columns = 20; columns <= 130; columns++)
      for (const name of ['big.bin', '数据'.repeat(40), 'x'.repeat(200)])
        expect(displayWidth(barLine(state({ name }), columns, true))).toBeLessThanOrEqual(columns);
    expect(barLine(state(), 60, false)).toContain('112 MB/s');
    expect(barLine(state(), 60, false)).not.toContain('MiB of');
    expect(barLine(state(), 20, false)).toContain('50 %');
  });

  it('fills only when everything is there, also for an empty file', () => {
    expect(barLine(state({ bytes: 999, total: 1000 }), 80, false)).toContain(' 99 %');
    expect(barLine(state({ bytes: 0, total: 0 }), 80, false)).toContain('100 %');
  });

  it('draws on a terminal only, at most every 80 ms, and leaves an empty line', () => {
    const clock = new FakeClock();
    const terminal = new FakeTerminal({ isTTY: true, columns: 80 });
    const bar = createProgressBar({ terminal, env: {}, now: () => clock.now() });
    for (let bytes = 1; bytes <= 100; bytes++) {
      bar.update(state({ bytes }));
      clock.advance(1);
    }
    expect(terminal.text.match(/big\.bin/g)).toHaveLength(2);
    bar.log('a line');
    bar.close();
    expect(terminal.text).toContain('\r\u001b[2Ka line\n');
    expect(terminal.text.endsWith('\r\u001b[2K\u001b[?25h')).toBe(true);
    expect(terminal.resizeListenerCount).toBe(0);
  });

  it('redraws when the terminal changes its size', () => {
    const terminal = new FakeTerminal({ isTTY: true, columns: 120 });
    const bar = createProgressBar({ terminal, env: {}, now: () => 0 });
    bar.update(state());
    terminal.text = '';
    terminal.resize(40);
    expect(terminal.text.startsWith('\r\u001b[J')).toBe(true);
    expect(displayWidth(terminal.text.split('\u001b[2K').at(-1) ?? '')).toBeLessThan(40);
    bar.close();
  });

  it('is silent without a terminal, but for what is logged', () => {
    const terminal = new FakeTerminal();
    const bar = createProgressBar({ terminal, env: {}, now: () => 0 });
    bar.update(state());
    bar.log('a line');
    bar.close();
    expect(terminal.text).toBe('a line\n');
    expect(terminal.resizeListenerCount).toBe(0);
  });

  it('keeps to ASCII where block characters are not known to work', () => {
    expect(drawsUnicode({ LANG: 'en_US.UTF-8' })).toBe(true);
    expect(drawsUnicode({ LANG: 'en_US.UTF-8', LC_ALL: 'C' })).toBe(false);
    expect(drawsUnicode({ LANG: 'C.utf8', TERM: 'linux' })).toBe(false);
    expect(drawsUnicode({})).toBe(false);
  });
});

describe('the pace of progress events', () => {
  it('is at most ten a second however often progress is offered', () => {
    const clock = new FakeClock();
    const atMs: number[] = [];
    const pace = createProgressPace<number>(() => atMs.push(clock.now()), clock);
    for (let index = 0; index < 3_000; index++) {
      pace.offer(index);
      clock.advance(1);
    }
    pace.close(3_000);
    expect(atMs.length).toBeGreaterThan(20);
    for (let index = 10; index < atMs.length; index++)
      expect((atMs[index] ?? 0) - (atMs[index - 10] ?? 0)).toBeGreaterThanOrEqual(1000);
  });

  it('is at least one a second while nothing new is offered', () => {
    const clock = new FakeClock();
    const seen: { value: number; atMs: number }[] = [];
    const pace = createProgressPace<number>((value) => seen.push({ value, atMs: clock.now() }), clock);
    pace.offer(7);
    clock.advance(5_000);
    expect(seen.length).toBeGreaterThanOrEqual(5);
    expect(seen.every(({ value }) => value === 7)).toBe(true);
    for (const [index, { atMs }] of seen.entries()) expect(atMs - (seen[index - 1]?.atMs ?? 0)).toBeLessThan(1000);
    pace.close();
  });

  it('emits the latest value, not the first that waited', () => {
    const clock = new FakeClock();
    const seen: number[] = [];
    const pace = createProgressPace<number>((value) => seen.push(value), clock);
    pace.offer(1);
    pace.offer(2);
    pace.offer(3);
    clock.advance(200);
    expect(seen).toEqual([1, 3]);
    pace.close(4);
    expect(seen).toEqual([1, 3, 4]);
    expect(clock.plannedCount).toBe(0);
  });
});

it('speed is estimated over the last seconds', () => {
  const clock = new FakeClock();
  const estimate = createRateEstimate(() => clock.now());
  let bytesPerSecond = estimate(0);
  expect(bytesPerSecond).toBe(0);
  for (let second = 1; second <= 10; second++) {
    clock.advance(1000);
    bytesPerSecond = estimate(second <= 5 ? second * 100 : 500 + (second - 5) * 1000);
  }
  expect(bytesPerSecond).toBe(1000);
});
