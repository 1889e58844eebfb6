/** docs/limits.md, made from src/limits.ts: names and reasons from its text, values from the module itself. */
import * as limits from '../../src/limits.ts';
import { readSourceText } from './source-text.ts';

const UNITS: readonly (readonly [suffix: RegExp, unit: string])[] = [
  [/_PER_SECOND$/, 'a second'],
  [/_MS$/, 'ms'],
  [/_BYTES(?:_MAX)?$|_SIZE_|_BYTES_|^MANIFEST_.*_BYTES/, 'bytes'],
  [/_CHARS_MAX$/, 'characters'],
];

/** The page that belongs to the text of src/limits.ts. */
export function limitsPage(source: string): string {
  const lines = [
    '# Limits',
    '',
    'Every limit of Shoal, with its value, why it has it, and what happens at the edge. Made from `src/limits.ts`; a test keeps the two',
    'equal (`UPDATE_DOCS=1 npx vitest run --project unit test/house/limits-doc.test.ts` writes this page anew).',
  ];
  const { comments } = readSourceText(source);
  const values = limits as unknown as Readonly<Record<string, unknown>>;
  /** The comment that stands before the constants now read. */
  let reason = '';
  for (const { offset, text } of statements(source)) {
    const section = /^\/\/ -+ (.+?) -+$/.exec(text);
    if (section !== null) {
      lines.push(
        '',
        `## ${section[1]?.replace(/^./, (first) => first.toUpperCase())}`,
        '',
        '| limit | value | why, and what happens at the edge |',
        '|---|---:|---|',
      );
      continue;
    }
    const comment = comments.find(({ start }) => start === offset);
    if (comment !== undefined) reason = plain(comment.text);
    const name = /^export const ([A-Z][A-Z0-9_]+) =/.exec(text)?.[1];
    if (name === undefined || typeof values[name] !== 'number') continue;
    lines.push(`| \`${name}\` | ${valueText(name, values[name])} | ${reason} |`);
    reason = reason === '' || reason === 'as above' ? reason : 'as above';
  }
  return `${lines.join('\n')}\n`;
}

/** Names of all limits the module exports. */
export function limitNames(): readonly string[] {
  return Object.entries(limits).flatMap(([name, value]) => (typeof value === 'number' ? [name] : []));
}

function* statements(source: string): Generator<{ readonly offset: number; readonly text: string }> {
  let offset = 0;
  for (const text of source.split('\n')) {
    yield { offset, text };
    offset += text.length + 1;
  }
}

function plain(comment: string): string {
  return comment
    .replace(/^\/\*\*|\*\/$/g, '')
    .replace(/\n\s*\*/g, ' ')
    .replace(/\s+/g, ' ')
    .replaceAll('|', String.raw`\|`)
    .trim();
}

function valueText(name: string, value: number): string {
  const unit = UNITS.find(([suffix]) => suffix.test(name))?.[1] ?? '';
  if (unit === 'bytes') return bytesText(value);
  if (unit === 'ms' && value >= 1000) return `${grouped(value)} ms`;
  return `${grouped(value)} ${unit}`.trim();
}

function bytesText(value: number): string {
  for (const [power, unit] of [
    [2 ** 30, 'GiB'],
    [2 ** 20, 'MiB'],
    [2 ** 10, 'KiB'],
  ] as const)
    if (value >= power && value % power === 0) return `${grouped(value / power)} ${unit}`;
  return `${grouped(value)} bytes`;
}

function grouped(value: number): string {
  return String(value).replace(/\B(?=(?:\d{3})+$)/g, ',');
}
