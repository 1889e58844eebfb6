/**
 * Whether what was written outlives the server that took it. A primary acknowledges before its replicas have it; were it to die at that
 * moment, the replica that takes its place would lack what was promised. So every write asks on its own connection how many replicas have
 * it (WAIT), and counts as written only when enough do. They have it in memory, or on disk with `appendfsync always`.
 *
 * Nothing is undone when they are too few: the primary has the write, the caller is told that it is not sure, and writes it again.
 */
import { Cluster, type ChainableCommander } from 'iovalkey';
import { ShoalError } from '../../errors.ts';
import * as limits from '../../limits.ts';
import type { StoreFigures } from './store.ts';
import { anotherConnection, type Server } from './valkey-server.ts';

/** How many replicas have to have a write: so many, whatever there is; or one where the primary has any. */
export type ReplicasWanted = number | 'auto';

/** Commands for the keys of one hash tag: all of them take effect, or none. */
export interface Transaction {
  /** One of its keys. */
  readonly key: string;
  fill(all: ChainableCommander): void;
}

/** A pipeline may have several transactions in it; the package's types leave that out. */
interface Message extends ChainableCommander {
  multi(): this;
}

/** Said by a primary about a write. */
interface Confirmation {
  readonly confirmed: number;
  /** Replicas that follow it now; undefined: it does not tell. */
  readonly linked: number | undefined;
}

export class ConfirmedWrites {
  /** A connection of its own: one that waits for a replica holds up all that comes after on it. */
  readonly #server: Server;
  readonly #wanted: ReplicasWanted;
  /** By primary, as it said last. */
  readonly #linked = new Map<string, number>();
  readonly #slots = new Map<string, number>();
  readonly #counts = { byReplicas: 0, byPrimary: 0, unconfirmed: 0 };

  constructor(server: Server, wanted: ReplicasWanted) {
    this.#server = anotherConnection(server);
    this.#wanted = wanted;
  }

  figures(): StoreFigures {
    const linked = this.#linked.size === 0 ? 0 : Math.min(...this.#linked.values());
    return { writes: { ...this.#counts }, replicasLinked: linked };
  }

  close(): void {
    this.#server.disconnect();
  }

  /** Rejects when any of them is not sure to be kept; others may be. Throws `disk` where only replicas are missing. */
  async write(transactions: readonly Transaction[]): Promise<void> {
    const primaries = new Map<string, Transaction[]>();
    for (const transaction of transactions) {
      const primary = await this.#primaryOf(transaction.key);
      const others = primaries.get(primary);
      if (others === undefined) primaries.set(primary, [transaction]);
      else others.push(transaction);
    }
    await Promise.all([...primaries].map(([primary, some]) => this.#writeTo(primary, some)));
  }

  async #writeTo(primary: string, transactions: readonly Transaction[]): Promise<void> {
    for (;;) {
      const asked = this.#needed(this.#linked.get(primary));
      const { confirmed, linked } = await this.#send(primary, transactions, asked);
      if (linked !== undefined) this.#linked.set(primary, linked);
      const needed = this.#needed(linked);
      if (confirmed >= needed) {
        if (needed > 0) this.#counts.byReplicas++;
        else this.#counts.byPrimary++;
        return;
      }
      if (asked < needed) continue; // it has more replicas than it had: once more, and wait for them
      this.#counts.unconfirmed++;
      throw tooFew(confirmed, needed, linked);
    }
  }

  #needed(linked: number | undefined): number {
    return this.#wanted === 'auto' ? Math.min(1, linked ?? 0) : this.#wanted;
  }

  /** One message for all of them, so that what is waited for is what was written here and not on a connection made anew meanwhile. */
  async #send(primary: string, transactions: readonly Transaction[], replicas: number): Promise<Confirmation> {
    try {
      const all = this.#server.pipeline() as Message;
      const ends: number[] = [];
      for (const transaction of transactions) {
        all.multi();
        transaction.fill(all);
        void all.exec(); // ends the transaction: the message is sent by the exec below
        ends.push(all.length - 1);
      }
      if (this.#wanted !== 0) all.wait(replicas, limits.STORE_REPLICA_WAIT_MS).role();
      const results = (await all.exec()) ?? [];
      const [confirmed, role] = this.#wanted === 0 ? [] : results.splice(-2);
      for (const [error] of results) if (error !== null) throw error;
      for (const end of ends) checkTransaction(results[end]?.[1]);
      if (confirmed !== undefined && confirmed[0] !== null) throw confirmed[0];
      return { confirmed: Number(confirmed?.[1] ?? 0), linked: linkedIn(role?.[1]) };
    } catch (error) {
      this.#linked.delete(primary);
      // somebody else may be the primary by now
      if (this.#server instanceof Cluster) this.#server.refreshSlotsCache();
      throw error;
    }
  }

  /** What its keys' primary is called; '' where there is only one. */
  async #primaryOf(key: string): Promise<string> {
    if (!(this.#server instanceof Cluster)) return '';
    let slot = this.#slots.get(key);
    if (slot === undefined) this.#slots.set(key, (slot = await this.#server.cluster('KEYSLOT', key)));
    return this.#server.slots[slot]?.[0] ?? `slot ${slot}`;
  }
}

function checkTransaction(outcome: unknown): void {
  if (!Array.isArray(outcome)) throw new Error('the transaction was given up');
  for (const one of outcome) if (one instanceof Error) throw one;
}

/** Of a primary's ROLE: its replicas that are up to date but for what is under way. */
function linkedIn(role: unknown): number | undefined {
  const replicas: unknown = Array.isArray(role) && role[0] === 'master' ? role[2] : undefined;
  return Array.isArray(replicas) ? replicas.length : undefined;
}

function tooFew(confirmed: number, needed: number, linked: number | undefined): ShoalError {
  const follow =
    linked === undefined || linked >= needed
      ? ''
      : linked === 0
        ? ', and none follows it'
        : `, and only ${linked} follow${linked === 1 ? 's' : ''} it`;
  const seconds = limits.STORE_REPLICA_WAIT_MS / 1_000;
  return new ShoalError(
    'disk',
    `${confirmed} of ${needed} replicas of the store have confirmed it within ${seconds} s${follow}`,
    { hint: 'it is tried again; publishing goes on when they do' },
  );
}
