import { expect, test } from 'vitest';
import { COMMON, helpText, readOptions } from './options.ts';

test('an option left out has its default, a switch is off, and one nobody knows is refused', () => {
  expect(readOptions('x', { runs: COMMON.runs, json: COMMON.json }, [])).toMatchObject({ runs: '5', json: false });
  expect(readOptions('x', { runs: COMMON.runs, json: COMMON.json }, ['--runs', '2', '--json'])).toMatchObject({
    runs: '2',
    json: true,
  });
  expect(() => readOptions('x', { runs: COMMON.runs }, ['--rums', '2'])).toThrow('--rums');
});

test('the help has a line for each option with its default', () => {
  expect(helpText('x', { runs: COMMON.runs, json: COMMON.json })).toBe(
    [
      'usage: node bench/x.ts [options]',
      '',
      '  --runs N           counted runs of each (default: 5)',
      '  --json             one JSON document with every run instead of the tables',
      '',
    ].join('\n'),
  );
});
