/** The service units of deploy/, judged by systemd itself. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { need, SYSTEMD } from '../support/system-packages.ts';

const run = promisify(execFile);
const PROJECT = fileURLToPath(new URL('../../', import.meta.url));

/** What `systemd-analyze verify` complains of. */
async function complaints(name: string, text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-units-'));
  try {
    await writeFile(join(folder, name), text);
    const { stderr } = await run('systemd-analyze', ['verify', '--man=no', join(folder, name)]).catch(
      (error: { stderr: string }) => error,
    );
    return stderr;
  } finally {
    await rm(folder, { recursive: true });
  }
}

for (const name of ['shoal-tracker.service', 'shoal-share@.service'])
  test(`${name} is a unit without a fault`, async (context) => {
    need(context, SYSTEMD);
    const text = await readFile(join(PROJECT, 'deploy', name), 'utf8');
    // systemd looks whether the program is there; where npm installs it, nothing has been installed
    const here = text.replaceAll('/usr/local/bin/shoal', join(PROJECT, 'bin/shoal'));
    expect(here).not.toBe(text);
    expect(await complaints(name, here)).toBe('');
    expect(await complaints(name, here.replace('Restart=on-failure', 'Restart=sometimes'))).toContain('sometimes');
  });
