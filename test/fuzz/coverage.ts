/**
 * Which of our own code runs, by V8's precise coverage, as places: one for each character of a script. V8 leaves out a block that ran
 * as often as what surrounds it, so only the innermost answer for each character tells; comparing its list of blocks would not.
 */
import { Session, type Profiler } from 'node:inspector';

export interface Coverage {
  /** Those of `candidates` that ran since the last call, or of all places when there are none; counting begins anew. */
  take(candidates?: readonly number[]): number[];
  stop(): void;
}

/** Places of one script; no file of ours comes near it. */
const SCRIPT_CHARS_MAX = 1 << 22;

/**
 * Functions that ran before are counted as a whole: load what is to be watched afterwards.
 * @param isOurs which scripts count, by their URL.
 */
export function startCoverage(isOurs: (url: string) => boolean): Coverage {
  const session = new Session();
  session.connect();
  const ask = (method: string, params: object = {}): unknown => {
    let answer: { readonly error: Error | null; readonly result: unknown } | undefined;
    // the inspector of one's own thread answers before `post` returns
    session.post(method, params, (error: Error | null, result: unknown) => {
      answer = { error, result };
    });
    if (answer === undefined || answer.error !== null)
      throw new Error(`the inspector refused ${method}`, { cause: answer?.error });
    return answer.result;
  };
  ask('Profiler.enable');
  ask('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  /** By script id: its number, and what ran of it. */
  const scripts = new Map<string, { readonly number: number; ran: Uint8Array }>();

  const look = ({ scriptId, functions }: Profiler.ScriptCoverage): void => {
    const charCount = functions.reduce(
      (most, { ranges }) =>
        Math.max(
          most,
          ranges.reduce((end, range) => Math.max(end, range.endOffset), 0),
        ),
      0,
    );
    const script = scripts.get(scriptId) ?? { number: scripts.size, ran: new Uint8Array(charCount) };
    if (script.ran.length < charCount) script.ran = new Uint8Array(charCount);
    scripts.set(scriptId, script);
    script.ran.fill(0);
    // outer before inner: the last word on a character is the innermost
    for (const { ranges } of functions.toSorted((a, b) => startOf(a) - startOf(b)))
      for (const { count, startOffset, endOffset } of ranges)
        script.ran.fill(count > 0 ? 1 : 0, startOffset, endOffset);
  };

  return {
    take(candidates) {
      for (const { ran } of scripts.values()) ran.fill(0);
      const { result } = ask('Profiler.takePreciseCoverage') as Profiler.TakePreciseCoverageReturnType;
      for (const script of result) if (isOurs(script.url)) look(script);
      const byNumber = [...scripts.values()];
      if (candidates !== undefined)
        return candidates.filter(
          (place) => byNumber[Math.floor(place / SCRIPT_CHARS_MAX)]?.ran[place % SCRIPT_CHARS_MAX] === 1,
        );
      const places: number[] = [];
      for (const { number, ran } of byNumber)
        for (let at = ran.indexOf(1); at >= 0; at = ran.indexOf(1, at + 1)) places.push(number * SCRIPT_CHARS_MAX + at);
      return places;
    },
    stop() {
      ask('Profiler.stopPreciseCoverage');
      session.disconnect();
    },
  };
}

function startOf({ ranges }: Profiler.FunctionCoverage): number {
  return ranges[0]?.startOffset ?? 0;
}
