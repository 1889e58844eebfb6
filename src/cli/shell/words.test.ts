import fc from 'fast-check';
import { expect, it } from 'vitest';
import { lastWord, quoteWord, splitWords } from './words.ts';

it.each([
  ['', []],
  ['  list_file  ', ['list_file']],
  ['download big.bin ./here/', ['download', 'big.bin', './here/']],
  [`download 'two words' "and \\"more\\""`, ['download', 'two words', 'and "more"']],
  ['download two\\ words', ['download', 'two words']],
  [`download ''`, ['download', '']],
  ['a\\', ['a\\']],
])('%j is %j', (line, words) => {
  expect(splitWords(line)).toEqual(words);
});

it('a quote that is not closed is refused, but can be completed', () => {
  expect(() => splitWords('publish "two wo')).toThrow(/not closed/);
  expect(lastWord('publish "two wo')).toEqual({ before: ['publish'], value: 'two wo', raw: '"two wo' });
});

it('a blank at the end begins a word', () => {
  expect(lastWord('download ')).toEqual({ before: ['download'], value: '', raw: '' });
  expect(lastWord('down')).toEqual({ before: [], value: 'down', raw: 'down' });
});

it('whatever is quoted is read as it was', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ minLength: 1 })), (words) => {
      expect(splitWords(words.map(quoteWord).join(' '))).toEqual(words);
    }),
  );
});
