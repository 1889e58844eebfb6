import { describe, expect, it } from 'vitest';
import { checkBoundaries } from './boundary-rules.ts';
import { readProjectFiles } from './project-files.ts';
import { readSourceText } from './source-text.ts';

/** What the checker says of a line in a file, as one text. */
function findings(path: string, source: string): string {
  return checkBoundaries(path, source)
    .map(({ where, message }) => `${where} ${message}`)
    .join('\n');
}

describe('the tree', () => {
  it('keeps to the arrows, and its pure rooms are pure', async () => {
    const files = await readProjectFiles(['src']);
    expect(files.length).toBeGreaterThan(20);
    expect(files.flatMap(({ path, text }) => checkBoundaries(path, text))).toEqual([]);
  });
});

describe('arrows', () => {
  it.each([
    ['static', `import { a } from '../net/a.ts';`],
    ['type-only', `import type { A } from '../net/a.ts';`],
    ['over several lines', `import {\n  a,\n  b,\n} from '../net/a.ts';`],
    ['re-export', `export * from '../net/a.ts';`],
    ['named re-export', `export type { A } from "../net/a.ts";`],
    ['side effect', `import '../net/a.ts';`],
    ['dynamic', `const a = await import('../net/a.ts');`],
    ['dynamic over lines', 'const a = import(\n  `../net/a.ts`\n);'],
    ['type by import()', `let a: import('../net/a.ts').A;`],
    ['worker by URL', `new Worker(new URL('../net/a.ts', import.meta.url));`],
  ])('are seen in an import that is %s', (_kind, source) => {
    expect(findings('src/swarm/x.ts', source)).toMatch(
      /^src\/swarm\/x\.ts:\d src\/swarm must not import src\/net \(it may import content\): take what you need as a parameter/,
    );
  });

  it('name the line of the import', () => {
    expect(findings('src/wire/x.ts', `\n// text\n\nimport '../peer/a.ts';`)).toContain('src/wire/x.ts:4 ');
  });

  it('let tracker and peer meet only in the contract', () => {
    expect(findings('src/tracker/x.ts', `import '../peer/a.ts';`)).toContain('the two meet in src/contract');
    expect(findings('src/peer/frontends/x.ts', `import '../../tracker/a.ts';`)).toContain(
      'the two meet in src/contract',
    );
    expect(findings('src/tracker/x.ts', `import '../contract/gen/a.ts';`)).toBe('');
    expect(findings('src/peer/x.ts', `import '../contract/gen/a.ts';`)).toBe('');
  });

  it('let every lower room reach content, peer reach all lower rooms, cli reach everything, and nobody reach cli', () => {
    for (const room of ['wire', 'swarm', 'storage', 'tracker'])
      expect(findings(`src/${room}/x.ts`, `import '../content/a.ts';`)).toBe('');
    for (const room of ['content', 'wire', 'swarm', 'storage', 'net'])
      expect(findings('src/peer/x.ts', `import '../${room}/a.ts';`)).toBe('');
    for (const room of ['content', 'tracker', 'peer']) {
      expect(findings('src/cli/commands/x.ts', `import '../../${room}/a.ts';`)).toBe('');
      expect(findings(`src/${room}/x.ts`, `import '../cli/a.ts';`)).toContain('must not import src/cli');
    }
  });

  it('let every room use the root files, but the log only where effects are allowed', () => {
    expect(findings('src/swarm/x.ts', `import '../errors.ts'; import '../limits.ts';`)).toBe('');
    expect(findings('src/net/x.ts', `import '../log.ts';`)).toBe('');
    expect(findings('src/swarm/x.ts', `import '../log.ts';`)).toContain('return what happened');
    expect(findings('src/swarm/x.ts', `import '../helpers.ts';`)).toContain('not one of the shared root files');
    expect(findings('src/errors.ts', `import './content/a.ts';`)).toContain('a root file must not import src/content');
  });

  it('hold for tests too, and keep code inside src', () => {
    expect(findings('src/peer/x.test.ts', `import '../tracker/a.ts';`)).toContain('the two meet in src/contract');
    expect(findings('src/contract/x.test.ts', `import '../tracker/a.ts'; import '../peer/a.ts';`)).toBe('');
    expect(findings('src/peer/x.ts', `import '../../test/a.ts';`)).toContain('leaves src/');
    expect(findings('src/utils/x.ts', '')).toContain('src/utils is not a room of the house');
  });

  it('keep what is for tests out of the program', () => {
    expect(findings('src/wire/x.ts', `import './fixtures.ts';`)).toContain('is for tests');
    expect(findings('src/wire/x.test.ts', `import './fixtures.ts';`)).toBe('');
  });

  it('are not decided by a path that nobody could know', () => {
    expect(findings('src/peer/x.ts', 'await import(path);')).toContain('name the module as a string');
  });
});

describe('purity', () => {
  it.each([
    ['Date.now()', 'take `now` as a parameter'],
    ['new Date()', 'take `now` as a parameter'],
    ['new Date;', 'take `now` as a parameter'],
    ['Date()', 'take `now` as a parameter'],
    ['globalThis.Date.now()', 'take `now` as a parameter'],
    ["Date['now']()", 'take `now` as a parameter'],
    ['performance.now()', 'take `now` as a parameter'],
    ['const { random } = Math;', 'name the function you use'],
    ['Math.random()', 'take a seeded `random` as a parameter'],
    ['Math\n  .random()', 'take a seeded `random` as a parameter'],
    ['setTimeout(f, 1)', 'answer `nextDeadline()`'],
    ['globalThis.setInterval(f, 1)', 'answer `nextDeadline()`'],
    ['const later = setImmediate;', 'answer `nextDeadline()`'],
    ['queueMicrotask(f)', 'answer `nextDeadline()`'],
    ['process.env', 'take what you need as a parameter'],
    ['Buffer.alloc(1)', 'use Uint8Array'],
    ['let b: Buffer;', 'use Uint8Array'],
    ['crypto.randomUUID()', 'take ids, random bytes'],
    ['void fetch(url)', 'return an intention'],
    ["import { connect } from 'node:net';", 'import types only'],
    ["await import('node:fs')", 'import types only'],
    ["const fs = require('node:fs');", 'import types only'],
    ["import pino from 'pino';", 'take what you need as a parameter'],
    ['`${Date.now()}`', 'take `now` as a parameter'],
    ['`${`${Math.random()}`}`', 'take a seeded `random`'],
    ['a / b; Date.now() / 2', 'take `now` as a parameter'],
  ])('forbids %s and names the replacement', (source, instead) => {
    expect(findings('src/swarm/x.ts', source)).toContain(instead);
    expect(findings('src/peer/x.ts', source)).toBe('');
  });

  it.each([
    '// Date.now() is not used here',
    '/* setTimeout(f) */ const a = 1;',
    "const message = 'use Date.now() elsewhere';",
    'const text = `Math.random() ${a} Buffer`;',
    'const pattern = /Date.now()/;',
    "import type { Socket } from 'node:net';",
    "let socket: import('node:net').Socket;",
    'this.#options.now()',
    'clock.setTimeout(f)',
    'new Date(at)',
    'Math.min(1, 2)',
    'transfer.process.id',
    'interface Times { setTimeout: number }',
    'const a = b / c; const d = 1 / 2;',
  ])('allows %s', (source) => {
    expect(findings('src/swarm/x.ts', source)).toBe('');
  });

  it('is not asked of tests', () => {
    expect(findings('src/swarm/x.test.ts', "import { createHash } from 'node:crypto'; Date.now();")).toBe('');
  });
});

describe('reading source', () => {
  it('keeps offsets, blanks comments and lists strings', () => {
    const source = `const a = 'x'; // 'y'\nconst b = \`z\${a}\`; /* "w" */ const c = "q\\"r";`;
    const text = readSourceText(source);
    expect(text.code.length).toBe(source.length);
    expect(text.strings.map((literal) => literal.text)).toEqual(['x', 'q\\"r']);
    expect(text.strings.every((literal) => source.slice(literal.start + 1, literal.end - 1) === literal.text)).toBe(
      true,
    );
    expect(text.comments.map((comment) => comment.text)).toEqual([`// 'y'`, '/* "w" */']);
  });

  it('tells a division from a regular expression', () => {
    expect(readSourceText(`return /'/.test(a) ? 'b' : x / y / 'c'.length;`).strings.map(({ text }) => text)).toEqual([
      'b',
      'c',
    ]);
    expect(readSourceText(`f(a) / 2; g[0] / '1'; [/[/"]/, "k"]`).strings.map(({ text }) => text)).toEqual(['1', 'k']);
  });
});
