/**
 * Names and what they point at, with their history: the newest entry of a name is its default, older ones are reached as
 * `name@<first hex digits>`. Entries of one name with the same bytes, cut into chunks of other sizes, are the same file to whoever asks
 * by name: the newest of them that somebody has stands for all. Decides nothing about peers; a content whose last source goes is only told so (`setIdle`), and leaves
 * the catalogue when it stays without one for the retention time. Every change is recorded for the store.
 */
import type { ContentId } from '../content/digest.ts';
import { isSha256Hex } from '../content/digest.ts';
import { isFolderName, quote, type EntryName } from '../content/entry-name.ts';
import type { Manifest } from '../content/manifest.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { DueQueue } from './due-queue.ts';
import type { ContentRecord, EntryRecord } from './records.ts';
import { SortedNames } from './sorted-names.ts';
import type { StoreChange, StoredContent, StoredEntry } from './store/store.ts';

export interface ListOptions {
  /** Part of the name, any case. */
  readonly query: string;
  readonly limit: number;
  /** The name after which to go on; '' from the first. */
  readonly after: string;
  /** Also entries that no online peer has. */
  readonly includeOffline: boolean;
  /** Also those of whole folders, whose names end with a slash. */
  readonly includeFolders: boolean;
}

export interface ListPage {
  readonly entries: readonly EntryRecord[];
  /** Give this as `after` for the next page; '' on the last. */
  readonly nextAfter: string;
}

const VERSION_SUFFIX = /^(.+)@([0-9a-f]{1,64})$/isu;

export class Catalogue {
  readonly #record: (change: StoreChange) => void;
  /** Entries of each name, oldest first; never an empty list. */
  readonly #names = new Map<string, EntryRecord[]>();
  readonly #contents = new Map<string, ContentRecord>();
  readonly #ordered = new SortedNames();
  readonly #idle = new DueQueue<ContentRecord>();
  readonly #retentionMs: number;
  readonly #onEntry: ((entry: EntryRecord) => void) | undefined;
  #entryCount = 0;

  /** @param onEntry an entry has come, is gone, or asks for another number of replicas. */
  constructor(
    record: (change: StoreChange) => void,
    retentionMs = limits.ENTRY_RETENTION_MS,
    onEntry?: (entry: EntryRecord) => void,
  ) {
    this.#onEntry = onEntry;
    this.#record = record;
    this.#retentionMs = retentionMs;
  }

  get entryCount(): number {
    return this.#entryCount;
  }

  get contentCount(): number {
    return this.#contents.size;
  }

  content(key: string): ContentRecord | undefined {
    return this.#contents.get(key);
  }

  /** Every entry of a name, newest first. */
  history(name: string): readonly EntryRecord[] {
    return this.#names.get(name)?.toReversed() ?? [];
  }

  /** The entry a person means by `name`, `name@hex` or a contentId; undefined for none. Throws `usage` when several fit. */
  find(text: string): EntryRecord | undefined {
    const name = text.normalize('NFC');
    const exact = this.#default(name);
    if (exact !== undefined) return exact;
    const [, base, hex] = VERSION_SUFFIX.exec(name) ?? [];
    if (base !== undefined && hex !== undefined) return this.#findVersion(base, hex.toLowerCase());
    return this.#contents.get(name.toLowerCase())?.entries.at(-1);
  }

  /** What a name stands for. An older file under it is never taken for a newer one that nobody has at the moment. */
  #default(name: string): EntryRecord | undefined {
    const versions = this.#names.get(name);
    const newest = versions?.at(-1);
    if (newest === undefined || hasSource(newest.content)) return newest;
    return versions?.findLast(({ content }) => hasSource(content) && isSameFile(content, newest.content)) ?? newest;
  }

  #findVersion(name: string, hex: string): EntryRecord | undefined {
    const fitting = this.history(name).filter(
      ({ content }) => content.contentId.startsWith(hex) || content.sha256.toLowerCase().startsWith(hex),
    );
    if (fitting.length < 2) return fitting[0];
    const choices = fitting
      .slice(0, 4)
      .map(({ content }) => `${name}@${(content.contentId || content.sha256).slice(0, 16)}`);
    throw new ShoalError('usage', `${quote(`${name}@${hex}`)} fits ${fitting.length} entries: give more digits`, {
      hint: `for example ${choices.join(' or ')}`,
    });
  }

  /** The newest entry of a name with this size and digest; those that have a manifest come first, and of them what somebody has. */
  findSame(name: EntryName, size: number, sha256: string): EntryRecord | undefined {
    const same = this.history(name).filter(({ content }) => isSameFile(content, { size, sha256 }));
    const described = same.filter(({ content }) => content.contentId !== '');
    return described.find(({ content }) => hasSource(content)) ?? described[0] ?? same[0];
  }

  findExact(name: EntryName, contentId: ContentId): EntryRecord | undefined {
    return this.#names.get(name)?.find(({ content }) => content.contentId === contentId);
  }

  list(options: ListOptions): ListPage {
    const query = options.query.normalize('NFC').toLowerCase();
    const entries: EntryRecord[] = [];
    let looked = 0;
    let last = '';
    for (const name of this.#ordered.after(options.after.normalize('NFC'))) {
      if (entries.length >= options.limit || looked >= limits.LIST_SCAN_NAMES_MAX) return { entries, nextAfter: last };
      looked++;
      last = name;
      if (!options.includeFolders && isFolderName(name)) continue;
      const entry = this.#default(name);
      if (entry === undefined || !(options.includeOffline || hasSource(entry.content))) continue;
      if (query === '' || name.toLowerCase().includes(query)) entries.push(entry);
    }
    return { entries, nextAfter: '' };
  }

  /** The content of a manifest; made, without entries, when it is new. Add an entry before anything else happens. */
  contentOf(manifest: Manifest, nowMs: number): ContentRecord {
    const { contentId, size, sha256, chunkSize, chunkCount } = manifest;
    return (
      this.#contents.get(contentId) ??
      this.#addContent({ key: contentId, contentId, size, sha256, chunkSize, chunkCount }, nowMs)
    );
  }

  /** The content of a plain announcement under this name; made when it is new, as above. */
  plainContent(name: EntryName, size: number, sha256: string, nowMs: number): ContentRecord {
    const key = `plain:${size}:${comparableDigest(sha256)}:${name}`;
    return (
      this.#contents.get(key) ??
      this.#addContent({ key, contentId: '', size, sha256, chunkSize: 0, chunkCount: 0 }, nowMs)
    );
  }

  /** Adds the newest entry of a name. Gives back the entry that had to make room for it, if any. */
  addEntry(
    name: EntryName,
    content: ContentRecord,
    publishedAtMs: number,
    replicas = 0,
  ): { added: EntryRecord; displaced?: EntryRecord } {
    const added = this.#insert(name, content, publishedAtMs, replicas);
    this.#recordEntry(added);
    const versions = this.#names.get(name) as EntryRecord[];
    if (versions.length <= limits.ENTRY_VERSIONS_MAX) return { added };
    const older = versions.slice(0, -1);
    const displaced = older.find((entry) => !hasSource(entry.content)) ?? older[0];
    if (displaced === undefined) return { added };
    this.removeEntry(displaced);
    return { added, displaced };
  }

  /** Points a plain entry at the same bytes with a manifest. The plain content leaves the catalogue. */
  upgradeEntry(entry: EntryRecord, content: ContentRecord): void {
    const plain = entry.content;
    this.#detach(entry);
    entry.content = content;
    content.entries.push(entry);
    // first the new, then the old: what is written in part has the name twice, never not at all
    this.#recordEntry(entry);
    this.#record({ type: 'remove-entry', name: entry.name, contentKey: plain.key });
    this.#dropIfUnnamed(plain);
  }

  /** Copies of its content that volunteers are to keep from now on. */
  setReplicas(entry: EntryRecord, copies: number): void {
    if (entry.replicas === copies) return;
    entry.replicas = copies;
    this.#recordEntry(entry);
    this.#onEntry?.(entry);
  }

  /** Takes an entry out, and its content with the last one; the caller ends the holdings of that content. */
  removeEntry(entry: EntryRecord): void {
    const versions = this.#names.get(entry.name);
    const at = versions?.indexOf(entry) ?? -1;
    if (versions === undefined || at < 0) return;
    versions.splice(at, 1);
    this.#entryCount--;
    if (versions.length === 0) {
      this.#names.delete(entry.name);
      this.#ordered.remove(entry.name);
    }
    this.#detach(entry);
    this.#record({ type: 'remove-entry', name: entry.name, contentKey: entry.content.key });
    this.#dropIfUnnamed(entry.content);
    this.#onEntry?.(entry);
  }

  /** Takes a content out with all its entries; the caller ends its holdings. */
  removeContent(content: ContentRecord): void {
    for (const entry of content.entries.slice()) this.removeEntry(entry);
    if (this.#contents.get(content.key) === content) this.#dropIfUnnamed(content);
  }

  /** Notes that the last source of a content has gone, or that one has come. */
  setIdle(content: ContentRecord, sinceMs: number | undefined): void {
    if (this.#contents.get(content.key) !== content) return;
    if (content.idle !== undefined) this.#idle.remove(content.idle);
    content.idle = sinceMs === undefined ? undefined : this.#idle.push(content, sinceMs + this.#retentionMs);
    this.#record({ type: 'set-idle', key: content.key, idleSinceMs: sinceMs ?? null });
  }

  /** A content that nobody has served for the retention time, to be removed with its entries; undefined for none. */
  takeForgotten(nowMs: number): ContentRecord | undefined {
    return this.#idle.takeDue(nowMs);
  }

  /** What the store had: call for contents first, longest idle first. Records nothing. */
  restoreContent(stored: StoredContent, nowMs: number): void {
    const content = this.#newContent(stored);
    // whoever served it when the tracker stopped gets the whole retention time to come back
    content.idle = this.#idle.push(content, (stored.idleSinceMs ?? nowMs) + this.#retentionMs);
  }

  restoreEntry(stored: StoredEntry): void {
    const content = this.#contents.get(stored.contentKey);
    if (content !== undefined) this.#insert(stored.name as EntryName, content, stored.publishedAtMs, stored.replicas);
  }

  #recordEntry({ name, content, publishedAtMs, replicas }: EntryRecord): void {
    this.#record({ type: 'put-entry', entry: { name, contentKey: content.key, publishedAtMs, replicas } });
  }

  #insert(name: EntryName, content: ContentRecord, publishedAtMs: number, replicas: number): EntryRecord {
    const entry: EntryRecord = { name, content, publishedAtMs, replicas };
    const versions = this.#names.get(name);
    if (versions !== undefined) versions.push(entry);
    else {
      this.#names.set(name, [entry]);
      this.#ordered.add(name);
    }
    content.entries.push(entry);
    this.#entryCount++;
    this.#onEntry?.(entry);
    return entry;
  }

  #newContent(fields: Omit<StoredContent, 'idleSinceMs'>): ContentRecord {
    const { key, contentId, size, sha256, chunkSize, chunkCount } = fields;
    const content: ContentRecord = {
      key,
      contentId,
      size,
      sha256,
      chunkSize,
      chunkCount,
      entries: [],
      swarm: undefined,
      copies: undefined,
      health: undefined,
      idle: undefined,
    };
    this.#contents.set(key, content);
    return content;
  }

  #addContent(fields: Omit<StoredContent, 'idleSinceMs'>, nowMs: number): ContentRecord {
    const content = this.#newContent(fields);
    content.idle = this.#idle.push(content, nowMs + this.#retentionMs);
    this.#record({ type: 'put-content', content: { ...fields, idleSinceMs: nowMs } });
    return content;
  }

  #detach(entry: EntryRecord): void {
    const { entries } = entry.content;
    entries.splice(entries.indexOf(entry), 1);
  }

  #dropIfUnnamed(content: ContentRecord): void {
    if (content.entries.length > 0) return;
    if (content.idle !== undefined) this.#idle.remove(content.idle);
    content.idle = undefined;
    this.#contents.delete(content.key);
    this.#record({ type: 'remove-content', key: content.key });
  }
}

/** Whether any online peer takes part in a content. */
export function hasSource(content: ContentRecord): boolean {
  return content.swarm !== undefined;
}

function isSameFile(a: Pick<ContentRecord, 'size' | 'sha256'>, b: Pick<ContentRecord, 'size' | 'sha256'>): boolean {
  return a.size === b.size && comparableDigest(a.sha256) === comparableDigest(b.sha256);
}

/** A real digest without regard to case; any other text as it is. */
function comparableDigest(text: string): string {
  const lower = text.toLowerCase();
  return isSha256Hex(lower) ? lower : text;
}
