/** Tables of figures as Markdown whose source is aligned too, so that the terminal and docs/benchmarks.md show the same text. */

export interface Column<Row> {
  readonly title: string;
  readonly align?: 'left' | 'right';
  readonly value: (row: Row) => string;
}

const RULE_MIN = 3;

export function renderMarkdown<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const cells = rows.map((row) => columns.map((column) => column.value(row).replaceAll('|', '\\|')));
  const widths = columns.map(({ title }, index) =>
    cells.reduce((width, line) => Math.max(width, line[index]?.length ?? 0), Math.max(RULE_MIN, title.length)),
  );
  const padded = (texts: readonly string[]): string =>
    line(
      texts.map((text, index) => {
        const width = widths[index] ?? 0;
        return columns[index]?.align === 'right' ? text.padStart(width) : text.padEnd(width);
      }),
    );
  const rule = widths.map((width, index) =>
    columns[index]?.align === 'right' ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width),
  );
  return [padded(columns.map(({ title }) => title)), line(rule), ...cells.map(padded)].join('\n');
}

function line(texts: readonly string[]): string {
  return `| ${texts.join(' | ')} |`;
}
