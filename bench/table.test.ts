import { expect, test } from 'vitest';
import { renderMarkdown } from './table.ts';

test('columns are as wide as their widest cell, numbers to the right, and a bar in a cell is escaped', () => {
  const rows = [
    { name: 'a|b', figure: 7 },
    { name: 'long name', figure: 12345 },
  ];
  const text = renderMarkdown(rows, [
    { title: 'who', value: ({ name }) => name },
    { title: 'MB', align: 'right', value: ({ figure }) => String(figure) },
  ]);
  expect(text).toBe(
    ['| who       |    MB |', '| --------- | ----: |', '| a\\|b      |     7 |', '| long name | 12345 |'].join('\n'),
  );
});
