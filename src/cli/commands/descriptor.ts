/**
 * `shoal descriptor`: writes the descriptor of a local file, the same that a tracker serves under `/torrents/`: its chunks as numbered
 * pieces with their SHA-256. Any web server can offer it; `shoal get` takes its URL.
 */
import { Option } from 'commander';
import { writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { toHex } from '../../content/digest.ts';
import { parseEntryName } from '../../content/entry-name.ts';
import { chunkDigest } from '../../content/manifest.ts';
import { ShoalError } from '../../errors.ts';
import { printable } from '../display-width.ts';
import { humanBytes, humanCount } from '../human.ts';
import { parseChunkSize } from '../rates.ts';
import { examples, type DefineCommand, type Runtime } from '../runtime.ts';

interface DescriptorFlags {
  readonly output?: string;
  readonly name?: string;
  readonly chunkSize?: number;
}

export const defineDescriptor: DefineCommand = (command, runtime) => {
  command
    .argument('<file>', 'a file')
    .addOption(new Option('-o, --output <file>', 'where to write it (default: standard output)'))
    .addOption(new Option('--name <name>', 'the name it is shared under, when the file is called otherwise'))
    .addOption(
      new Option('--chunk-size <size>', 'a power of two such as 1MiB, as given to share').argParser(parseChunkSize),
    )
    .addHelpText(
      'after',
      examples(
        ['shoal descriptor big.bin -o big.bin.json', 'for a web server of your own'],
        ['shoal descriptor big.bin --name sets/big.bin', 'under the name that a folder gives it'],
      ),
    )
    .action((path: string, flags: DescriptorFlags) => runDescriptor(path, flags, runtime));
};

async function runDescriptor(path: string, flags: DescriptorFlags, runtime: Runtime): Promise<void> {
  const { output, services, interrupt } = runtime;
  const name = parseEntryName(flags.name ?? basename(path));
  const { manifest } = await services.hashFile(path, { chunkSize: flags.chunkSize, signal: interrupt.signal });
  const { chunkCount, size, sha256, chunkSize, contentId } = manifest;
  const pieces = Array.from({ length: chunkCount }, (_, index) => ({
    number: index + 1,
    hash: toHex(chunkDigest(manifest, index)),
  }));
  const document = {
    file_name: name,
    total_pieces: chunkCount,
    size,
    sha256,
    chunk_size: chunkSize,
    content: contentId,
    pieces,
  };
  if (flags.output === undefined) {
    if (output.json) output.document(document);
    else output.answer(JSON.stringify(document, undefined, 2));
    return;
  }
  try {
    await writeFile(flags.output, `${JSON.stringify(document, undefined, 2)}\n`);
  } catch (error) {
    throw new ShoalError('usage', `${flags.output} cannot be written: ${ShoalError.from(error).message}`, {
      cause: error,
    });
  }
  output.answer(`${printable(flags.output)}: ${humanCount(chunkCount, 'piece')} of ${humanBytes(chunkSize)}`);
}
