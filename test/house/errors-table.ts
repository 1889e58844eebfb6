/** The table of error codes in docs/api.md, made from src/errors.ts. */
import { ERROR_TABLE } from '../../src/errors.ts';

const BEGIN = '<!-- errors:begin -->\n';
const END = '<!-- errors:end -->';

/** The page with the table between its marks. */
export function withErrorsTable(page: string): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin) throw new Error('docs/api.md has lost the marks of its error table');
  const rows = Object.entries(ERROR_TABLE).map(
    ([code, { fault, exit, http, rpc }]) => `| \`${code}\` | ${fault} | ${exit} | ${http} | \`${rpc}\` |`,
  );
  const table = ['| code | at fault | exit code | HTTP | RPC |', '|---|---|---:|---:|---|', ...rows].join('\n');
  return `${page.slice(0, begin + BEGIN.length)}${table}\n${page.slice(end)}`;
}
