/**
 * What volunteers offer and how many contents have their copies, over all of them: counted up and down as it changes, so that asking
 * costs the same however many there are.
 */
import type { CopyState, VolunteerOffer } from './copy-state.ts';

export interface ReplicaFigures {
  readonly volunteers: number;
  readonly offeredBytes: number;
  readonly usedBytes: number;
  /** Contents that ask for copies, by whether they have them. */
  readonly contentsReached: number;
  readonly contentsShort: number;
  readonly chunksMissing: number;
}

export class ReplicaTotals {
  #volunteers = 0;
  // sums of what strangers say: beyond what a number holds exactly, what goes would not take away what it brought
  #offeredBytes = 0n;
  #usedBytes = 0n;
  #contentsReached = 0;
  #contentsShort = 0;
  #chunksMissing = 0;

  /** What one peer offers; undefined: nothing. */
  offered(before: VolunteerOffer | undefined, after: VolunteerOffer | undefined): void {
    this.#addOffer(before, -1);
    this.#addOffer(after, 1);
  }

  /** The goal of a content, or what is missing of its copies, is another now. */
  changed(copies: CopyState): void {
    this.forgotten(copies);
    if (copies.goal === 0) return;
    copies.countedMissing = copies.missing;
    this.#addContent(copies.missing, 1);
  }

  /** Nothing is known of the copies of a content any more. */
  forgotten(copies: CopyState): void {
    if (copies.countedMissing !== undefined) this.#addContent(copies.countedMissing, -1);
    copies.countedMissing = undefined;
  }

  figures(): ReplicaFigures {
    return {
      volunteers: this.#volunteers,
      offeredBytes: Number(this.#offeredBytes),
      usedBytes: Number(this.#usedBytes),
      contentsReached: this.#contentsReached,
      contentsShort: this.#contentsShort,
      chunksMissing: this.#chunksMissing,
    };
  }

  #addOffer(offer: VolunteerOffer | undefined, by: 1 | -1): void {
    if (offer === undefined) return;
    this.#volunteers += by;
    this.#offeredBytes += BigInt(by * offer.offeredBytes);
    this.#usedBytes += BigInt(by * offer.usedBytes);
  }

  #addContent(missing: number, by: 1 | -1): void {
    if (missing === 0) this.#contentsReached += by;
    else this.#contentsShort += by;
    this.#chunksMissing += by * missing;
  }
}
