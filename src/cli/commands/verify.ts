/**
 * `shoal verify`: hashes a local file and compares it with the tracker's entry of its name, or with a digest that was given. Says which
 * chunks differ. Success means that there was something to compare with, and that it was equal.
 */
import { Option } from 'commander';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { parseSha256Hex, type Sha256Hex } from '../../content/digest.ts';
import { chunkDigest, chunkDigestMatches, type Manifest } from '../../content/manifest.ts';
import { ShoalError, systemErrorCode } from '../../errors.ts';
import type { TrackerEntry } from '../../peer/tracker-client.ts';
import { printable } from '../display-width.ts';
import { humanBytes } from '../human.ts';
import { indexRanges } from '../index-ranges.ts';
import { createRateEstimate } from '../rate-estimate.ts';
import { examples, globalOptions, type DefineCommand, type GlobalOptions, type Runtime } from '../runtime.ts';
import { locateTarget, withTracker } from '../tracker-queries.ts';

interface VerifyFlags {
  readonly name?: string;
  readonly sha256?: Sha256Hex;
}

/** What the file is compared with. */
type Reference =
  | { readonly kind: 'digest'; readonly sha256: Sha256Hex }
  | { readonly kind: 'entry'; readonly entry: TrackerEntry; readonly manifest: Manifest | undefined }
  /** Nothing: the file is hashed, and why it could not be compared is how the command ends. */
  | { readonly kind: 'none'; readonly problem: ShoalError };

export const defineVerify: DefineCommand = (command, runtime) => {
  command
    .argument('<path>', 'a file')
    .addOption(new Option('--name <name>', 'the entry it should be, when the file is called otherwise (also name@hex)'))
    .addOption(new Option('--sha256 <hex>', 'compare with this digest; no tracker is asked').argParser(parseSha256Hex))
    .addHelpText(
      'after',
      examples(
        ['shoal verify big.bin', 'is it what the tracker lists as big.bin?'],
        ['shoal verify /data/x --name big.bin@3fa9', 'is it that version?'],
        ['shoal verify big.bin --sha256 9f86...', 'without a tracker'],
      ),
    )
    .action((path: string, flags: VerifyFlags) => runVerify(path, flags, globalOptions(command), runtime));
};

async function runVerify(path: string, flags: VerifyFlags, shared: GlobalOptions, runtime: Runtime): Promise<void> {
  const { output } = runtime;
  const size = await fileSize(path);
  const reference = await findReference(path, flags, shared, runtime);
  const manifest = await hashWithBar(path, size, reference, runtime);
  const verdict = compare(manifest, reference);
  output.document({
    path,
    size: manifest.size,
    sha256: manifest.sha256,
    verified: reference.kind === 'none' ? null : verdict.equal,
    comparedWith: comparedWith(reference),
    differentChunks: verdict.differentChunks,
  });
  if (reference.kind === 'none') {
    output.answer(`${manifest.sha256}  ${printable(path)}`);
    throw reference.problem;
  }
  if (!verdict.equal) throw difference(path, manifest, reference, verdict.differentChunks);
  output.answer(
    `${output.check} ${printable(path)} verified (${humanBytes(manifest.size)}): equal to ${told(reference)}`,
  );
  output.answer(`  sha256 ${manifest.sha256}`);
}

async function fileSize(path: string): Promise<number> {
  try {
    const found = await stat(path);
    if (found.isFile()) return found.size;
  } catch (error) {
    const why =
      systemErrorCode(error) === 'ENOENT' ? 'does not exist' : `cannot be read: ${ShoalError.from(error).message}`;
    throw new ShoalError('usage', `${path} ${why}`, { cause: error });
  }
  throw new ShoalError('usage', `${path} is not a file: verify takes one file at a time`);
}

async function findReference(
  path: string,
  flags: VerifyFlags,
  shared: GlobalOptions,
  runtime: Runtime,
): Promise<Reference> {
  if (flags.sha256 !== undefined) return { kind: 'digest', sha256: flags.sha256 };
  const { signal } = runtime.interrupt;
  try {
    return await withTracker(shared, runtime, async (client) => {
      const what = locateTarget(flags.name ?? basename(path));
      const { entry, manifest } = await client.locate({ what, limit: 1, wantManifest: true }, signal);
      if (manifest !== undefined || entry.contentId === '') return { kind: 'entry', entry, manifest };
      return { kind: 'entry', entry, manifest: await client.manifest(entry.contentId, signal) };
    });
  } catch (error) {
    const problem = ShoalError.from(error);
    if (problem.code !== 'no-such-name' && problem.code !== 'tracker-unreachable') throw error;
    return { kind: 'none', problem };
  }
}

async function hashWithBar(path: string, size: number, reference: Reference, runtime: Runtime): Promise<Manifest> {
  const { output, interrupt, services, now } = runtime;
  const bar = output.openBar();
  const speed = createRateEstimate(now);
  let bytes = 0;
  try {
    const { manifest } = await services.hashFile(path, {
      chunkSize: reference.kind === 'entry' ? reference.manifest?.chunkSize : undefined,
      signal: interrupt.signal,
      onBytes(byteCount) {
        bytes += byteCount;
        const bytesPerSecond = speed(bytes);
        const etaSeconds = bytesPerSecond > 0 ? (size - bytes) / bytesPerSecond : null;
        bar.update({ name: basename(path), bytes, total: size, bytesPerSecond, etaSeconds, stalled: null });
      },
    });
    return manifest;
  } finally {
    output.closeBar();
  }
}

interface Verdict {
  readonly equal: boolean;
  /** Indexes; empty when they cannot be told. */
  readonly differentChunks: readonly number[];
}

function compare(actual: Manifest, reference: Reference): Verdict {
  if (reference.kind === 'none') return { equal: false, differentChunks: [] };
  if (reference.kind === 'digest') return { equal: actual.sha256 === reference.sha256, differentChunks: [] };
  const { entry, manifest } = reference;
  if (manifest === undefined) return { equal: actual.sha256 === entry.sha256.toLowerCase(), differentChunks: [] };
  const differentChunks: number[] = [];
  for (let chunkIndex = 0; chunkIndex < Math.min(actual.chunkCount, manifest.chunkCount); chunkIndex++)
    if (!chunkDigestMatches(manifest, chunkIndex, chunkDigest(actual, chunkIndex))) differentChunks.push(chunkIndex);
  return { equal: actual.sha256 === manifest.sha256, differentChunks };
}

function difference(path: string, actual: Manifest, reference: Reference, chunks: readonly number[]): ShoalError {
  const size = reference.kind === 'entry' ? reference.entry.size : actual.size;
  const what =
    size !== actual.size
      ? `it has ${actual.size} bytes, not ${size}`
      : chunks.length > 0
        ? `${chunks.length} of ${actual.chunkCount} chunks differ: ${indexRanges(chunks, 10)}`
        : `its SHA-256 is ${actual.sha256}`;
  const hint = reference.kind === 'entry' ? 'move it away and get it again' : '';
  return new ShoalError('integrity', `${path} differs from ${told(reference)}: ${what}`, { hint });
}

function told(reference: Reference): string {
  if (reference.kind === 'entry') return `${reference.entry.name} at the tracker`;
  return reference.kind === 'digest' ? 'the digest given' : 'nothing';
}

function comparedWith(reference: Reference): Record<string, string> | null {
  if (reference.kind === 'none') return null;
  if (reference.kind === 'digest') return { sha256: reference.sha256 };
  const { name, sha256, contentId } = reference.entry;
  return { name, sha256, content: contentId };
}
