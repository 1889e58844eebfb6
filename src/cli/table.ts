/** Tables for people: columns as wide as needed, numbers to the right, one column that gives way when the terminal is narrow. */
import { displayWidth, fitMiddle, padColumns, printable } from './display-width.ts';

export interface Column<Row> {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** The cell's text; may come from outside, it is made printable here. */
  readonly value: (row: Row) => string;
  /** This column is shortened when the table is wider than the terminal. */
  readonly shrink?: boolean;
}

const GAP = 2;
const SHRUNK_WIDTH_MIN = 12;

/** The lines of a table, its head first. `widthMax` undefined: as wide as it needs (what a pipe gets). */
export function renderTable<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  widthMax?: number,
): readonly string[] {
  const cells = rows.map((row) => columns.map((column) => printable(column.value(row))));
  const widths = columns.map((column, index) =>
    cells.reduce((width, line) => Math.max(width, displayWidth(line[index] ?? '')), displayWidth(column.title)),
  );
  const shrunk = columns.findIndex((column) => column.shrink === true);
  if (widthMax !== undefined && shrunk >= 0) {
    const excess = widths.reduce((sum, width) => sum + width, GAP * (columns.length - 1)) - widthMax;
    const width = widths[shrunk] ?? 0;
    if (excess > 0) widths[shrunk] = Math.max(Math.min(SHRUNK_WIDTH_MIN, width), width - excess);
  }
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, index) => {
        const width = widths[index] ?? 0;
        return padColumns(index === shrunk ? fitMiddle(text, width) : text, width, columns[index]?.align ?? 'left');
      })
      .join(' '.repeat(GAP))
      .trimEnd();
  return [line(columns.map((column) => column.title)), ...cells.map(line)];
}
