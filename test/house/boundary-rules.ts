/**
 * The walls of the house (docs/decisions/0001-rooms.md): which folder of src/ may import which, and what a pure folder must not touch.
 * Works on text, so that a planted violation can be tried without a file. A finding names the line and what to use instead.
 */
import { posix } from 'node:path';
import { lineAt, readSourceText, type SourceText } from './source-text.ts';

/** Rooms a room may import, besides itself. What is not listed is not allowed; a folder not listed is not a room. */
export const ARROWS: Readonly<Record<string, readonly string[]>> = {
  content: [],
  contract: [],
  wire: ['content'],
  swarm: ['content'],
  storage: ['content'],
  net: ['content', 'wire'],
  tracker: ['content', 'contract'],
  peer: ['content', 'wire', 'swarm', 'storage', 'net', 'contract'],
  cli: ['content', 'wire', 'swarm', 'storage', 'net', 'contract', 'tracker', 'peer'],
};
export const PURE_ROOMS: readonly string[] = ['content', 'wire', 'swarm'];
/** Files beside the rooms. All may be used everywhere, but the log and native calls only where effects are allowed. */
const ROOT_FILES: readonly string[] = ['errors.ts', 'limits.ts', 'log.ts', 'native.ts', 'version.ts'];
/** Tests and what only tests use: free to use Node and the tools of testing, never imported by the program. */
const TEST_FILE = /(?:\.test|(?:^|[/-])fixtures|-suite)\.ts$/;

export interface Finding {
  /** `src/swarm/x.ts:12`. */
  readonly where: string;
  readonly message: string;
}

interface ImportSite {
  readonly specifier: string;
  readonly offset: number;
  /** Nothing of it is left at run time. */
  readonly typeOnly: boolean;
  /** A file that is named, not imported: it matters only when it is code of ours. */
  readonly asUrl: boolean;
}

/** All findings for one file; `path` is relative to the project, with `/`. */
export function checkBoundaries(path: string, source: string): readonly Finding[] {
  const text = readSourceText(source);
  const at = (offset: number): string => `${path}:${lineAt(source, offset)}`;
  const room = roomOf(path);
  const isTest = TEST_FILE.test(path);
  const findings: Finding[] = [];
  if (room !== '' && !(room in ARROWS)) {
    const rooms = Object.keys(ARROWS).join(', ');
    return [{ where: `${path}:1`, message: `src/${room} is not a room of the house: use one of ${rooms}` }];
  }
  for (const site of importSites(text)) {
    const message = judgeImport(path, room, site, isTest);
    if (message !== undefined) findings.push({ where: at(site.offset), message });
  }
  for (const match of text.code.matchAll(/\bimport\s*\(\s*(?!['"`\s])/g)) {
    findings.push({
      where: at(match.index),
      message: 'a computed import cannot be checked: name the module as a string',
    });
  }
  if (PURE_ROOMS.includes(room) && !isTest) {
    for (const rule of IMPURE) {
      for (const match of text.code.matchAll(rule.pattern)) {
        const called = match[0].replace(/\s+/g, ' ').trim();
        findings.push({
          where: at(match.index),
          message: `src/${room} is pure, no \`${called}\` there: ${rule.instead}`,
        });
      }
    }
  }
  return findings;
}

/** The folder below src/ that a file lives in; '' for the root files. */
function roomOf(path: string): string {
  const [, room = '', ...rest] = path.split('/');
  return rest.length === 0 ? '' : room;
}

function judgeImport(path: string, room: string, site: ImportSite, isTest: boolean): string | undefined {
  const { specifier } = site;
  if (!specifier.startsWith('.')) return site.asUrl || isTest ? undefined : judgePackage(room, site);
  const target = posix.normalize(posix.join(posix.dirname(path), specifier));
  if (!target.startsWith('src/')) {
    if (isTest || (site.asUrl && room === 'cli')) return undefined;
    return `"${specifier}" leaves src/: what runs there must live there, move it or pass it in`;
  }
  if (!isTest && TEST_FILE.test(target)) return `"${specifier}" is for tests: the program must not need it`;
  const targetRoom = roomOf(target);
  if (targetRoom === '') {
    const file = target.slice('src/'.length);
    if (!ROOT_FILES.includes(file))
      return `"${specifier}" is not one of the shared root files ${ROOT_FILES.join(', ')}`;
    if (file === 'log.ts' && PURE_ROOMS.includes(room))
      return `src/${room} is pure and does not log: return what happened, let src/peer or src/tracker log it`;
    if (file === 'native.ts' && PURE_ROOMS.includes(room))
      return `src/${room} is pure and calls nothing of the system: take the function as a parameter`;
    return undefined;
  }
  if (targetRoom === room) return undefined;
  // where tracker and peer meet is also where a test sees that both mean the same
  if (room === 'contract' && isTest && targetRoom !== 'cli') return undefined;
  const allowed = ARROWS[room] ?? [];
  if (allowed.includes(targetRoom)) return undefined;
  const here = room === '' ? 'a root file' : `src/${room}`;
  if ((room === 'tracker' && targetRoom === 'peer') || (room === 'peer' && targetRoom === 'tracker'))
    return `${here} must not import src/${targetRoom}: the two meet in src/contract`;
  const hint = allowed.length === 0 ? 'it may import no other room' : `it may import ${allowed.join(', ')}`;
  return `${here} must not import src/${targetRoom} (${hint}): take what you need as a parameter, or move it down`;
}

function judgePackage(room: string, site: ImportSite): string | undefined {
  if (!PURE_ROOMS.includes(room) || site.typeOnly) return undefined;
  const { specifier } = site;
  if (specifier.startsWith('node:'))
    return `src/${room} is pure and must not import "${specifier}": import types only, or take the function as a parameter`;
  return `src/${room} is pure and must not import the package "${specifier}": take what you need as a parameter`;
}

/** Every place that names another module: static, re-export, side effect, dynamic, `import('x').T`, `new URL('x', import.meta.url)`. */
function importSites(text: SourceText): readonly ImportSite[] {
  const sites: ImportSite[] = [];
  for (const literal of text.strings) {
    const before = text.code.slice(Math.max(0, literal.start - 4_000), literal.start);
    const after = text.code.slice(literal.end, literal.end + 80);
    const site = { specifier: literal.text, offset: literal.start, typeOnly: false, asUrl: false };
    if (/\bfrom\s*$/.test(before)) {
      const statement = before.slice(Math.max(before.lastIndexOf('import'), before.lastIndexOf('export')));
      if (!/^(?:import|export)\b/.test(statement)) continue;
      sites.push({ ...site, typeOnly: /^(?:import|export)\s+type\b(?!\s+from\b)/.test(statement) });
    } else if (/\bimport\s*$/.test(before)) sites.push(site);
    else if (/\bimport\s*\(\s*$/.test(before)) sites.push({ ...site, typeOnly: /^\s*\)\s*\.\s*[A-Z]/.test(after) });
    else if (/\brequire\s*\(\s*$/.test(before)) sites.push(site);
    else if (/\bnew\s+URL\s*\(\s*$/.test(before) && /^\s*,\s*import\.meta\.url\b/.test(after))
      sites.push({ ...site, asUrl: true });
  }
  return sites;
}

interface ImpureRule {
  readonly pattern: RegExp;
  readonly instead: string;
}

/** Not a property of something else, unless of globalThis. */
const GLOBAL = String.raw`(?:(?<![\w$#.])|\bglobalThis\s*\.\s*)`;
const global = (rest: string): RegExp => new RegExp(GLOBAL + rest, 'g');

const TAKE_NOW = 'take `now` as a parameter';
const IMPURE: readonly ImpureRule[] = [
  { pattern: global(String.raw`Date\s*(?:\.\s*now\b|\[|\(\s*\))`), instead: TAKE_NOW },
  { pattern: /\bnew\s+Date\s*(?:\(\s*\)|(?=[;,)\].]))/g, instead: TAKE_NOW },
  { pattern: global(String.raw`performance\s*[.[]`), instead: TAKE_NOW },
  {
    pattern: /=\s*(?:Date|Math|performance|globalThis)\b(?!\s*\.)/g,
    instead: 'name the function you use, so that this test can see it',
  },
  { pattern: global(String.raw`Math\s*(?:\.\s*random\b|\[)`), instead: 'take a seeded `random` as a parameter' },
  {
    pattern: global(String.raw`(?:setTimeout|setInterval|setImmediate|queueMicrotask)\b(?!\s*\??:)`),
    instead: 'answer `nextDeadline()` and let the caller set the timer',
  },
  { pattern: global(String.raw`process\s*[.[]`), instead: 'take what you need as a parameter' },
  { pattern: global(String.raw`Buffer\b(?!\s*\??:)`), instead: 'use Uint8Array and DataView' },
  {
    pattern: global(String.raw`crypto\s*\.\s*(?:randomUUID|getRandomValues|subtle)\b`),
    instead: 'take ids, random bytes and digests as parameters',
  },
  { pattern: global(String.raw`fetch\s*\(`), instead: 'return an intention and let src/net or src/peer act on it' },
];
