/** The tracker's REST calls as a plain client makes them. */

export interface RestAnswer {
  readonly status: number;
  readonly text: string;
  /** The body as JSON; undefined when it is none. */
  readonly json: unknown;
}

export async function restGet(trackerUrl: string, path: string): Promise<RestAnswer> {
  return answerOf(await fetch(`${trackerUrl}${path}`));
}

/** `body` as JSON, or as it is when it is text. */
export async function restPost(trackerUrl: string, path: string, body: unknown): Promise<RestAnswer> {
  return answerOf(
    await fetch(`${trackerUrl}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    }),
  );
}

export interface PeerRow {
  readonly ip: string;
  readonly port: number;
  readonly state: 'online' | 'offline';
  readonly peer: string;
  readonly complete: number;
  readonly partial: number;
  readonly files: readonly string[];
}

export interface ChunkRows {
  readonly chunks: readonly {
    readonly index: number;
    readonly sha256: string;
    readonly sources: number;
    readonly peers: readonly string[];
  }[];
}

async function answerOf(response: Response): Promise<RestAnswer> {
  const text = await response.text();
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // not JSON: `text` has it
  }
  return { status: response.status, text, json };
}
