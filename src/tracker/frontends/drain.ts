/** What a tracker that ends answers to calls that come over connections it still has. Those it has begun to answer, it answers. */
import type { RequestListener } from 'node:http';
import { ShoalError } from '../../errors.ts';
import { refusalOf } from './rest-errors.ts';

export function refuseWhileClosing(next: RequestListener, closing: AbortSignal): RequestListener {
  const { status, headers, body } = refusalOf(new ShoalError('tracker-unreachable', 'the tracker is shutting down'));
  return (request, response) => {
    if (!closing.aborted) {
      next(request, response);
      return;
    }
    // what is still sent is read and thrown away, so that the answer is seen; over HTTP/2 the session says itself that it ends
    request.resume();
    const last = request.httpVersionMajor === 1 ? { connection: 'close' } : {};
    response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body), 'retry-after': '1', ...last });
    response.end(body);
  };
}
