import { expect, it } from 'vitest';
import { SECOND_INTERRUPT_MIN_MS } from '../limits.ts';
import { FakeClock, FakeSignals } from './fixtures.ts';
import { createInterrupt, interrupted } from './interrupt.ts';

function setUp() {
  const clock = new FakeClock();
  const source = new FakeSignals();
  const exits: string[] = [];
  const interrupt = createInterrupt({
    source,
    now: () => clock.now(),
    exit: (code, why) => exits.push(`${code} ${why}`),
  });
  return { clock, source, exits, interrupt };
}

it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s asks to end', async (signal) => {
  const { source, exits, interrupt } = setUp();
  source.send(signal);
  await interrupted(interrupt.signal);
  expect(interrupt.cause).toBe(signal);
  expect(exits).toEqual([]);
  interrupt.close();
});

it('a signal that is passed on twice is one; a second Ctrl+C later ends at once', () => {
  const { clock, source, exits, interrupt } = setUp();
  source.send('SIGINT');
  source.send('SIGTERM');
  clock.advance(SECOND_INTERRUPT_MIN_MS - 1);
  source.send('SIGINT');
  expect(exits).toEqual([]);
  clock.advance(1);
  source.send('SIGINT');
  expect(exits).toEqual(['130 second interrupt']);
  expect(interrupt.cause).toBe('SIGINT');
  interrupt.close();
});

it('a reader that went away never ends the process by force', () => {
  const { clock, exits, interrupt } = setUp();
  interrupt.raise('EPIPE');
  clock.advance(10_000);
  interrupt.raise('EPIPE');
  expect(exits).toEqual([]);
  interrupt.close();
});

it('leaves no handler behind', () => {
  const { source, interrupt } = setUp();
  expect(source.listenerCount).toBe(3);
  interrupt.close();
  expect(source.listenerCount).toBe(0);
});
