import { expect, it } from 'vitest';
import { displayWidth, fitMiddle, printable } from './display-width.ts';
import { renderTable, type Column } from './table.ts';

interface Row {
  readonly name: string;
  readonly size: number;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'NAME', value: ({ name }) => name, shrink: true },
  { title: 'SIZE', align: 'right', value: ({ size }) => String(size) },
];

it('columns are as wide as their widest cell, and numbers stand to the right', () => {
  const rows = [
    { name: 'a.bin', size: 5 },
    { name: 'longer.bin', size: 12_345 },
  ];
  expect(renderTable(rows, COLUMNS)).toEqual(['NAME         SIZE', 'a.bin           5', 'longer.bin  12345']);
});

it('a table that is wider than the terminal shortens the column that may give way, in its middle', () => {
  const lines = renderTable([{ name: 'a-very-long-name-of-a-file.tar.gz', size: 12_345 }], COLUMNS, 30);
  expect(lines.map(displayWidth)).toEqual([30, 30]);
  expect(lines[1]).toMatch(/^a-very-.*\.\..*tar\.gz {2}12345$/);
});

it('wide characters take two columns', () => {
  const lines = renderTable(
    [
      { name: '数据.bin', size: 1 },
      { name: 'abcdefgh', size: 2 },
    ],
    COLUMNS,
  );
  expect(lines.map(displayWidth)).toEqual([14, 14, 14]);
  expect([displayWidth('🐟'), displayWidth('é'), displayWidth('\u001b[32m✔\u001b[39m')]).toEqual([2, 1, 1]);
});

it('text from outside cannot command the terminal', () => {
  const [, line] = renderTable([{ name: 'a\u001b[2Jb\u202ec\n', size: 1 }], COLUMNS);
  expect(line).toBe('a\\u{1b}[2Jb\\u{202e}c\\u{a}     1');
  expect(printable('plain – ünïcode')).toBe('plain – ünïcode');
});

it('what fits is left alone, and what does not never exceeds its room', () => {
  expect(fitMiddle('short', 5)).toBe('short');
  for (let width = 0; width < 12; width++) {
    expect(displayWidth(fitMiddle('数据数据数据.bin', width))).toBeLessThanOrEqual(width);
    expect(displayWidth(fitMiddle('abcdefghijklmnop', width))).toBe(width);
  }
});
