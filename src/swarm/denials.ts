/**
 * How often a neighbour has refused a chunk that it says it has. A disk that fails, or a file that is cut short, is no lie: whoever
 * finds that out says that the chunk is lost, and only what is not admitted counts against it; but not without end.
 */
import { DENIALS_MAX, DENIALS_UNADMITTED_MAX } from '../limits.ts';

export class Denials {
  /** Refused and not called lost since; never more than DENIALS_UNADMITTED_MAX and one. */
  readonly #unadmitted = new Set<number>();
  #count = 0;

  /** It has refused a chunk that it claimed. Says whether that was once too often. */
  denied(chunkIndex: number): boolean {
    this.#unadmitted.add(chunkIndex);
    return ++this.#count > DENIALS_MAX || this.#unadmitted.size > DENIALS_UNADMITTED_MAX;
  }

  /** It has called the chunk lost. */
  admitted(chunkIndex: number): void {
    this.#unadmitted.delete(chunkIndex);
  }
}
