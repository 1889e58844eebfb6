/**
 * How well contents are doing, over all of them: counted up and down as swarms change, so that asking costs the same with ten contents
 * and with a million. A content that nobody takes part in is not among them.
 */
import type { ContentRecord } from './records.ts';

/** `complete`: somebody has all of it; `spread`: nobody has, but every chunk is somewhere; `incomplete`: some chunk is nowhere. */
export const SWARM_STATES = ['complete', 'spread', 'incomplete'] as const;

/** Copies of the rarest chunk are told apart up to here; this one stands for so many or more. */
export const RAREST_COPIES_MAX = 4;

export interface SwarmHealthFigures {
  /** Contents, in the order of SWARM_STATES. */
  readonly byState: readonly number[];
  /** Contents by how many online peers have their rarest chunk: 0 to RAREST_COPIES_MAX. */
  readonly byRarestCopies: readonly number[];
  /** Chunks of these contents that nobody has, and that one peer has. */
  readonly chunksAbsent: number;
  readonly chunksSingle: number;
  /** Over all contents: members with all chunks, and without. */
  readonly seeders: number;
  readonly leechers: number;
  /** Members without all chunks that only keep replicas; they are not among the leechers. */
  readonly volunteers: number;
}

/** What a content adds to the figures. */
export interface ContentHealth {
  state: number;
  rarestCopies: number;
  absent: number;
  single: number;
  seeders: number;
  leechers: number;
  volunteers: number;
}

export class SwarmHealth {
  readonly #byState: number[] = SWARM_STATES.map(() => 0);
  readonly #byRarestCopies: number[] = Array.from({ length: RAREST_COPIES_MAX + 1 }, () => 0);
  #chunksAbsent = 0;
  #chunksSingle = 0;
  #seeders = 0;
  #leechers = 0;
  #volunteers = 0;

  /** The content's swarm has changed, or is gone. */
  changed(content: ContentRecord): void {
    const { swarm } = content;
    if (content.health !== undefined) this.#add(content.health, -1);
    if (swarm === undefined) {
      content.health = undefined;
      return;
    }
    const health = (content.health ??= { ...NOTHING });
    health.seeders = swarm.complete.length;
    health.volunteers = swarm.volunteerCount;
    health.leechers = swarm.partial.length - health.volunteers;
    health.absent = swarm.chunksWithCopies(0);
    health.single = swarm.chunksWithCopies(1);
    health.state = health.seeders > 0 ? 0 : health.absent === 0 ? 1 : 2;
    health.rarestCopies = swarm.rarestCopies;
    this.#add(health, 1);
  }

  figures(): SwarmHealthFigures {
    return {
      byState: [...this.#byState],
      byRarestCopies: [...this.#byRarestCopies],
      chunksAbsent: this.#chunksAbsent,
      chunksSingle: this.#chunksSingle,
      seeders: this.#seeders,
      leechers: this.#leechers,
      volunteers: this.#volunteers,
    };
  }

  #add(health: ContentHealth, by: 1 | -1): void {
    this.#byState[health.state] = (this.#byState[health.state] as number) + by;
    this.#byRarestCopies[health.rarestCopies] = (this.#byRarestCopies[health.rarestCopies] as number) + by;
    this.#chunksAbsent += by * health.absent;
    this.#chunksSingle += by * health.single;
    this.#seeders += by * health.seeders;
    this.#leechers += by * health.leechers;
    this.#volunteers += by * health.volunteers;
  }
}

const NOTHING: ContentHealth = {
  ...{ state: 0, rarestCopies: 0, absent: 0, single: 0 },
  ...{ seeders: 0, leechers: 0, volunteers: 0 },
};
