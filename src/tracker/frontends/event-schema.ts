/** The JSON in the data of an event, by type, for the API description. */
import type { EventType } from '../event-log.ts';

const Text = { type: 'string' } as const;
const Texts = { type: 'array', items: Text } as const;
const Count = { type: 'integer', minimum: 0 } as const;
const Time = { type: 'string', format: 'date-time' } as const;

const Peer = { peer: Text, addresses: Texts, dialects: Texts, agent: Text } as const;
const Entry = { name: Text, size: Count, sha256: Text, content: Text } as const;
const Had = {
  ...{ name: Text, content: Text, peer: Text, address: Text },
  replica: { type: 'boolean', description: 'It only keeps the chunks as replicas' },
} as const;
const Copies = { name: Text, content: Text, replicas: Count, reached: Count, missing: Count, unplaced: Count } as const;

interface Scalar {
  readonly type: 'string' | 'integer' | 'boolean';
  readonly enum?: string[];
  readonly description?: string;
}

const FIELDS: Readonly<Record<EventType, Readonly<Record<string, Scalar | typeof Texts>>>> = {
  'peer-joined': Peer,
  'peer-left': { ...Peer, reason: { type: 'string', enum: ['left', 'lease-expired'] } },
  'entry-published': Entry,
  'entry-removed': { ...Entry, reason: { type: 'string', enum: ['unpublished', 'forgotten', 'too-many-versions'] } },
  'content-complete': { ...Had, seeders: Count },
  milestone: { ...Had, percent: Count },
  'peer-banned': { ...Peer, address: Text, reason: Text, reporters: Count, until: Time },
  replicated: Copies,
  'under-replicated': Copies,
  missed: { resumesAfter: { ...Count, description: 'Events up to this one are not there any more, or never were' } },
  closing: {},
};

export const EventSchema = {
  description: 'The data of one event of GET /events, and of Watch',
  anyOf: Object.entries(FIELDS).map(([type, fields]) => ({
    type: 'object' as const,
    required: ['type', 'at', ...Object.keys(fields)],
    properties: { type: { type: 'string' as const, enum: [type] }, at: Time, ...fields },
  })),
};
