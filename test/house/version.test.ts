import { expect, it } from 'vitest';
import { VERSION } from '../../src/version.ts';
import { readProjectFile } from './project-files.ts';

it('the version that is reported is that of the package, and the changelog knows it', async () => {
  const { version } = JSON.parse(await readProjectFile('package.json')) as { version: string };
  expect(VERSION).toBe(version);
  expect(await readProjectFile('CHANGELOG.md')).toContain(`## ${version}`);
});
