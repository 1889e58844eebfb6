import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createLineReader } from './control-lines.ts';

test('lines come out whole, however the bytes are cut', () => {
  const line = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }).filter((text) => !text.includes('\n'));
  fc.assert(
    fc.property(fc.array(line, { maxLength: 10 }), fc.array(fc.nat(20), { maxLength: 40 }), (lines, cuts) => {
      const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(''));
      const seen: string[] = [];
      const read = createLineReader(1_000, (text) => seen.push(text));
      let at = 0;
      for (const cut of cuts) {
        read(bytes.subarray(at, at + cut));
        at += cut;
      }
      read(bytes.subarray(at));
      expect(seen).toEqual(lines);
    }),
  );
});

test('a line over the limit is refused, whether or not it has ended', () => {
  const seen: string[] = [];
  const read = createLineReader(4, (text) => seen.push(text));
  read(Buffer.from('abcd\nab'));
  expect(() => read(Buffer.from('cde'))).toThrow(/longer than 4 bytes/u);
  expect(() => createLineReader(4, () => undefined)(Buffer.from('abcde\n'))).toThrow(/longer/u);
  expect(seen).toEqual(['abcd']);
});
