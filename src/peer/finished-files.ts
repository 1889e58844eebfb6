/** Downloads that are whole and stay served until the node closes: readers that notice when somebody changes the file. */
import { stat } from 'node:fs/promises';
import type { ChunkLayout } from '../content/chunk-layout.ts';
import { createContentReader, type ContentReader } from '../storage/content-reader.ts';
import { fileStamp } from '../storage/file-stamp.ts';
import { createOpenFiles } from '../storage/open-files.ts';

export class FinishedFiles {
  readonly #openFiles = createOpenFiles();

  async open(path: string, layout: ChunkLayout): Promise<ContentReader> {
    const stamp = fileStamp(await stat(path, { bigint: true }));
    // a read that fails is reported to whoever asked for it; there is no index to correct
    return createContentReader({ path, stamp, layout, openFiles: this.#openFiles, onFailure: () => undefined });
  }

  close(): Promise<void> {
    return this.#openFiles.close();
  }
}
