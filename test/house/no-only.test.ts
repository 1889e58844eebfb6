import { expect, it } from 'vitest';
import { readProjectFiles } from './project-files.ts';
import { lineAt, readSourceText } from './source-text.ts';

// put together here, so that this file is none of its own findings
const MARKS = new RegExp(String.raw`\b(?:${['TO', 'DO'].join('')}|${['FIX', 'ME'].join('')}|X{3})\b`, 'g');
const LEFT_OUT = /\b(?:it|test|describe|suite|bench)\s*\.\s*(?:only|skip|todo|fails)\b/g;

it('no test is left out or run alone, and nothing is put off in a comment', async () => {
  const files = await readProjectFiles(['src', 'test', 'sim', 'bench', 'bin', 'docs', 'proto'], () => true);
  const findings: string[] = [];
  for (const { path, text } of files) {
    const note = (offset: number, what: string): number => findings.push(`${path}:${lineAt(text, offset)} ${what}`);
    for (const { index, 0: mark } of text.matchAll(MARKS))
      note(index, `says ${mark}: do it, or write it down as an issue`);
    if (!path.endsWith('.ts')) continue;
    for (const { index, 0: call } of readSourceText(text).code.matchAll(LEFT_OUT))
      note(index, `has ${call}: every test runs, always`);
  }
  expect(findings).toEqual([]);
});
