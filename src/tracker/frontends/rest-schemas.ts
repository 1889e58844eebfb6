/**
 * The shapes of the REST calls as JSON Schema, for validation, for the API description, and (by `SchemaTypes`) for the compiler. Names,
 * hosts and digests are judged by the registry. Plain literals: a schema builder would double the time a tracker takes to start.
 */
import type { FastifyBaseLogger, FastifyInstance, FastifyTypeProvider, RawServerDefault } from 'fastify';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { XStatic } from 'typebox/schema';
import * as limits from '../../limits.ts';
import { EVENT_TYPES } from '../event-log.ts';

/** Lets Fastify derive the types of bodies, queries and answers from the schemas below. */
export interface SchemaTypes extends FastifyTypeProvider {
  validator: XStatic<this['schema']>;
  serializer: XStatic<this['schema']>;
}

/** The app as the routes see it. */
export type RestApp = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  SchemaTypes
>;

const Text = { type: 'string' } as const;
const Count = { type: 'integer' } as const;
const Time = { type: 'string', format: 'date-time' } as const;
const Texts = { type: 'array', items: Text } as const;
const Size = { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'Bytes' } as const;
const Port = { type: 'integer', minimum: 1, maximum: 65_535 } as const;
const Host = { type: 'string', minLength: 1, maxLength: 255, description: 'IP address or host name' } as const;
const Digits = { type: 'string', pattern: '^[0-9]{1,16}$' } as const;

export const Announcement = {
  type: 'object',
  required: ['ip', 'port', 'files'],
  properties: {
    ip: Host,
    port: Port,
    files: {
      type: 'array',
      maxItems: limits.ANNOUNCE_FILES_MAX,
      items: {
        type: 'object',
        required: ['name', 'size', 'sha256'],
        properties: {
          name: { type: 'string', maxLength: limits.NAME_BYTES_MAX },
          size: Size,
          sha256: {
            type: 'string',
            minLength: 1,
            maxLength: limits.PLAIN_SHA256_CHARS_MAX,
            description: '64 hex digits; any other text is kept as it is but proves nothing',
          },
        },
      },
    },
  },
  examples: [{ ip: '192.168.1.10', port: 7001, files: [{ name: 'KTMT.pdf', size: 102_400, sha256: 'abcd1234...' }] }],
} as const;

/** `ip` and `peer_ip` mean the same; one of them is needed. */
const PeerAddress = { ip: Host, peer_ip: Host, port: Port } as const;
export const PeerBody = {
  type: 'object',
  required: ['port'],
  properties: PeerAddress,
  examples: [{ ip: '192.168.1.10', port: 7001 }],
} as const;
export const Completion = {
  type: 'object',
  required: ['port', 'name'],
  properties: { ...PeerAddress, name: { type: 'string', maxLength: limits.NAME_BYTES_MAX + 65 } },
  examples: [{ peer_ip: '192.168.1.20', port: 7002, name: 'KTMT.pdf' }],
} as const;

export const Ok = { type: 'object', required: ['ok'], properties: { ok: { const: true } } } as const;

export const AnnounceQuery = {
  type: 'object',
  properties: { peers: { ...Digits, description: `At most ${limits.ANNOUNCE_OTHERS_MAX}` } },
} as const;

export const Announced = {
  type: 'object',
  required: ['ok'],
  properties: {
    ok: { const: true },
    files: {
      type: 'array',
      items: {
        type: 'object',
        required: ['name', 'peers'],
        properties: {
          name: Text,
          peers: {
            type: 'array',
            items: { type: 'object', required: ['ip', 'port'], properties: { ip: Text, port: Count } },
          },
        },
      },
    },
  },
} as const;

export const FileRow = {
  type: 'object',
  required: [
    ...(['name', 'size', 'sha256', 'content', 'chunk_size', 'chunks', 'seeders', 'leechers', 'published_at'] as const),
    ...(['replicas', 'replicas_reached', 'replica_chunks_missing', 'volunteers'] as const),
  ],
  properties: {
    name: Text,
    size: Size,
    sha256: Text,
    content: { ...Text, description: 'contentId; empty for a file that was announced without a manifest' },
    chunk_size: Count,
    chunks: Count,
    seeders: { ...Count, description: 'Online peers that have all of it' },
    leechers: { ...Count, description: 'Online peers that are still fetching it' },
    published_at: Time,
    replicas: { ...Count, description: 'Copies of every chunk that volunteers are to keep' },
    replicas_reached: { ...Count, description: 'Copies that they keep of the rarest chunk' },
    replica_chunks_missing: { ...Count, description: 'Chunks that have fewer copies than asked for' },
    volunteers: { ...Count, description: 'Online peers that only keep some of its chunks as replicas' },
  },
} as const;

export const FileList = { type: 'array', items: FileRow } as const;

export const FilesQuery = {
  type: 'object',
  properties: {
    q: { type: 'string', maxLength: limits.NAME_BYTES_MAX, description: 'Part of the name, any case' },
    limit: { ...Digits, description: `Rows, at most ${limits.PAGE_ROWS_MAX}; default ${limits.PAGE_ROWS_DEFAULT}` },
    after: { type: 'string', maxLength: limits.NAME_BYTES_MAX, description: 'The name after which to go on' },
    all: { type: 'string', enum: ['true', 'false'], description: 'Also files that no online peer has' },
    folders: {
      type: 'string',
      enum: ['true', 'false'],
      description: 'Also whole folders, whose names end with a slash',
    },
  },
} as const;

const SourceRow = {
  ip: Text,
  port: Count,
  peer: { ...Text, description: 'Peer id; empty for a peer of the plain calls' },
  dialects: Texts,
} as const;

export const FileAnswer = {
  type: 'object',
  required: ['file', 'peers', 'partial', 'versions'],
  properties: {
    file: FileRow,
    peers: {
      type: 'array',
      items: { type: 'object', required: ['ip', 'port', 'peer', 'dialects'], properties: SourceRow },
      description: 'Peers that have the whole file, in turns when there are many',
    },
    partial: {
      type: 'array',
      items: {
        type: 'object',
        required: ['ip', 'port', 'peer', 'dialects', 'percent', 'replica'],
        properties: {
          ...SourceRow,
          percent: { ...Count, description: 'Of the chunks, rounded down' },
          replica: { type: 'boolean', description: 'It only keeps these chunks as replicas' },
        },
      },
      description: 'Peers that have some chunks of it and serve them, in turns when there are many',
    },
    versions: { type: 'array', items: FileRow, description: 'Every entry of this name, newest first' },
  },
} as const;

export const ChunkAnswer = {
  type: 'object',
  required: ['file', 'chunks', 'next_from'],
  properties: {
    file: FileRow,
    chunks: {
      type: 'array',
      items: {
        type: 'object',
        required: ['index', 'sha256', 'sources', 'peers'],
        properties: {
          index: { ...Count, description: 'From 0' },
          sha256: Text,
          sources: { ...Count, description: 'Online peers that have it' },
          peers: { ...Texts, description: 'Addresses of some of them' },
        },
      },
    },
    next_from: { anyOf: [{ type: 'integer' }, { type: 'null' }], description: '`from` of the next page' },
  },
} as const;

/** Of the paths that end in a name. */
export const NameInPath = {
  type: 'object',
  required: ['name'],
  properties: {
    name: {
      type: 'string',
      description: 'With its slashes as they are or as %2F; name@hex finds an older entry, a contentId that content',
    },
  },
} as const;

export const ChunksQuery = {
  type: 'object',
  properties: {
    from: { ...Digits, description: 'First chunk, from 0' },
    limit: { ...Digits, description: `Chunks, at most ${limits.CHUNK_ROWS_MAX}, which is the default` },
    max_sources: {
      ...Digits,
      description: 'Only chunks that no more online peers have than this; 0: those nobody has',
    },
  },
} as const;

export const DescriptorList = {
  type: 'array',
  items: {
    type: 'object',
    required: ['name', 'size', 'sha256', 'descriptor'],
    properties: { name: Text, size: Size, sha256: Text, descriptor: Text },
  },
} as const;

export const Descriptor = {
  type: 'object',
  required: ['file_name', 'total_pieces', 'size', 'sha256', 'chunk_size', 'content', 'links', 'pieces'],
  properties: {
    file_name: Text,
    total_pieces: Count,
    size: Size,
    sha256: Text,
    chunk_size: Count,
    content: { ...Text, description: 'contentId' },
    links: { type: 'object', required: ['file', 'chunks'], properties: { file: Text, chunks: Text } },
    pieces: {
      type: 'array',
      items: {
        type: 'object',
        required: ['number', 'hash'],
        properties: { number: { ...Count, description: 'From 1' }, hash: { ...Text, description: 'SHA-256' } },
      },
    },
  },
} as const;

const Flag = { type: 'string', enum: ['true', 'false'] } as const;

export const PeersQuery = {
  type: 'object',
  properties: {
    q: { type: 'string', maxLength: limits.NAME_BYTES_MAX, description: 'Part of the id, an address or the agent' },
    state: { type: 'string', enum: ['online', 'offline'] },
    file: {
      type: 'string',
      maxLength: limits.NAME_BYTES_MAX + 65,
      description: 'Only peers that have this file or some of it: a name, name@hex or a contentId; 404 when unknown',
    },
    banned: { ...Flag, description: 'Only peers that are, or are not, named to nobody for a while' },
    volunteer: { ...Flag, description: 'Only peers that offer, or do not offer, space for replicas' },
    limit: { ...Digits, description: `Rows, at most ${limits.PAGE_ROWS_MAX}; default ${limits.PAGE_ROWS_DEFAULT}` },
    after: { ...Digits, description: 'From the link of the page before; good while the tracker runs' },
  },
} as const;

export const PeerList = {
  type: 'array',
  items: {
    type: 'object',
    required: [
      ...(['ip', 'port', 'state', 'peer', 'addresses', 'dialects'] as const),
      ...(['agent', 'banned', 'last_seen', 'complete', 'partial', 'files'] as const),
      ...(['offered_bytes', 'used_bytes', 'replicas', 'reachability'] as const),
    ],
    properties: {
      ip: Text,
      port: Count,
      state: { type: 'string', enum: ['online', 'offline'] },
      peer: Text,
      addresses: Texts,
      dialects: Texts,
      agent: Text,
      banned: {
        type: 'boolean',
        description: 'Reported for wrong bytes by several peers; named to nobody for a while',
      },
      last_seen: Time,
      complete: { ...Count, description: 'Contents it has all chunks of' },
      partial: { ...Count, description: 'Contents it is fetching' },
      files: { ...Texts, description: `Names of at most ${limits.PEER_FILES_NAMED_MAX} of them` },
      offered_bytes: { ...Count, description: 'Space that it offers for replicas; 0: it is no volunteer' },
      used_bytes: { ...Count, description: 'Of that: used' },
      replicas: { ...Count, description: 'Contents of which it keeps some chunks as replicas, and no more' },
      reachability: {
        type: 'string',
        enum: ['unknown', 'reachable', 'unreachable'],
        description: 'What the tracker found when it dialled the addresses; who is unreachable is named to nobody',
      },
    },
  },
} as const;

export const EventsQuery = {
  type: 'object',
  properties: {
    after: { ...Digits, description: 'Go on after this event' },
    type: {
      type: 'string',
      maxLength: 256,
      description: `Only these types, divided by commas, of ${EVENT_TYPES.join(', ')}; missed and closing always come`,
    },
  },
} as const;

export const Failure = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message'],
      properties: { code: Text, message: Text, hint: Text },
    },
  },
} as const;
/** What every call may be answered instead. */
export const failures = { '4xx': Failure, '5xx': Failure } as const;

/** Read by the handler, which also takes what is no header of this kind: a browser's own EventSource sets it. */
export const EventsHeaders = {
  type: 'object',
  properties: { 'last-event-id': { type: 'string', description: 'Go on after this event; goes before the query' } },
} as const;
export const EventStream = {
  description: 'Blocks of id, event and data; a comment where nothing has happened for a while',
  content: { 'text/event-stream': { schema: Text } },
} as const;
export const MetricsText = {
  description: 'In the text format of Prometheus',
  content: { 'text/plain': { schema: Text } },
} as const;
