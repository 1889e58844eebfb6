/**
 * Where words go: answers to standard output, what happens meanwhile to standard error, and with --json events and documents instead
 * of the answers. Nothing else of the command line writes to a stream.
 */
import { styleText } from 'node:util';
import type { ShoalError } from '../errors.ts';
import { printable } from './display-width.ts';
import { encodeEvent, errorEvent, type CliEvent } from './ndjson.ts';
import { createProgressBar, type ProgressBar, type Terminal } from './progress-bar.ts';

export interface OutputOptions {
  readonly stdout: Terminal;
  readonly stderr: Terminal;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly now: () => number;
}

export class Output {
  /** With --json: events and documents for programs. */
  json = false;
  /** Standard output carries a file's bytes: everything else goes to standard error. */
  stdoutIsData = false;
  readonly #stdout: Terminal;
  readonly #stderr: Terminal;
  readonly #env: OutputOptions['env'];
  readonly #now: () => number;
  #bar: ProgressBar | undefined;
  #documented = false;

  constructor({ stdout, stderr, env, now }: OutputOptions) {
    this.#stdout = stdout;
    this.#stderr = stderr;
    this.#env = env;
    this.#now = now;
  }

  /** Columns of the terminal that answers go to; undefined when it is none. */
  get columns(): number | undefined {
    return this.#stdout.isTTY === true ? this.#stdout.columns : undefined;
  }

  /** A line of the answer for people; --json has events or a document in its place. */
  answer(line: string): void {
    if (this.json) return;
    if (this.stdoutIsData) this.#tell(line);
    else {
      this.#bar?.close();
      this.#stdout.write(`${line}\n`);
    }
  }

  /** A line about what happens, for people. */
  note(line: string): void {
    if (!this.json) this.#tell(line);
  }

  /** A line that people must see in any case. */
  warn(line: string): void {
    this.#tell(`shoal: ${line}`);
  }

  event(event: CliEvent): void {
    if (this.json) (this.stdoutIsData ? this.#stderr : this.#stdout).write(encodeEvent(event));
  }

  /** Events that happened together, in one write: thousands of small ones would take longer than what they tell of. */
  events(events: readonly CliEvent[]): void {
    if (this.json && events.length > 0)
      (this.stdoutIsData ? this.#stderr : this.#stdout).write(events.map(encodeEvent).join(''));
  }

  /** The one document of a command that answers with one. */
  document(value: unknown): void {
    if (!this.json) return;
    this.#documented = true;
    this.#stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
  }

  /** What went wrong: a sentence for people, and with --json an event too, unless the document has been written: it stays one. */
  failure(error: ShoalError): void {
    this.closeBar();
    if (!this.#documented) this.event(errorEvent(error));
    const paint = this.#stderr.isTTY === true && this.#colours;
    this.#tell(`${paint ? styleText('red', 'shoal:') : 'shoal:'} ${printable(error.message)}`);
    if (error.hint !== '') this.#tell(`       ${printable(error.hint)}`);
  }

  /** The sign before what is done and verified. */
  get check(): string {
    return this.#stdout.isTTY === true && this.#colours ? styleText('green', '✔', { validateStream: false }) : '✔';
  }

  /** The live line; silent without a terminal and with --json. Closed by whatever is written next to standard output. */
  openBar(): ProgressBar {
    this.closeBar();
    const terminal: Terminal = this.json ? { write() {}, on() {}, off() {} } : this.#stderr;
    const bar = createProgressBar({ terminal, env: this.#env, now: this.#now });
    this.#bar = bar;
    return bar;
  }

  closeBar(): void {
    this.#bar?.close();
    this.#bar = undefined;
  }

  get #colours(): boolean {
    return (this.#env['NO_COLOR'] ?? '') === '' && this.#env['TERM'] !== 'dumb';
  }

  #tell(line: string): void {
    // with --json the bar has no terminal: a warning would be lost in it
    if (this.#bar === undefined || this.json) this.#stderr.write(`${line}\n`);
    else this.#bar.log(line);
  }
}
