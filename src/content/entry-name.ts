/** Names in the catalogue: what is allowed, checked once at the edge. A name is a label, never an identity. */
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';

declare const entryNameBrand: unique symbol;
/** A checked name: NFC, segments divided by `/`, safe to join below a folder on every system. */
export type EntryName = string & { readonly [entryNameBrand]: true };

// eslint-disable-next-line no-control-regex -- control characters are exactly what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/u;
const WINDOWS_RESERVED = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?$/iu;
const WINDOWS_DRIVE = /^[a-z]:(?:\/|$)/iu;
const WINDOWS_UNUSABLE = /[<>:"|?*]/gu;
/** Nearly all names are so: their bytes are their characters, and they are in every normal form. */
const PLAIN = /^[\u0020-\u007e]*$/u;
const encoder = new TextEncoder();

/** Reads a name from outside; normalises it to NFC. Throws `usage` with what is wrong and where. */
export function parseEntryName(text: string): EntryName {
  const problem = entryNameProblem(text);
  if (problem !== undefined) throw new ShoalError('usage', `the name ${quote(text)} is refused: ${problem}`);
  return text.normalize('NFC') as EntryName;
}

/** Reads a name of a catalogue: that of a file, or that of a folder, which ends with a slash. Throws `usage`. */
export function parseCatalogueName(text: string): EntryName {
  return text.endsWith('/') && text.length > 1 ? folderName(parseEntryName(text.slice(0, -1))) : parseEntryName(text);
}

/** The name under which a whole folder is found. No file has such a name. */
export function folderName(name: EntryName): EntryName {
  return `${name}/` as EntryName;
}

export function isFolderName(name: string): boolean {
  return name.endsWith('/');
}

/** A name in which `entryNameProblem` has just found nothing. */
export function checkedEntryName(text: string): EntryName {
  return (PLAIN.test(text) ? text : text.normalize('NFC')) as EntryName;
}

/** Why a name is refused, as the end of a sentence; undefined when it is fine. */
export function entryNameProblem(text: string): string | undefined {
  if (text.length === 0) return 'it is empty';
  const isPlain = PLAIN.test(text);
  if (!isPlain && !text.isWellFormed()) return 'it is not valid Unicode';
  const name = isPlain ? text : text.normalize('NFC');
  if (byteCount(name, isPlain) > limits.NAME_BYTES_MAX) return `it has more than ${limits.NAME_BYTES_MAX} bytes`;
  if (!isPlain && CONTROL.test(name)) return 'it contains a control character';
  if (name.includes('\\')) return 'it contains a backslash, which divides folders on Windows';
  if (name.startsWith('/') || WINDOWS_DRIVE.test(name)) return 'it is an absolute path';
  const segments = name.split('/');
  if (segments.length > limits.NAME_SEGMENTS_MAX) return `it has more than ${limits.NAME_SEGMENTS_MAX} segments`;
  for (const segment of segments) {
    const problem = segmentProblem(segment, isPlain);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function byteCount(text: string, isPlain: boolean): number {
  return isPlain ? text.length : encoder.encode(text).length;
}

function segmentProblem(segment: string, isPlain: boolean): string | undefined {
  if (segment === '') return 'a segment is empty';
  if (segment === '.' || segment === '..') return `"${segment}" is not allowed in a name`;
  if (byteCount(segment, isPlain) > limits.NAME_SEGMENT_BYTES_MAX)
    return `a segment has more than ${limits.NAME_SEGMENT_BYTES_MAX} bytes`;
  if (WINDOWS_RESERVED.test(segment)) return `${quote(segment)} is reserved on Windows`;
  return undefined;
}

/** A name for a message: shortened, with anything unprintable escaped. */
export function quote(text: string): string {
  const short = text.length > 80 ? `${text.slice(0, 77)}...` : text;
  return JSON.stringify(short);
}

/** The last segment of a name: what a downloaded file is called unless `-o` says otherwise. */
export function baseName(name: EntryName): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

/**
 * The segments of the path below a target folder where an entry of this name is written. On Windows the characters that its file
 * systems refuse become `_` and dots and spaces at the end of a segment go; elsewhere the name is used as it is.
 */
export function localPathSegments(name: EntryName, platform: string): readonly string[] {
  const segments = name.split('/');
  if (platform !== 'win32') return segments;
  return segments.map((segment) =>
    segment.replace(WINDOWS_UNUSABLE, '_').replace(/[. ]+$/u, (tail) => '_'.repeat(tail.length)),
  );
}
