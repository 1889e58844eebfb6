/** One run of the command line in this process: from arguments to an exit code. Owns the streams, the signals and the last word. */
import { CommanderError } from 'commander';
import { inspect } from 'node:util';
import { ShoalError, systemErrorCode } from '../errors.ts';
import { endProcess } from './end-process.ts';
import { createInterrupt, type Interrupt } from './interrupt.ts';
import { Output } from './output.ts';
import { createProgram } from './program.ts';
import type { Runtime } from './runtime.ts';
import { systemServices, type Services } from './services.ts';

/** 128 + SIGPIPE: what every program ends with whose reader has gone. */
const EXIT_READER_GONE = 141;

/** Runs the process's arguments and ends the process. Resolves never, in effect. */
export async function runProcess(services: Services = systemServices): Promise<void> {
  const output = new Output({
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    now: () => performance.now(),
  });
  const interrupt = createInterrupt({
    source: process,
    now: () => performance.now(),
    exit: (code, why) => {
      if (why === 'shutdown timeout') output.warn('it did not end in time and is stopped');
      output.closeBar();
      endProcess(code);
    },
  });
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error) => {
      if (systemErrorCode(error) === 'EPIPE') interrupt.raise('EPIPE');
      else endProcess(1); // there is nowhere left to say it
    });
  }
  const die = (thrown: unknown): void => {
    reportFailure(output, thrown, process.env);
    endProcess(1);
  };
  process.on('uncaughtException', die);
  process.on('unhandledRejection', die);

  const runtime: Runtime = {
    output,
    interrupt,
    services,
    env: process.env,
    now: () => performance.now(),
    wallClock: () => Date.now(),
  };
  const code = await runArguments(process.argv.slice(2), runtime, {
    writeOut: (text) => void process.stdout.write(text),
    writeErr: (text) => void process.stderr.write(text),
  });
  output.closeBar();
  interrupt.close();
  await flushed(process.stdout);
  await flushed(process.stderr);
  endProcess(code);
}

export interface HelpStreams {
  readonly writeOut: (text: string) => void;
  readonly writeErr: (text: string) => void;
}

/** Runs one command line; says what went wrong, and answers with the exit code. */
export async function runArguments(args: readonly string[], runtime: Runtime, streams: HelpStreams): Promise<number> {
  const { output, interrupt, env } = runtime;
  // known before commander has read it, so that its own complaints become events as well
  output.json = args.includes('--json');
  try {
    const program = await createProgram({ runtime, args, ...streams });
    if (args.length === 0) {
      streams.writeErr(program.helpInformation());
      return 2;
    }
    await program.parseAsync([...args], { from: 'user' });
    return interrupt.cause === 'EPIPE' ? EXIT_READER_GONE : 0;
  } catch (error) {
    if (interrupt.cause === 'EPIPE') return EXIT_READER_GONE;
    if (error instanceof CommanderError) return usageExit(error, output);
    return reportFailure(output, endedByRequest(error, interrupt), env);
  }
}

/** commander has printed its complaint already. */
function usageExit(error: CommanderError, output: Output): number {
  if (error.exitCode === 0) return 0;
  output.event({ event: 'error', code: 'usage', message: error.message.replace(/^error: /, ''), exit: 2 });
  return 2;
}

/** Whatever breaks after somebody asked the command to end is that end. */
function endedByRequest(error: unknown, interrupt: Interrupt): unknown {
  if (interrupt.cause === undefined) return error;
  if (error instanceof ShoalError && error.code !== 'bug') return error;
  return new ShoalError('cancelled', 'interrupted', { cause: error });
}

function reportFailure(output: Output, thrown: unknown, env: Runtime['env']): number {
  const error = ShoalError.from(thrown);
  const debugging = env['SHOAL_LOG'] === 'debug' || env['SHOAL_LOG'] === 'trace';
  if (error.code !== 'bug') output.failure(error);
  else {
    const hint = 'this is a bug in Shoal; run it again with SHOAL_LOG=debug to see where it comes from, and report it';
    output.failure(
      new ShoalError('bug', error.message === '' ? 'something unexpected happened' : error.message, { hint }),
    );
  }
  if (debugging) output.warn(inspect(error.code === 'bug' ? (error.cause ?? error) : error, { depth: 4 }));
  return error.exitCode;
}

function flushed(stream: NodeJS.WriteStream): Promise<void> {
  if (stream.destroyed || stream.writableLength === 0) return Promise.resolve();
  return new Promise((resolve) => stream.write('', () => resolve()));
}
