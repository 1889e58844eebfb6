/**
 * `fetch` for servers of a swarm with certificates of its own: Node's `fetch` takes no authority but those the system trusts. The
 * little of it that is needed here; no redirects.
 */
import type { IncomingMessage } from 'node:http';
import type { TlsFiles } from './api.ts';

export interface FetchOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
}

export interface FetchAnswer {
  readonly status: number;
  readonly ok: boolean;
  readonly body: AsyncIterable<Uint8Array> | null;
}

export async function secureFetch(url: string, options: FetchOptions, tls: TlsFiles | undefined): Promise<FetchAnswer> {
  if (tls === undefined || !/^https:/iu.test(url)) return await fetch(url, options);
  const { method = 'GET', headers = {}, body, signal } = options;
  const https = process.getBuiltinModule('node:https');
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = https.request(url, { ...tls, method, headers, signal, agent: false }, resolve);
    request.once('error', reject);
    request.end(body);
  });
  const status = response.statusCode ?? 0;
  return { status, ok: status >= 200 && status < 300, body: response };
}
