/** `GET /events`: what happens, as server-sent events. A reader that takes nothing is cut off; it resumes with Last-Event-ID. */
import type { FastifyReply } from 'fastify';
import { once } from 'node:events';
import * as limits from '../../limits.ts';
import type { EventType, TrackerEvent } from '../event-log.ts';
import type { Registry } from '../registry.ts';
import { isoTime } from './rest-views.ts';

export interface EventStreamOptions {
  readonly registry: Registry;
  readonly afterId: number;
  /** Undefined: all. */
  readonly types: ReadonlySet<EventType> | undefined;
  /** Ends every stream, with `closing` as its last event. */
  readonly closing: AbortSignal;
}

/** The same JSON that Watch carries. */
export function eventData(event: TrackerEvent): string {
  return JSON.stringify({ type: event.type, at: isoTime(event.atMs), ...event.data });
}

export async function streamEvents(
  reply: FastifyReply,
  { registry, afterId, types, closing }: EventStreamOptions,
): Promise<void> {
  const gone = new AbortController();
  const { signal } = gone;
  const events = registry.events.watch({ afterId, signal, closing, types, silenceMs: limits.EVENT_KEEPALIVE_MS });
  reply.hijack();
  const { raw } = reply;
  raw.once('close', () => gone.abort());
  raw.on('error', () => gone.abort());
  raw.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  raw.write(': shoal\n\n');
  for await (const event of events) {
    const text =
      event === undefined ? ': still here\n\n' : `id: ${event.id}\nevent: ${event.type}\ndata: ${eventData(event)}\n\n`;
    if (!raw.write(text) && !(await drained(raw, signal))) break;
  }
  raw.end();
  if (!closing.aborted) raw.destroy();
}

async function drained(raw: FastifyReply['raw'], signal: AbortSignal): Promise<boolean> {
  try {
    await once(raw, 'drain', { signal: AbortSignal.any([signal, AbortSignal.timeout(limits.EVENT_STALL_TIMEOUT_MS)]) });
    return true;
  } catch {
    return false; // it takes nothing, or it has gone: either way the stream ends here
  }
}
