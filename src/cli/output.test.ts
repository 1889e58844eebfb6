import { expect, test } from 'vitest';
import { FakeTerminal } from './fixtures.ts';
import { Output } from './output.ts';

test.each([false, true])('a warning beside the bar is seen (json: %s)', (json) => {
  const stderr = new FakeTerminal();
  const output = new Output({ stdout: new FakeTerminal(), stderr, env: {}, now: () => 0 });
  output.json = json;
  output.openBar();
  output.warn('look here');
  expect(stderr.lines).toContain('shoal: look here');
});
