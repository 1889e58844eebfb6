/** What the REST calls read from a request, and say about the next page. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ShoalError } from '../../errors.ts';
import { observedHostOf } from '../addresses.ts';
import type { Caller } from '../state.ts';

export function callerOf(request: FastifyRequest): Caller {
  return { observedHost: observedHostOf(request.socket.remoteAddress) };
}

/** What follows the prefix in the path as it was sent: still percent-encoded, so that %2F and / can be told apart. */
export function rawTail(request: FastifyRequest, prefix: string): string {
  const path = (request.raw.url ?? '').split('?', 1)[0] ?? '';
  return path.slice(prefix.length);
}

export function nameIn(tail: string): string {
  try {
    return decodeURIComponent(tail);
  } catch {
    throw new ShoalError('usage', 'the name in the path is not properly percent-encoded');
  }
}

/** The bare arrays have no room for a cursor: it goes into the link header, as in RFC 8288. */
export function linkNext(request: FastifyRequest, reply: FastifyReply, nextAfter: string): void {
  if (nextAfter === '') return;
  const url = new URL(request.raw.url ?? '/', 'http://tracker');
  url.searchParams.set('after', nextAfter);
  reply.header('link', `<${url.pathname}${url.search}>; rel="next"`);
}
