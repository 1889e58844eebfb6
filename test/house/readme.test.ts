/** What README.md and docs/api.md say of the command line and the errors is what the program does. */
import { writeFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { ERROR_TABLE } from '../../src/errors.ts';
import { runFake } from '../../src/cli/fixtures.ts';
import { ALIASES, COMMANDS } from '../../src/cli/program.ts';
import { withErrorsTable } from './errors-table.ts';
import { PROJECT_DIR, readProjectFile, readProjectFiles } from './project-files.ts';

async function helpOf(command: string): Promise<string> {
  const { stdout, code } = runFake([command, '--help']);
  expect(await code).toBe(0);
  return stdout.text;
}

/** Lines of code in a page that run the command, and what is quoted in its text. */
function commandLines(page: string): readonly string[] {
  const blocks = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block = '']) => block.split('\n'));
  const quoted = [...page.matchAll(/`(shoal [^`]+)`/g)].map(([, line = '']) => line);
  return [...blocks, ...quoted].flatMap((line) => {
    const command = /(?:^|[\s|])(?:bin\/)?shoal (.*)$/.exec(line.replace(/\s#.*$/, ''))?.[1];
    return command === undefined ? [] : [command.trim()];
  });
}

it('every command line in the documents names a command and options that exist', async () => {
  const pages = [
    { path: 'README.md', text: await readProjectFile('README.md') },
    ...(await readProjectFiles(['docs'], (name) => name.endsWith('.md'))),
  ];
  let count = 0;
  for (const { path, text } of pages) {
    for (const line of commandLines(text)) {
      const [own = ''] = line.split(/\s\|\s/);
      const [command = '', ...words] = own.split(/\s+/);
      expect(Object.keys({ ...COMMANDS, ...ALIASES }), `${path}: shoal ${line}`).toContain(command);
      const help = await helpOf(command);
      for (const word of words.filter((text) => /^--?[a-z]/.test(text)))
        expect(help, `${path}: shoal ${line}`).toMatch(new RegExp(String.raw`(?:^|[\s,])${word}[\s,<]`));
      count++;
    }
  }
  expect(count).toBeGreaterThan(15);
});

it('the table of commands in README.md has every command, with the words of its --help', async () => {
  const page = await readProjectFile('README.md');
  const rows = [...page.matchAll(/^\| `shoal (\w+)` \| (.+) \|$/gm)].map(([, name = '', text = '']) => [name, text]);
  expect(rows).toEqual(Object.entries(COMMANDS).map(([name, { summary }]) => [name, summary]));
  for (const [name = '', { summary }] of Object.entries(COMMANDS))
    expect((await helpOf(name)).replace(/\s+/g, ' ')).toContain(summary);
});

it('README.md and --help tell every exit code there is', async () => {
  const page = await readProjectFile('README.md');
  const documented = [...page.matchAll(/^\| (\d+) \| /gm)].map(([, code]) => Number(code));
  const possible = new Set([0, ...Object.values(ERROR_TABLE).map(({ exit }) => exit)]);
  expect(documented).toEqual([...possible].toSorted((a, b) => a - b));
});

it('the errors in docs/api.md are those of src/errors.ts: run with UPDATE_DOCS=1 to write them anew', async () => {
  const page = await readProjectFile('docs/api.md');
  const current = withErrorsTable(page);
  if (process.env['UPDATE_DOCS'] === '1') await writeFile(`${PROJECT_DIR}docs/api.md`, current);
  expect(await readProjectFile('docs/api.md')).toBe(current);
});

it('links between documents lead to files that exist', async () => {
  const pages = [
    ...(await Promise.all(
      ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md'].map(async (path) => ({
        path,
        text: await readProjectFile(path),
      })),
    )),
    ...(await readProjectFiles(['docs'], (name) => name.endsWith('.md'))),
  ];
  for (const { path, text } of pages) {
    for (const [, target = ''] of text.matchAll(/\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g)) {
      const { pathname } = new URL(target, `file:///${path}`);
      const found = pathname.endsWith('/')
        ? (await readProjectFiles([pathname.slice(1, -1)], () => true)).length > 0
        : await readProjectFile(pathname.slice(1)).then(
            () => true,
            () => false,
          );
      expect(found, `${path} links to ${target}`).toBe(true);
    }
  }
});
