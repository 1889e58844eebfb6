import { writeFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { limitNames, limitsPage } from './limits-table.ts';
import { PROJECT_DIR, readProjectFile } from './project-files.ts';

it('docs/limits.md is what src/limits.ts says: run with UPDATE_DOCS=1 to write it anew', async () => {
  const page = limitsPage(await readProjectFile('src/limits.ts'));
  if (process.env['UPDATE_DOCS'] === '1') await writeFile(`${PROJECT_DIR}docs/limits.md`, page);
  expect(await readProjectFile('docs/limits.md')).toBe(page);
});

it('every limit stands in it once, with a reason', async () => {
  const page = await readProjectFile('docs/limits.md');
  for (const name of limitNames()) {
    const rows = page.split('\n').filter((line) => line.startsWith(`| \`${name}\` |`));
    expect(rows, name).toHaveLength(1);
    expect(rows[0], `${name} needs a comment in src/limits.ts`).toMatch(/\| \S.* \|$/);
  }
});
