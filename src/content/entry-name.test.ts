import fc from 'fast-check';
import { join, relative, win32 } from 'node:path';
import { describe, expect, it } from 'vitest';
import { baseName, entryNameProblem, localPathSegments, parseEntryName } from './entry-name.ts';

describe('parseEntryName()', () => {
  it.each([
    'big.bin',
    'course/week 1/slides.pdf',
    'Großer Datensatz – Übung 3.bin',
    '数据/集.bin',
    'a:0:1',
    '.hidden',
    'x'.repeat(255),
  ])('accepts %s', (name) => {
    expect(parseEntryName(name)).toBe(name.normalize('NFC'));
  });

  it.each([
    ['', 'empty'],
    ['/etc/passwd', 'absolute'],
    ['C:/windows', 'absolute'],
    ['c:', 'absolute'],
    ['..', '".." is not allowed'],
    ['a/../b', '".." is not allowed'],
    ['a/./b', '"." is not allowed'],
    ['a//b', 'a segment is empty'],
    ['a/', 'a segment is empty'],
    ['a\\b', 'backslash'],
    ['a\0b', 'control character'],
    ['a\nb', 'control character'],
    ['con', 'reserved on Windows'],
    ['x/LPT1.txt', 'reserved on Windows'],
    ['x'.repeat(256), 'more than 255 bytes'],
    ['é'.repeat(128), 'more than 255 bytes'],
    ['\ud800', 'not valid Unicode'],
    ['a/'.repeat(64) + 'b', 'more than 64 segments'],
    [('x'.repeat(200) + '/').repeat(21) + 'x', 'more than 4096 bytes'],
  ])('refuses %j', (name, reason) => {
    expect(entryNameProblem(name)).toContain(reason);
    expect(() => parseEntryName(name)).toThrow(expect.objectContaining({ code: 'usage' }));
  });

  it('makes one name of composed and decomposed letters', () => {
    expect(parseEntryName('u\u0308')).toBe(parseEntryName('\u00fc'));
  });

  it('never lets an accepted name leave the folder it is joined to, on any system', () => {
    const tricky = fc
      .array(fc.constantFrom('..', '.', '/', '\\', 'a', ':', 'C', ' ', '\0', 'con', '~', '%2e', 'é', '/etc'), {
        maxLength: 8,
      })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(tricky, (text) => {
        if (entryNameProblem(text) !== undefined) return;
        const name = parseEntryName(text);
        expect(relative('/srv/x', join('/srv/x', ...localPathSegments(name, 'linux')))).not.toMatch(/^\.\.(?:\/|$)|^$/);
        const onWindows = win32.join('D:\\x', ...localPathSegments(name, 'win32'));
        expect(win32.relative('D:\\x', onWindows)).not.toMatch(/^\.\.(?:\\|$)|^$|^[A-Za-z]:/);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('localPathSegments()', () => {
  it('replaces on Windows what its file systems refuse, and nothing elsewhere', () => {
    const name = parseEntryName('a: b?/c. ');
    expect(localPathSegments(name, 'win32')).toEqual(['a_ b_', 'c__']);
    expect(localPathSegments(name, 'linux')).toEqual(['a: b?', 'c. ']);
  });
});

describe('baseName()', () => {
  it('is the last segment', () => {
    expect(baseName(parseEntryName('a/b/c.bin'))).toBe('c.bin');
    expect(baseName(parseEntryName('c.bin'))).toBe('c.bin');
  });
});
