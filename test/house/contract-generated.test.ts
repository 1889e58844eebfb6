/** The code in src/contract/gen is what proto/ generates: nobody edits it by hand, and nobody forgets to generate it. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');
const GENERATED = join(ROOT, 'src', 'contract', 'gen');
const run = promisify(execFile);

test('the committed contract code is what proto/ generates', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-contract-'));
  try {
    const bin = join(ROOT, 'node_modules', '.bin');
    const template = {
      version: 'v2',
      plugins: [
        { local: 'protoc-gen-es', out: folder, opt: ['target=ts', 'import_extension=ts', 'erasable_syntax=true'] },
      ],
    };
    const env = { ...process.env, PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}`, HOME: folder };
    await run(join(bin, 'buf'), ['generate', 'proto', '--template', JSON.stringify(template)], { cwd: ROOT, env });
    const [fresh, committed] = await Promise.all([readTree(folder), readTree(GENERATED)]);
    expect(committed, 'src/contract/gen is stale: run npm run gen and commit what it writes').toEqual(fresh);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}, 60_000);

async function readTree(folder: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.ts')) continue;
    const path = join(entry.parentPath, entry.name);
    files[path.slice(folder.length + 1)] = await readFile(path, 'utf8');
  }
  return files;
}
