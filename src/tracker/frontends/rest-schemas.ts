/** The shapes of the REST calls, for validation and for the API description. Names, hosts and digests are judged by the registry. */
import { Type } from '@fastify/type-provider-typebox';
import * as limits from '../../limits.ts';

const Size = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'Bytes' });
const Port = Type.Integer({ minimum: 1, maximum: 65_535 });
const Host = Type.String({ minLength: 1, maxLength: 255, description: 'IP address or host name' });
const Digits = (description: string) => Type.String({ pattern: '^[0-9]{1,16}$', description });

export const Announcement = Type.Object(
  {
    ip: Host,
    port: Port,
    files: Type.Array(
      Type.Object({
        name: Type.String({ maxLength: limits.NAME_BYTES_MAX }),
        size: Size,
        sha256: Type.String({
          minLength: 1,
          maxLength: limits.PLAIN_SHA256_CHARS_MAX,
          description: '64 hex digits; any other text is kept as it is but proves nothing',
        }),
      }),
      { maxItems: limits.ANNOUNCE_FILES_MAX },
    ),
  },
  {
    examples: [{ ip: '192.168.1.10', port: 7001, files: [{ name: 'KTMT.pdf', size: 102_400, sha256: 'abcd1234...' }] }],
  },
);

/** `ip` and `peer_ip` mean the same; one of them is needed. */
const PeerAddress = { ip: Type.Optional(Host), peer_ip: Type.Optional(Host), port: Port };
export const PeerBody = Type.Object(PeerAddress, { examples: [{ ip: '192.168.1.10', port: 7001 }] });
export const Completion = Type.Object(
  { ...PeerAddress, name: Type.String({ maxLength: limits.NAME_BYTES_MAX + 65 }) },
  { examples: [{ peer_ip: '192.168.1.20', port: 7002, name: 'KTMT.pdf' }] },
);

export const Ok = Type.Object({ ok: Type.Literal(true) });

export const FileRow = Type.Object({
  name: Type.String(),
  size: Size,
  sha256: Type.String(),
  content: Type.String({ description: 'contentId; empty for a file that was announced without a manifest' }),
  chunk_size: Type.Integer(),
  chunks: Type.Integer(),
  seeders: Type.Integer({ description: 'Online peers that have all of it' }),
  leechers: Type.Integer({ description: 'Online peers that are still fetching it' }),
  published_at: Type.String({ format: 'date-time' }),
});

export const FileList = Type.Array(FileRow);

export const FilesQuery = Type.Object({
  q: Type.Optional(Type.String({ maxLength: limits.NAME_BYTES_MAX, description: 'Part of the name, any case' })),
  limit: Type.Optional(Digits(`Rows, at most ${limits.PAGE_ROWS_MAX}; default ${limits.PAGE_ROWS_DEFAULT}`)),
  after: Type.Optional(Type.String({ maxLength: limits.NAME_BYTES_MAX, description: 'The name after which to go on' })),
  all: Type.Optional(Type.String({ enum: ['true', 'false'], description: 'Also files that no online peer has' })),
});

export const FileAnswer = Type.Object({
  file: FileRow,
  peers: Type.Array(
    Type.Object({
      ip: Type.String(),
      port: Type.Integer(),
      peer: Type.String({ description: 'Peer id; empty for a peer of the plain calls' }),
      dialects: Type.Array(Type.String()),
    }),
    { description: 'Peers that have the whole file, in turns when there are many' },
  ),
  versions: Type.Array(FileRow, { description: 'Every entry of this name, newest first' }),
});

export const ChunkAnswer = Type.Object({
  file: FileRow,
  chunks: Type.Array(
    Type.Object({
      index: Type.Integer({ description: 'From 0' }),
      sha256: Type.String(),
      sources: Type.Integer({ description: 'Online peers that have it' }),
      peers: Type.Array(Type.String(), { description: 'Addresses of some of them' }),
    }),
  ),
  next_from: Type.Union([Type.Integer(), Type.Null()], { description: '`from` of the next page' }),
});

export const ChunksQuery = Type.Object({
  from: Type.Optional(Digits('First chunk, from 0')),
  limit: Type.Optional(Digits(`Chunks, at most ${limits.CHUNK_ROWS_MAX}`)),
});

export const DescriptorList = Type.Array(
  Type.Object({ name: Type.String(), size: Size, sha256: Type.String(), descriptor: Type.String() }),
);

export const PeersQuery = Type.Object({
  limit: Type.Optional(Digits(`Rows, at most ${limits.PAGE_ROWS_MAX}`)),
  after: Type.Optional(Digits('From the link of the page before')),
});

export const PeerList = Type.Array(
  Type.Object({
    ip: Type.String(),
    port: Type.Integer(),
    state: Type.String({ enum: ['online', 'offline'] }),
    peer: Type.String(),
    addresses: Type.Array(Type.String()),
    dialects: Type.Array(Type.String()),
    agent: Type.String(),
    last_seen: Type.String({ format: 'date-time' }),
    complete: Type.Integer({ description: 'Contents it has all chunks of' }),
    partial: Type.Integer({ description: 'Contents it is fetching' }),
    files: Type.Array(Type.String(), { description: `Names of at most ${limits.PEER_FILES_NAMED_MAX} of them` }),
  }),
);

export const EventsQuery = Type.Object({ after: Type.Optional(Digits('Go on after this event')) });

export const Failure = Type.Object({
  error: Type.Object({ code: Type.String(), message: Type.String(), hint: Type.Optional(Type.String()) }),
});
