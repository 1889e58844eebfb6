/** What the two halves of a swarm share: the neighbours, our chunks, and the way out for actions. */
import type { Bitfield } from '../content/bitfield.ts';
import type { ChunkLayout } from '../content/chunk-layout.ts';
import type { Offence } from './ban-list.ts';
import type { CloseReason, LinkId, SwarmAction, SwarmMessage, SwarmOptions } from './facts.ts';
import type { Neighbour } from './neighbour.ts';
import type { Random } from './random.ts';
import type { RoundTrips } from './round-trips.ts';

export interface SwarmContext {
  readonly options: SwarmOptions;
  readonly layout: ChunkLayout;
  readonly have: Bitfield;
  readonly neighbours: ReadonlyMap<LinkId, Neighbour>;
  readonly random: Random;
  readonly roundTrips: RoundTrips;
  emit(action: SwarmAction): void;
  send(neighbour: Neighbour, message: SwarmMessage): void;
  /** Closes a link; the neighbour is gone from `neighbours` when this returns. */
  close(neighbour: Neighbour, reason: CloseReason, text: string): void;
  /** Closes a link for a broken rule and bans the peer. */
  misbehaved(neighbour: Neighbour, offence: Offence, text: string): void;
}
