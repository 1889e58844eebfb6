/**
 * Every limit of Shoal: its unit in its name, why it has this value, and what happens at the edge. docs/limits.md is the same
 * list for people; a test keeps the two equal.
 */

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

// ---- content ---------------------------------------------------------------------------------------------------------------

/** Smallest chunk the default rule chooses. Below it the per-chunk messages begin to cost. */
export const CHUNK_SIZE_DEFAULT_MIN_BYTES = 64 * KiB;
/** Largest chunk the default rule chooses for contents up to 256 GiB. A chunk is held in memory while it is checked. */
export const CHUNK_SIZE_DEFAULT_MAX_BYTES = 4 * MiB;
/** Smallest and largest chunk size a manifest may name (`--chunk-size`); powers of two only. Outside: the manifest is refused. */
export const CHUNK_SIZE_MIN_BYTES = 16 * KiB;
export const CHUNK_SIZE_MAX_BYTES = 64 * MiB;
/** The default rule aims at this many chunks: enough for a crowd to trade, few enough to keep maps small (dataplane.md 4). */
export const CHUNK_COUNT_TARGET = 1024;
/** The default rule never makes more chunks than this; beyond 256 GiB the chunk size grows instead. */
export const CHUNK_COUNT_DEFAULT_MAX = 65_536;
/** Most chunks a manifest may list. More: the manifest is refused before anything is allocated. */
export const CHUNK_COUNT_MAX = 1_048_576;
/** Most bytes of a manifest: header and a digest for each of CHUNK_COUNT_MAX chunks. */
export const MANIFEST_BYTES_MAX = 56 + 32 * CHUNK_COUNT_MAX;
/** Most bytes of one segment of a name, and of a whole name, in UTF-8. Longer names are refused at the edge. */
export const NAME_SEGMENT_BYTES_MAX = 255;
export const NAME_BYTES_MAX = 4096;
/** Most segments (folders and the file) of a name. */
export const NAME_SEGMENTS_MAX = 64;

// ---- wire ------------------------------------------------------------------------------------------------------------------

/** Most payload bytes of one data frame, so that a control message never waits behind more than this. */
export const FRAGMENT_BYTES_MAX = 64 * KiB;
/** Most bytes of a control frame's body; the two named below may be larger. Larger: protocol error, connection closed. */
export const CONTROL_FRAME_BYTES_MAX = 16 * KiB;
export const BITFIELD_FRAME_BYTES_MAX = 4 + CHUNK_COUNT_MAX / 8;
export const MANIFEST_PART_BYTES_MAX = 64 * KiB;
/** Most chunk indexes in one HAVE or LOST message; more are sent as several. */
export const HAVE_CHUNKS_MAX = 512;
/** Most chunks an uploader may suggest with one grant. */
export const GRANT_SUGGESTIONS_MAX = 4;
/** Most bytes of text in a GOODBYE. */
export const GOODBYE_TEXT_BYTES_MAX = 128;
/** Most peers added or dropped in one peer-exchange message. */
export const PEX_PEERS_MAX = 20;

// ---- connections -----------------------------------------------------------------------------------------------------------

/** A handshake not finished after this is closed without a reply. */
export const HANDSHAKE_TIMEOUT_MS = 5_000;
/** A TCP connection not established after this counts as a dial failure. */
export const DIAL_TIMEOUT_MS = 5_000;
/** The first byte of an accepted connection must come within this, or the connection is closed. */
export const FIRST_BYTE_TIMEOUT_MS = 10_000;
/** A frame header or control body that has begun must be whole within this (slow senders are closed). */
export const PARTIAL_FRAME_TIMEOUT_MS = 10_000;
/** After this much silence a PING is sent; after IDLE_CLOSE_MS without any byte the connection is closed. */
export const IDLE_PING_MS = 15_000;
export const IDLE_CLOSE_MS = 45_000;
/** Accepted connections that have not proved themselves, in all and from one address. More: closed at once. */
export const UNPROVEN_CONNECTIONS_MAX = 64;
export const UNPROVEN_CONNECTIONS_PER_ADDRESS_MAX = 4;
/** The same, for connections that come from loopback: one machine may run a whole swarm. */
export const UNPROVEN_CONNECTIONS_LOOPBACK_MAX = 48;
/** Connections of one node, over all contents. More: closed at once. */
export const CONNECTIONS_MAX = 400;
/** Connections of one content: accepted up to MAX, dialled until TARGET in all or OUTBOUND_TARGET outbound. */
export const CONNECTIONS_PER_CONTENT_MAX = 40;
export const CONNECTIONS_PER_CONTENT_TARGET = 20;
export const CONNECTIONS_OUTBOUND_TARGET = 12;
/** Control frames a peer may send: a steady rate and a burst. Excess closes the connection. */
export const CONTROL_FRAMES_PER_SECOND = 500;
export const CONTROL_FRAMES_BURST = 4_000;
/** Bytes a socket may hold unsent before we stop producing data for it. */
export const SOCKET_UNSENT_BYTES_MAX = 128 * KiB;
/** Bytes of control messages that may wait for a peer that does not read; more: the connection is closed. */
export const CONTROL_QUEUE_BYTES_MAX = 4 * MiB;

// ---- the range frontend ----------------------------------------------------------------------------------------------------

/** Most bytes of a range request line. */
export const RANGE_LINE_BYTES_MAX = NAME_BYTES_MAX + 64;
/** A range request that is not terminated by a newline is taken as whole after this much silence. */
export const RANGE_LINE_SILENCE_MS = 150;
/** Range connections served at a time; more wait in the listener's queue up to the unproven limit, then are closed. */
export const RANGE_CONNECTIONS_MAX = 64;
/** A range connection on which no byte could be sent for this long is closed. */
export const RANGE_STALL_TIMEOUT_MS = 30_000;

// ---- transfer --------------------------------------------------------------------------------------------------------------

/** Grants one connection may hold outstanding; a request without a live grant is a protocol error. */
export const GRANTS_PER_LINK_MAX = 32;
/** Chunk sends one uploader runs side by side at most. */
export const ACTIVE_SENDS_MAX = 16;
/** Bytes requested and not yet verified, per download; the window adapts below it. */
export const IN_FLIGHT_BYTES_MAX = 64 * MiB;
/** Sources that may be fetching the same chunk at a time (end-game only). */
export const SOURCES_PER_CHUNK_MAX = 2;
/** Chunk digests computed at a time on the thread pool. */
export const VERIFY_JOBS_MAX = 4;
/** Bytes of chunk buffers a node may hold, over all downloads and uploads. */
export const CHUNK_BUFFER_BYTES_MAX = 128 * MiB;
/** Have-messages are gathered this long before they are sent. */
export const HAVE_COALESCE_MS = 30;
/** Without --stall-timeout a download with no byte for this long ends with exit code 4 and its partial file kept. */
export const STALL_TIMEOUT_DEFAULT_MS = 60_000;

// ---- journal ---------------------------------------------------------------------------------------------------------------

/** Data is synced and a barrier written after this many bytes, or this long with dirty data. */
export const JOURNAL_SYNC_BYTES = 64 * MiB;
export const JOURNAL_SYNC_MS = 5_000;
/** Free space that a download leaves on the disk. Less: exit code 8 before the first byte. */
export const DISK_RESERVE_BYTES = 64 * MiB;

// ---- tracker ---------------------------------------------------------------------------------------------------------------

/** A registration is good for this long without renewal; then the peer is offline and its chunks no longer count. */
export const LEASE_MS = 30_000;
/** Peers renew after this, with jitter of a fifth either way. */
export const RENEW_MS = 10_000;
/** Sources in one answer to Locate. */
export const LOCATE_SOURCES_MAX = 25;
/** A manifest up to this size travels inside the answer to Locate; larger ones are fetched from peers. */
export const MANIFEST_INLINE_BYTES_MAX = 64 * KiB;
/** Body of one REST or RPC call. Larger: 413. */
export const CALL_BODY_BYTES_MAX = 4 * MiB;
/** A manifest larger than a call is published in parts no larger than this. */
export const MANIFEST_UPLOAD_PART_BYTES = 2 * MiB;
/** Files in one plain announce, and holdings in one Register or RegisterChunks. More: refused with a sentence. */
export const ANNOUNCE_FILES_MAX = 20_000;
export const HOLDINGS_PER_CALL_MAX = 20_000;
/** Entries published in one call; a peer that has more sends several calls. */
export const PUBLISH_ENTRIES_PER_CALL_MAX = 1_000;
/** Addresses a peer may announce. */
export const ADDRESSES_PER_PEER_MAX = 8;
/** Rows of one page of GET /files and ListFiles: default and most. */
export const PAGE_ROWS_DEFAULT = 1_000;
export const PAGE_ROWS_MAX = 10_000;
/** Registered peers, entries and (peer, content) pairs the tracker holds. More: refused with a sentence. */
export const TRACKER_PEERS_MAX = 200_000;
export const TRACKER_ENTRIES_MAX = 2_000_000;
export const TRACKER_HOLDINGS_MAX = 4_000_000;
/** An entry nobody has served for this long leaves the catalogue. */
export const ENTRY_RETENTION_MS = 30 * 24 * 3_600_000;
/** Subscribers of events; events kept for those who resume. */
export const EVENT_SUBSCRIBERS_MAX = 1_000;
export const EVENT_HISTORY_MAX = 10_000;

// ---- peer ------------------------------------------------------------------------------------------------------------------

/** A call to the tracker not answered after this counts as failed. */
export const TRACKER_CALL_TIMEOUT_MS = 10_000;
/** Waits between attempts to reach a tracker that is away: doubled from MIN to MAX, with jitter of half. */
export const TRACKER_RETRY_MIN_MS = 500;
export const TRACKER_RETRY_MAX_MS = 15_000;
/** Files one node shares. More: refused with a sentence. */
export const LIBRARY_FILES_MAX = 1_000_000;
/** Progress events: at most this often, and at least this often. */
export const PROGRESS_MIN_INTERVAL_MS = 100;
export const PROGRESS_MAX_INTERVAL_MS = 1_000;
/** Open file descriptors a node keeps for shared files. */
export const OPEN_FILES_MAX = 256;

export const UNITS = { KiB, MiB, GiB } as const;
