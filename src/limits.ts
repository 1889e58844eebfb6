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
/** The default rule aims at this many chunks: enough for a crowd to trade, few enough to keep maps small. */
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

/** Files that the listing of a folder names, and its bytes. More: the folder is not offered as a whole, only its files; from a peer: refused. */
export const FOLDER_FILES_MAX = 100_000;
export const FOLDER_LISTING_BYTES_MAX = 32 * MiB;
/** Files up to this size are part of their folder's content; larger ones are contents of their own beside it. */
export const FOLDER_INLINE_FILE_BYTES_MAX = 1 * MiB;

// ---- wire ------------------------------------------------------------------------------------------------------------------

/** Most payload bytes of one data frame, so that a control message never waits behind more than this. */
export const FRAGMENT_BYTES_MAX = 64 * KiB;
/** The same on a link that takes writes at once, to a peer that says it takes such: what a frame costs by itself is paid a quarter as often. */
export const LARGE_FRAGMENT_BYTES_MAX = 256 * KiB;
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
/** Least rate that a PACE may ask for, in bytes a second: less would only hold a send open. Less: protocol error. */
export const PACE_BYTES_PER_SECOND_MIN = 1_000;
/** Most peers added or dropped in one peer-exchange message. */
export const PEX_PEERS_MAX = 20;
/** A control body is gathered in a buffer at most this much larger than what has arrived of it. Smaller: more copies of large bodies. */
export const BODY_GATHER_STEP_BYTES = 16 * KiB;

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
/** Accepted connections that have not proved themselves, in all and from one address. More: the one that has had longest to do so is closed. */
export const UNPROVEN_CONNECTIONS_MAX = 64;
export const UNPROVEN_CONNECTIONS_PER_ADDRESS_MAX = 4;
/** The same, for connections that come from loopback: one machine may run a whole swarm. */
export const UNPROVEN_CONNECTIONS_LOOPBACK_MAX = 48;
/** Connections of one node, over all contents. More: closed at once. */
export const CONNECTIONS_MAX = 400;
/** Connections of one content: accepted up to MAX, dialled until TARGET in all, and at first until OUTBOUND_TARGET outbound. */
export const CONNECTIONS_PER_CONTENT_MAX = 40;
export const CONNECTIONS_PER_CONTENT_TARGET = 20;
export const CONNECTIONS_OUTBOUND_TARGET = 10;
/** Who has fewer than TARGET this long after it began to dial, because few have dialled it, dials until it has as many. */
export const CONNECTIONS_SETTLE_MS = 1_000;
/** Control frames a peer may send: a steady rate, a burst, and more for every fragment that passes. Excess closes the connection. */
export const CONTROL_FRAMES_PER_SECOND = 500;
export const CONTROL_FRAMES_BURST = 4_000;
export const CONTROL_FRAMES_PER_FRAGMENT = 4;
/** Bytes a socket may hold unsent before we stop producing data for it: on a link that takes writes at once, and on others. */
export const SOCKET_UNSENT_BYTES_MAX = 512 * KiB;
export const SOCKET_UNSENT_BYTES_SLOW_MAX = 128 * KiB;
/** Bytes read to their place directly after each of Node's reads of a socket; then other sockets and timers have their turn. */
export const DIRECT_READ_BYTES_MAX = 512 * KiB;
/** Fragments are handed to the kernel in batches of so many bytes: fewer, larger writes cost less CPU. */
export const WRITE_BATCH_BYTES_MAX = 260 * KiB;
/** Bytes of control messages that may wait for a peer that does not read; more: the connection is closed. */
export const CONTROL_QUEUE_BYTES_MAX = 4 * MiB;
/** Bytes of fragments that may wait in one connection. A producer that minds SOCKET_UNSENT_BYTES_MAX stays far below; more is a bug. */
export const FRAGMENT_QUEUE_BYTES_MAX = 2 * MiB;
/** A connection that is being closed has this long to flush and to see the other side's end; then it is destroyed. */
export const CLOSE_TIMEOUT_MS = 2_000;
/** How often a connection's deadlines are looked at: one timer for all; no deadline is later than this. */
export const CONNECTION_TICK_MS = 500;
/** Of two connections that one peer has dialled, the listener closes the older when the dialler has not closed one after this. */
export const DUPLICATE_GRACE_MS = 2_000;
/** With TARGET connections of a content, one that carried no chunk either way for USELESS_MS gives way to another, one every TURNOVER_MS. */
export const LINK_USELESS_MS = 60_000;
export const LINK_TURNOVER_MS = 30_000;
/** Who was sent away because there is no room, or because neither side has anything for the other, is dialled again after this. */
export const REDIAL_FULL_MS = 30_000;
export const REDIAL_USELESS_MS = 60_000;
/** A connection that carries fragments measures its round-trip time this often. */
export const RTT_SAMPLE_MS = 5_000;

// ---- peer exchange ---------------------------------------------------------------------------------------------------------

/** A link is told of other peers this long after its map or after the first news, and then this often at most. */
export const PEX_FIRST_MS = 1_000;
export const PEX_INTERVAL_MS = 30_000;
/** Messages of one link that come sooner after the last than this are not used. Less than the interval, because messages may be held up. */
export const PEX_RECEIVE_INTERVAL_MIN_MS = 15_000;
/** Where an accepted peer says that it listens is tried this long after it came, so many at a time; only then others are told of it. */
export const PEX_PROBE_AFTER_MS = 300;
export const PEX_PROBES_MAX = 4;
/** Candidates that only other peers told of: in all, by one source, and at one host. More: not kept. */
export const TOLD_CANDIDATES_MAX = 200;
export const TOLD_CANDIDATES_PER_SOURCE_MAX = 40;
export const TOLD_CANDIDATES_PER_HOST_MAX = 8;
/** Such a candidate is given up after so many failed dials; a source is no longer believed after so many of its candidates failed. */
export const TOLD_DIAL_FAILURES_MAX = 2;
export const TOLD_SOURCE_FAILURES_MAX = 10;
/** Dials to such candidates of one content, whoever told of them: a burst, then a steady rate. Bounds what liars can make us do. */
export const TOLD_DIALS_BURST = 32;
export const TOLD_DIALS_PER_SECOND = 1;

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
/** Bytes of whole chunks that wait for their digest or the disk, per download. More: no grant is taken until there are fewer. */
export const CHECKING_BYTES_MAX = 16 * MiB;
/** Sources that may be fetching the same chunk at a time (end-game only). */
export const SOURCES_PER_CHUNK_MAX = 2;
/** Chunks that may be on their way whatever the measured rate: in all, and from each source (one being sent, one queued behind it). */
export const IN_FLIGHT_CHUNKS_MIN = 4;
export const IN_FLIGHT_CHUNKS_PER_SOURCE_MIN = 2;
/** Assumed of our own links until they have shown what they can do; too much costs a moment of queue, too little costs declines. */
export const DOWN_FIRST_RATE_BYTES_PER_SECOND = 50_000_000;
export const UP_FIRST_RATE_BYTES_PER_SECOND = 12_500_000;
/** Assumed of a path until its first ping is back, in milliseconds. */
export const FIRST_RTT_MS = 20;
/** A path is taken to be as long as its fastest ping; with every slower one that may rise by this factor, as paths change. */
export const RTT_FLOOR_RISE = 1.05;
/** What TCP sends before it has heard anything: ten segments (RFC 6928). More slots while a chunk needs round trips to get going. */
export const TCP_INITIAL_WINDOW_BYTES = 14_600;
/** Chunks a complete peer suggests with each grant. */
export const SUGGESTIONS_PER_GRANT = 2;
/** Sends beside those the formula asks for: they fill the uplink while an older one waits for TCP, and wait while it does not. */
export const SPARE_SENDS = 2;
/** The uplink is looked at this often: idle for more than this share while somebody waits, it gets a slot more, up to so many. */
export const UP_FEEDBACK_MS = 1_000;
export const UP_FEEDBACK_IDLE_SHARE = 0.05;
export const UP_FEEDBACK_SLOTS_MAX = 8;
/** Slots are added like that only while so large a share of the credits is taken; below it they are taken away, one each time. */
export const UP_FEEDBACK_TAKEN_SHARE_MIN = 0.6;
/**
 * Who lacks much may be served before its turn: by WEIGHT times what it lacks of ours, shared by as many uploaders as we have neighbours, but never
 * by more than LEAD_CHUNKS. More: newcomers would take all that those need who pass chunks on.
 */
export const NEED_WEIGHT = 2;
export const NEED_LEAD_CHUNKS_MAX = 4;
/** An uplink has chunks for this long at hand, whatever else says that fewer would do: a disk is read, or a machine busy, meanwhile. */
export const UP_SLACK_MS = 50;
/** Nothing leaving for so many times a fragment's usual time, for so many round trips, and for MIN: one more send is let go. */
export const UP_STALL_FRAGMENTS = 2;
export const UP_STALL_ROUND_TRIPS = 1.25;
export const UP_STALL_MIN_MS = 10;
/** A rate limit saves up this much of its rate, and is taken from in pieces of this much of it, but of no fewer bytes than PIECE_BYTES_MIN. */
export const RATE_BURST_MS = 50;
export const RATE_PIECE_MS = 20;
export const RATE_PIECE_BYTES_MIN = 2 * KiB;
/** What a limit could not let through because this process was held up is owed, up to so much of the rate, and paid back at this share of it. */
export const RATE_ARREARS_MAX_MS = 2_000;
export const RATE_ARREARS_SHARE = 0.2;
/** A download limit is divided among the sources this often, and whenever one begins or ends. */
export const PACE_REVIEW_MS = 250;
/** A source that is paced is asked for its next chunk when what is still to come lasts no longer than this and two round trips. */
export const PACE_LEAD_MS = 200;
/** So few sources share a limit that a chunk of each takes no longer than this, unless they cannot fill it. */
export const PACE_CHUNK_TIME_MAX_MS = 1_000;
/** What a source gives is held against what it is asked for after this; one that exceeds it for the second is trusted no more. */
export const PACE_JUDGE_MS = 1_250;
export const PACE_DISTRUST_MS = 5_000;
/** What came beyond the limit, up to so much of it, is taken off the rates, but no more than this share of them at a time. */
export const PACE_DEBT_MAX_MS = 2_000;
export const PACE_DEBT_SHARE = 0.2;
/** The same for what came too little: put on top of the rates. It is soon forgotten, because it may be that nobody could give more. */
export const PACE_CREDIT_MAX_MS = 250;
export const PACE_CREDIT_SHARE = 0.25;
/** Bytes of chunks that an uploader reads ahead for receivers that want to be sent them slowly, beside those it sends at full speed. */
export const PACED_SENDS_BYTES_MAX = 32 * MiB;
/** A receiver is slow in this sense when it asks for less than this share of what our uplink gives. */
export const PACED_SHARE_MAX = 0.9;
/** What a transfer waited for counts half as much for its bottleneck after this. */
export const BOTTLENECK_HALF_LIFE_MS = 1_000;
/** Chunks next in order that a download with --sequential or to standard output fetches ahead of their turn. */
export const URGENT_CHUNKS_MAX = 8;
/** A seeder's suggestion goes before what a reader needs next, unless the reader has waited this long for a chunk that only seeders have. */
export const URGENT_PATIENCE_MS = 1_000;
/** A source slower than this share of the best that has such a chunk is not asked for it. */
export const URGENT_SOURCE_SHARE_MIN = 0.5;
/** In single-source mode the choice waits this long for round-trip times of all. */
export const SINGLE_CHOICE_MS = 1_000;
/** Rarest-first looks at so many chunks one by one; after that it scans the maps. */
export const PICKER_WALK_CHUNKS_MAX = 64;
/** Chunk digests computed at a time on the thread pool when a found partial file is checked. */
export const VERIFY_JOBS_MAX = 4;
/** Threads that digest and write received chunks, whatever the number of cores. */
export const CHUNK_WORKERS_MAX = 4;
/** Contents up to this size are digested and written without them. */
export const CHUNK_WORKERS_BYTES_MIN = 4 * MiB;
/** Chunks up to this size may be digested and written on the main thread. */
export const INLINE_CHUNK_BYTES_MAX = 256 * KiB;
/** Above this rate of received bytes, taken over the window, or when a write took longer than this, threads are started for it. */
export const INLINE_BYTES_PER_SECOND_MAX = 40 * MiB;
export const INLINE_WINDOW_MS = 250;
export const INLINE_WRITE_MS_MAX = 50;
/** What the kernel has in memory is read at once up to this size; larger reads go to the thread pool, beside what this thread does. */
export const CACHED_READ_BYTES_MAX = 256 * KiB;
/** A chunk is written to disk in pieces of this size. */
export const WRITE_PIECE_BYTES = 32 * KiB;
/** Bytes of chunk buffers a node may hold, over all downloads and uploads. */
export const CHUNK_BUFFER_BYTES_MAX = 128 * MiB;
/** Have-messages are gathered this long before they are sent. */
export const HAVE_COALESCE_MS = 30;
/** Without --stall-timeout a download with no byte for this long ends with exit code 4 and its partial file kept. */
export const STALL_TIMEOUT_DEFAULT_MS = 30_000;

// ---- failures --------------------------------------------------------------------------------------------------------------

/** The first byte of a request must come within the grant's estimate, 4 round trips and 2 s, but never sooner or later than this. Else the source is snubbed and the chunk asked elsewhere. */
export const REQUEST_FIRST_BYTE_MIN_MS = 2_000;
export const REQUEST_FIRST_BYTE_MAX_MS = 15_000;
/** A source snubbed of late is given so many times longer for each snub, up to PATIENCE_MAX: it may be slow and the only one. */
export const REQUEST_PATIENCE_FACTOR = 4;
export const REQUEST_PATIENCE_MAX_MS = 60_000;
/** A source that alone has a chunk is waited for unless no byte of any has come from it for this long. */
export const SOLE_SOURCE_PATIENCE_MS = 300_000;
/** Between fragments of a chunk: 4 fragment times and 2 s, within these bounds. Longer counts as a stall, with the same effect. */
export const REQUEST_STALL_MIN_MS = 2_000;
export const REQUEST_STALL_MAX_MS = 10_000;
/** Open requests are looked at this often, and so are chunks for the end-game once nothing is left to request. */
export const OVERDUE_CHECK_MS = 250;
export const ENDGAME_CHECK_MS = 100;
/** Snubs of one source within SNUB_MEMORY_MS after which its connection is closed. */
export const SNUBS_MAX = 3;
export const SNUB_MEMORY_MS = 600_000;
/** A snubbed source is tried with any single chunk again after this, one that has never given a byte after the second; before, only with what nobody else has. */
export const SNUB_RETRY_MS = 5_000;
export const SNUB_RETRY_UNPROVEN_MS = 30_000;
/** A second source has to be sooner by this many milliseconds and by this share of what remains. */
export const ENDGAME_GAIN_MIN_MS = 100;
export const ENDGAME_GAIN_MIN_SHARE = 0.25;
/** Extra bytes the end-game may cost: this many chunks or this share of the content, whichever is more. Beyond: no second sources. */
export const ENDGAME_WASTE_CHUNKS_MAX = 4;
export const ENDGAME_WASTE_SHARE_MAX = 0.01;
/** In the end-game a source that has given nothing yet is expected to take so much longer: it may never give anything. */
export const UNPROVEN_SOURCE_DOUBT_MS = 2_000;
/** Assumed of a source while no source has shown a rate. */
export const SOURCE_RATE_UNKNOWN_BYTES_PER_SECOND = 1_000_000;
/** A send on which the neighbour takes no byte for this long: its connection is closed. */
export const SEND_STALL_MS = 30_000;
/** A grant not answered after this, nor after so many round trips, is still good, but no longer counts as work for the uplink. */
export const GRANT_ANSWER_MS = 500;
export const GRANT_ANSWER_ROUND_TRIPS = 3;
/** A grant not answered after this and two round trips counts as declined; answers to so many lapsed grants of a link are forgiven. */
export const GRANT_LIFE_MS = 2_000;
export const LAPSED_GRANTS_KEPT_MAX = 256;
/** Of the chunks that went to a peer which then says that they are wrong, so many are read again and compared: those sent last. */
export const ACCUSED_CHUNKS_MAX = 8;
/** A failed write is tried again after this. */
export const DISK_RETRY_MS = 1_000;
/** The map of chunks must follow the handshake within this, or the connection is closed. */
export const MAP_TIMEOUT_MS = 10_000;
/** A failed dial is repeated after MIN, doubled up to MAX, with jitter of half; after so many failures in a row the candidate is dropped until it is listed again. */
export const DIAL_BACKOFF_MIN_MS = 1_000;
export const DIAL_BACKOFF_MAX_MS = 60_000;
export const DIAL_FAILURES_MAX = 8;
/** A link that ended is not dialled again before this. */
export const REDIAL_MS = 2_000;
/** Dials of one content under way at a time. */
export const DIALS_MAX = 8;
/** Candidates kept for one content. More: new ones are ignored. */
export const CANDIDATES_MAX = 500;
/** Candidates that are ready but not allowed are looked at again after this. */
export const DIAL_RETRY_MS = 250;
/** With too few links the tracker is asked for peers, no more often than this; and in any case while a download runs, this often. */
export const NEED_PEERS_INTERVAL_MS = 2_000;
export const RELOCATE_MS = 20_000;
/** Of so many of those questions one asks for everything; the others for what is new. A peer that became reachable later is found by it. */
export const RELOCATE_WHOLE_EVERY = 4;
/** Bans: a wrong chunk, a second one within BAN_INTEGRITY_MEMORY_MS, a broken protocol, a third time within BAN_PROTOCOL_MEMORY_MS; chunks not given, which may be a path's fault, and that again. All expire. */
export const BAN_INTEGRITY_MS = 60_000;
export const BAN_INTEGRITY_AGAIN_MS = 24 * 3_600_000;
export const BAN_INTEGRITY_MEMORY_MS = 3_600_000;
export const BAN_UNDELIVERED_MS = 60_000;
export const BAN_UNDELIVERED_AGAIN_MS = 10 * 60_000;
export const BAN_PROTOCOL_MS = 10 * 60_000;
export const BAN_PROTOCOL_AGAIN_MS = 24 * 3_600_000;
export const BAN_PROTOCOL_MEMORY_MS = 24 * 3_600_000;
/**
 * Chunks a source claims and then refuses on one connection: so many that it does not call lost itself right after, or so many in all.
 * More: banned.
 */
export const DENIALS_UNADMITTED_MAX = 8;
export const DENIALS_MAX = 64;
/**
 * A source that has never given a byte and is still heard of so long after a cancel that it did not answer, while others give: banned too, unless the
 * answer comes within the second of these, as from one that was held up.
 */
export const CANCEL_ANSWER_MS = 30_000;
export const HEARD_SETTLED_MS = 1_000;
/** Offenders remembered. More: the one whose ban ends first is forgotten. */
export const OFFENDERS_MAX = 10_000;

// ---- journal ---------------------------------------------------------------------------------------------------------------

/** The journal's records of finished chunks are written together, this long after the first. */
export const JOURNAL_COALESCE_MS = 20;
/** Data is synced and a barrier written after this many bytes, or this long with dirty data. */
export const JOURNAL_SYNC_BYTES = 64 * MiB;
export const JOURNAL_SYNC_MS = 5_000;
/** Free space that a download leaves on the disk. Less: exit code 8 before the first byte. */
export const DISK_RESERVE_BYTES = 64 * MiB;

/** A journal is rewritten when it holds more records than two a chunk and this many. */
export const JOURNAL_SLACK_RECORDS = 1_024;
/** Trusted chunks checked when a partial file is opened again: one in a hundred, at most this many, besides the first and the last. */
export const RESUME_SAMPLE_CHUNKS_MAX = 16;
/** Chunk buffers held while a partial file is re-hashed, in bytes; always at least one chunk. */
export const RESUME_BUFFER_BYTES_MAX = 16 * MiB;
/** Verified chunks kept in memory for the digest of the whole because their turn has not come. More: read from the file again. */
export const WHOLE_AHEAD_BYTES_MAX = 16 * MiB;

// ---- tracker ---------------------------------------------------------------------------------------------------------------

/** A registration is good for this long without renewal; then the peer is offline and its chunks no longer count. */
export const LEASE_MS = 30_000;
/** Peers renew after this, with jitter of a fifth either way. */
export const RENEW_MS = 10_000;
/** The lease of a peer of the plain calls, which as a rule announces once and sends no heartbeats; a heartbeat renews it for as long. */
export const PLAIN_LEASE_MS = 600_000;
/**
 * Leases that one call ends, and that one turn of the sweep ends, when very many run out at once; the next turn goes on. Costs a call
 * less than a millisecond and a turn some 10. A peer whose lease has run out is named to nobody meanwhile.
 */
export const EXPIRIES_PER_CALL_MAX = 32;
export const EXPIRIES_PER_TURN_MAX = 1_000;
/** Contents that one turn of the sweep forgets; the next turn goes on. */
export const FORGOTTEN_PER_TURN_MAX = 1_000;
/** Sources in one answer to Locate. */
export const LOCATE_SOURCES_MAX = 25;
/** Bytes of a tracker's mark that a peer keeps. A longer one is cut, and then good for nothing. */
export const LOCATE_REVISION_BYTES_MAX = 64;
/** Characters of a call's id that is taken over from who calls. A longer one is replaced. */
export const CALL_ID_CHARS_MAX = 64;
/** Members looked through for those that are new to who asks (a larger swarm is answered for as if it were asked the first time), or for one that can be reached. */
export const LOCATE_LOOKED_AT_MAX = 10_000;
/** A manifest up to this size travels inside the answer to Locate; larger ones are fetched from peers. */
export const MANIFEST_INLINE_BYTES_MAX = 64 * KiB;
/** Body of one REST or RPC call. Larger: 413. */
export const CALL_BODY_BYTES_MAX = 4 * MiB;
/** A manifest larger than a call is published in parts no larger than this. */
export const MANIFEST_UPLOAD_PART_BYTES = 2 * MiB;
/** Files in one plain announce, and holdings in one Register or RegisterChunks. More: refused with a sentence. */
export const ANNOUNCE_FILES_MAX = 20_000;
export const HOLDINGS_PER_CALL_MAX = 20_000;
/** Other peers that an announce asks for (`?peers=`): of each file, and for how many of its files. More: those. */
export const ANNOUNCE_OTHERS_MAX = 50;
export const ANNOUNCE_OTHERS_FILES_MAX = 20;
/** A call with a larger body, a longer head or more headers does not take the short way through the tracker. */
export const HOT_BODY_BYTES_MAX = 64 * KiB;
export const HOT_HEAD_BYTES_MAX = 4 * KiB;
export const HOT_HEADERS_MAX = 32;
/**
 * A peer that so many others report, each at another address, within so long, is named to nobody until enough of the reports are older
 * than that. Fewer: a few liars could have honest peers banned; more: small swarms could not.
 */
export const REPORTERS_MIN = 3;
export const REPORT_MEMORY_MS = 3_600_000;
/** Reports in one call (more: refused); peers that one reporter accuses at a time, and reporters kept of one address. More: the oldest goes. */
export const REPORTS_PER_CALL_MAX = 16;
export const REPORTS_PER_REPORTER_MAX = 8;
export const REPORTERS_KEPT_MAX = 16;
/** Reported addresses a tracker remembers. More: the one reported longest ago is forgotten. */
export const REPORTED_ADDRESSES_MAX = 4_096;
/** Entries published in one call; a peer that has more sends several calls. */
export const PUBLISH_ENTRIES_PER_CALL_MAX = 1_000;
/** Addresses a peer may announce. */
export const ADDRESSES_PER_PEER_MAX = 8;
/** Rows of one page of GET /files, /torrents, /peers, ListFiles and ListPeers: default and most. More may be asked for and is not given. */
export const PAGE_ROWS_DEFAULT = 1_000;
export const PAGE_ROWS_MAX = 10_000;
/** Registered peers, entries and (peer, content) pairs the tracker holds. More: refused with a sentence. */
export const TRACKER_PEERS_MAX = 200_000;
export const TRACKER_ENTRIES_MAX = 2_000_000;
export const TRACKER_HOLDINGS_MAX = 4_000_000;
/** An entry nobody has served for this long leaves the catalogue. */
export const ENTRY_RETENTION_MS = 30 * 24 * 3_600_000;
/** Copies of an entry that volunteers may be asked to keep. More: the entry is refused with a sentence. */
export const REPLICAS_MAX = 16;
/**
 * A volunteer that is away for so long is gone for good: what it had is copied anew. Copies beyond the goal go when nobody has come or
 * gone for as long. Shorter: a restart costs a copy of everything; longer: chunks are at risk for longer. `shoal tracker --replica-gone`.
 */
export const REPLICA_GONE_MS = 600_000;
/** Space that one volunteer may offer. More counts as this. */
export const REPLICA_OFFER_BYTES_MAX = 2 ** 50;
/** Chunks that one renewal orders a volunteer to fetch, and to drop, and contents they are of; the next one goes on. */
export const REPLICA_ORDER_CHUNKS_MAX = 1_024;
export const REPLICA_ORDER_CONTENTS_MAX = 64;
/** Volunteers among whom the copies of one content are spread; with more, those that the draw gives to it. */
export const REPLICA_CANDIDATES_MAX = 32;
/** Chunks, times volunteers that have some of them, that one turn of the sweep plans; the next turn goes on. */
export const REPLICA_PLAN_STEPS_PER_TURN = 1_000_000;
/** A volunteer that is ordered chunks which others have, and gains none for so long, is ordered nothing for the second. */
export const REPLICA_PATIENCE_MS = 600_000;
export const REPLICA_PAUSE_MS = 3_600_000;
/** Volunteers that are away and remembered. More: the one away longest is gone for good. */
export const REPLICA_AWAY_MAX = 10_000;
/** Subscribers of events; events kept for those who resume. */
export const EVENT_SUBSCRIBERS_MAX = 1_000;
export const EVENT_HISTORY_MAX = 10_000;
/** Digits or other text an announcer may give as `sha256` in the plain call, in characters. Longer: refused. */
export const PLAIN_SHA256_CHARS_MAX = 128;
/** What a peer may say of itself (`shoal/0.1.0`), in characters. Longer: cut. */
export const AGENT_CHARS_MAX = 128;
/** Peers that are offline and still listed. More: the one gone longest is forgotten. */
export const OFFLINE_PEERS_KEPT_MAX = 10_000;
/** Entries one name may have. More: the oldest without a source goes, else the oldest. */
export const ENTRY_VERSIONS_MAX = 64;
/** Names, or peers, one page of a listing may look at; a page that ends here names where to go on. Keeps a call under some 10 ms. */
export const LIST_SCAN_NAMES_MAX = 100_000;
/** Swarms one renewal reports on; the next renewal goes on with the others. */
export const RENEW_NEWS_MAX = 256;
/** Manifests the tracker keeps at hand, in bytes; others are read from the store. */
export const MANIFEST_CACHE_BYTES_MAX = 64 * MiB;
/** Manifests that are being uploaded in parts, in bytes over all; more: refused, to be tried again. */
export const MANIFEST_STAGED_BYTES_MAX = 128 * MiB;
/** An upload in parts, or an uploaded manifest nobody published, is dropped after this long without a call. */
export const MANIFEST_STAGED_MS = 60_000;
/** Changes that may wait for a store that cannot write. More: publishing is refused until it can again. */
export const WRITE_QUEUE_CHANGES_MAX = 200_000;
/** Leases, retention and failed writes are looked at this often when no call comes. */
export const TRACKER_SWEEP_MS = 1_000;
/** Trackers that share a store tell each other this often what has changed, and wait this long for an answer of the store. */
export const TRACKER_EXCHANGE_MS = 200;
export const STORE_CALL_TIMEOUT_MS = 2_000;
/** Replicas of a shared store have this long to confirm a write; below STORE_CALL_TIMEOUT_MS. Later: it is written and waited for again. */
export const STORE_REPLICA_WAIT_MS = 1_000;
/** Replicas that `shoal tracker --store-replicas` may ask for. */
export const STORE_REPLICAS_MAX = 16;
/** A call that has to be stored waits this long for a shared store that is away; it has to end before TRACKER_CALL_TIMEOUT_MS. */
export const STORE_PATIENCE_MS = 6_000;
/** Shards of a shared store, and log entries each keeps for trackers that lag. A tracker that lags more asks for everything. */
export const STORE_SHARDS = 16;
export const STORE_LOG_ENTRIES_MAX = 20_000;
/** Changes of one log entry, and entries read of one shard at a time. */
export const STORE_LOG_CHANGES_MAX = 500;
export const STORE_LOG_READ_ENTRIES = 1_000;
/** A stream of events sends a sign of life after this much silence; a reader that takes nothing for the second is cut off. */
export const EVENT_KEEPALIVE_MS = 15_000;
export const EVENT_STALL_TIMEOUT_MS = 30_000;
/** Rows of one page of GET /file/{name}/chunks, and sources named for each chunk (the count is always whole). */
export const CHUNK_ROWS_MAX = 4_096;
export const CHUNK_SOURCES_NAMED_MAX = 8;
/** Names listed for each peer in GET /peers (the counts are always whole). */
export const PEER_FILES_NAMED_MAX = 100;
/** Calls still running when a tracker closes have this long to end; then their connections are cut. */
export const TRACKER_CLOSE_TIMEOUT_MS = 3_000;
/** Connections a tracker has open, and connections the system may hold for it before they are accepted. More: closed, refused. */
export const TRACKER_SOCKETS_MAX = 50_000;
export const TRACKER_BACKLOG = 4_096;
/** The first bytes of a connection, or its TLS handshake, must come within this; a whole request within the second. */
export const TRACKER_FIRST_BYTES_MS = 10_000;
export const TRACKER_REQUEST_TIMEOUT_MS = 60_000;
/** A connection to a tracker on which no call runs is closed after this. */
export const TRACKER_KEEP_ALIVE_MS = 75_000;
/** Calls one HTTP/2 connection runs side by side. More: the client has to wait. */
export const TRACKER_STREAMS_PER_CONNECTION_MAX = 256;

/** Characters of the token of a private swarm: each of its parts at least, all of it at most. Else it is refused with a sentence. */
export const TOKEN_PART_CHARS_MIN = 8;
export const TOKEN_CHARS_MAX = 256;

/** Announced addresses a tracker dials at a time before it names them, and that may wait for it; more: tried again with a renewal. */
export const DIAL_BACKS_MAX = 64;
export const DIAL_BACK_QUEUE_MAX = 10_000;
/** An address where the peer has not shown itself after this does not answer. */
export const DIAL_BACK_TIMEOUT_MS = 3_000;
/** A registration is answered when an address is known to answer, or none, but not later than this. Less than TRACKER_FAILOVER_MS. */
export const DIAL_BACK_WAIT_MS = 1_500;
/** With its next renewal after this, an address that did not answer is dialled again; and a name that did, which may mean another one now. */
export const DIAL_BACK_RETRY_MS = 60_000;
/** At another address than the caller's own the wait is doubled with each silent dial, up to this. */
export const DIAL_BACK_RETRY_MAX_MS = 3_600_000;
export const DIAL_BACK_NAME_MS = 300_000;
/** Dials to addresses other than the caller's own, for one caller and to one target: a burst, then a steady rate; callers and targets remembered. */
export const DIAL_BACK_FOREIGN_BURST = 64;
export const DIAL_BACK_FOREIGN_PER_SECOND = 4;
export const DIAL_BACK_KEYS_MAX = 10_000;

/** A certificate that runs out sooner than this is warned of by every command that uses it. */
export const CERTIFICATE_WARNING_MS = 30 * 24 * 3_600_000;
/** How long `shoal cert` makes certificates for when it is not told: of an authority, and of a node. */
export const AUTHORITY_DAYS = 3_650;
export const CERTIFICATE_DAYS = 365;
/** Host names and addresses in one certificate, and bytes of a file with certificates or a key. More: refused with a sentence. */
export const CERTIFICATE_HOSTS_MAX = 100;
export const PEM_FILE_BYTES_MAX = 1 * MiB;

// ---- peer ------------------------------------------------------------------------------------------------------------------

/** A shared content nobody is connected for is forgotten, until somebody asks again, after this. */
export const SESSION_IDLE_MS = 60_000;
/** Contents of which a volunteer fetches chunks, or looks for the manifest, side by side; the others wait. */
export const REPLICA_FETCHES_MAX = 4;
/** What a volunteer keeps and the tracker does not know is told to it again after this. */
export const REPLICA_ORPHAN_RETRY_MS = 60_000;
/** Large files of a folder that are fetched side by side. */
export const FOLDER_PARALLEL_GETS = 4;
/** Threads that read and write the small files of folders, whatever the number of cores, and files and bytes of one order to them. */
export const FOLDER_WORKERS_MAX = 2;
export const FOLDER_ORDER_FILES_MAX = 256;
export const FOLDER_ORDER_BYTES_MAX = 4 * MiB;
/** Lists of files of folders that such a thread keeps for reading; a folder whose list is gone is told again. */
export const FOLDER_TABLES_MAX = 8;
/** Buffers of one chunk that are kept between reads. */
export const FOLDER_SPARE_BUFFERS_MAX = 8;
/** Leaving the tracker may take this long when a node closes; then its lease runs out by itself. */
export const LEAVE_TIMEOUT_MS = 1_000;
/** A call to the tracker not answered after this counts as failed. */
export const TRACKER_CALL_TIMEOUT_MS = 10_000;
/** The same, while another tracker of the list is left to be asked. */
export const TRACKER_FAILOVER_MS = 2_500;
/** Whoever reads a node's figures: connections at a time, and the time a request may take to come. */
export const METRICS_CONNECTIONS_MAX = 16;
export const METRICS_REQUEST_MS = 10_000;
/** A node whose tracker has closed the connection between two calls calls again within this, at a random moment; once in a renewal's time. */
export const TRACKER_LOST_WAIT_MS = 1_000;
/** Bytes of one answer of a tracker. Larger: the call fails, nothing is kept. */
export const TRACKER_ANSWER_BYTES_MAX = 64 * MiB;
/** Manifest and chunk-map bytes a node puts into one call; the rest goes into more calls. Leaves room below CALL_BODY_BYTES_MAX. */
export const TRACKER_CALL_FILL_BYTES = 3 * MiB;
/** Connections a node keeps open to a tracker. */
export const TRACKER_CONNECTIONS_MAX = 4;
/** Waits between attempts to reach a tracker that is away: doubled from MIN to MAX, with jitter of half. */
export const TRACKER_RETRY_MIN_MS = 500;
export const TRACKER_RETRY_MAX_MS = 10_000;
/** Files one node shares. More: refused with a sentence. */
export const LIBRARY_FILES_MAX = 1_000_000;
/** Progress events: at most this often, and at least this often. */
export const PROGRESS_MIN_INTERVAL_MS = 100;
export const PROGRESS_MAX_INTERVAL_MS = 1_000;
/** Open file descriptors a node keeps for shared files. */
export const OPEN_FILES_MAX = 256;
/** An open shared file is checked again (size and time) when it was last checked this long ago. */
export const OPEN_FILE_RECHECK_MS = 1_000;
/** A file that changed is hashed when it has been quiet for this long. */
export const FILE_QUIET_MS = 1_000;
/** A file modified within this before it was hashed is hashed again at the next start: its time stamp may hide a later change. */
export const STAMP_RACY_MS = 20;
/** Threads that hash shared files (never more than there are cores), and how long an idle one is kept. */
export const HASH_WORKERS_MAX = 4;
export const HASH_WORKER_IDLE_MS = 5_000;
/** Files and bytes of one order to a hashing thread, so that small files do not cost a message each. A larger file goes alone. */
export const HASH_BATCH_FILES_MAX = 256;
export const HASH_BATCH_BYTES_MAX = 4 * MiB;
/** Up to this many bytes and files in all are hashed without starting a thread. */
export const HASH_INLINE_BYTES_MAX = 1 * MiB;
export const HASH_INLINE_FILES_MAX = 16;
/** Bytes of one read while hashing, unless a chunk is larger; and the largest chunk that is held whole for it. */
export const HASH_READ_BYTES = 1 * MiB;
export const HASH_BUFFER_BYTES_MAX = 4 * MiB;
/** Files of one folder that are looked at, and hashed if they are small, as one order; and files of orders under way before a scan pauses. */
export const SCAN_GROUP_FILES = 256;
export const SCAN_AHEAD_FILES_MAX = 4_096;
/** Files found by a scan that goes on are told to the tracker after this long, together. */
export const ANNOUNCE_GATHER_MS = 1_000;
/** From the moment the tracker knows all that is shared until a node begins to watch it for changes. */
export const WATCH_AFTER_MS = 100;
/**
 * A download to standard output keeps at most so much on the disk, in a file without a name, whatever the size of the content; never
 * fewer than so many chunks.
 */
export const STREAM_WINDOW_BYTES = 256 * MiB;
export const STREAM_WINDOW_CHUNKS_MIN = 16;
/**
 * Changes of the library's index are written when none has come for this long, or the first has waited for so long, so many rows at a
 * time. A crash loses those that wait: their files are hashed again.
 */
export const INDEX_QUIET_MS = 1_000;
export const INDEX_WAIT_MS_MAX = 5_000;
export const INDEX_BATCH_ROWS = 512;
/** Data directories tried for one set of shared paths (`-2`, `-3`, ...). All in use: conflict. */
export const DATA_DIRECTORIES_MAX = 64;
/** Bytes of one request line on a node's control socket. Longer: refused with a sentence, connection closed. */
export const CONTROL_LINE_BYTES_MAX = 64 * KiB;
/** Bytes of one answer line of a node, for whoever asks it. Longer: the call fails. Room for CONTROL_TRANSFERS_MAX long names. */
export const CONTROL_ANSWER_BYTES_MAX = 16 * MiB;
/** Ranges of chunks with a reason in one answer. More: the rest is left out, and said so. */
export const CONTROL_CHUNK_RANGES_MAX = 4_096;
/** Connections of one control socket, and requests at work on one of them. More: refused. */
export const CONTROL_CONNECTIONS_MAX = 16;
export const CONTROL_REQUESTS_MAX = 16;
/** A control connection without a request at work is closed after this much silence. */
export const CONTROL_IDLE_MS = 30_000;
/** Answers that may wait for a reader that takes none. From the first on progress is left out; more: the connection is closed. */
export const CONTROL_UNSENT_BYTES_MAX = 32 * MiB;
/** Transfers one status names, those that move first; what a node shares and moves is always counted whole. */
export const CONTROL_TRANSFERS_MAX = 1_000;
/** A node that has not answered for its status after this is passed over, and said so. */
export const CONTROL_ANSWER_TIMEOUT_MS = 2_000;
/** A node that was asked to give up a download has this long to write down what it has; then its caller ends without it. */
export const CONTROL_CANCEL_TIMEOUT_MS = 5_000;
/** Nodes of one user that are asked for their status. More: passed over, and said so. */
export const CONTROL_NODES_MAX = 256;
/** Longest path of a Unix socket, in bytes: macOS takes 103, Linux 107. Longer: the socket lies in the folder of temporary files. */
export const CONTROL_PATH_BYTES_MAX = 103;

// ---- the command line ------------------------------------------------------------------------------------------------------

/** A second Ctrl+C sooner than this after the first is taken for the same key press: terminals and npm pass signals on twice. */
export const SECOND_INTERRUPT_MIN_MS = 300;
/** A command that was asked to end and has not after this ends at once, with exit code 1 and a sentence. */
export const SHUTDOWN_TIMEOUT_MS = 15_000;
/** Rows `shoal ls` and `shoal peers` print without --limit. More: cut, and said so on standard error. */
export const LISTING_ROWS_DEFAULT = 10_000;
/** Files `shoal share` names one by one for people; more are counted. */
export const SHARED_LINES_MAX = 20;
/** Lines the shell remembers from one run to the next. More: the oldest are forgotten. */
export const SHELL_HISTORY_LINES_MAX = 1_000;
/** Names or paths the shell offers for one press of Tab. More: the rest is not shown. */
export const SHELL_COMPLETIONS_MAX = 100;
/** A tracker that has not answered for names to complete after this is not waited for. */
export const SHELL_COMPLETION_TIMEOUT_MS = 1_500;

export const UNITS = { KiB, MiB, GiB } as const;

/** A tracker's file up to this is checked as a whole before it is used. Of a larger one all but the manifests, which are checked when read. */
export const SQLITE_WHOLE_CHECK_BYTES_MAX = 64 * MiB;
/** A backup of a tracker's store waits this long for a moment in which the tracker holds no lock. */
export const SQLITE_BACKUP_WAIT_MS = 10_000;

// ---- trackers of the local network -----------------------------------------------------------------------------------------

/** Networks of this machine on which a tracker is announced or looked for. Those beyond are left out. */
export const LAN_INTERFACES_MAX = 16;
/** Between two looks at which networks there are, while a tracker is announced. */
export const LAN_INTERFACES_CHECK_MS = 30_000;
/** A network on which no tracker has answered after this is taken to have none. */
export const LAN_SEARCH_MS = 1_000;
/** The question is put again after this while nobody has answered: a datagram may be lost. */
export const LAN_SEARCH_AGAIN_MS = 300;
/** After the first tracker's answer others may still come for this long. */
export const LAN_SEARCH_MORE_MS = 150;
/** Between two searches of one process whose tracker does not answer, so that its retries do not fill the network. */
export const LAN_SEARCH_REST_MS = 3_000;
/** Trackers taken note of in one search. Later ones are passed over. */
export const LAN_TRACKERS_MAX = 16;
/** The default tracker on this machine has to take a connection within this to count as being there. */
export const LOCAL_TRACKER_PROBE_MS = 250;
