/** How every benchmark reads its options and says what it takes: one table of names, defaults and meanings. */
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';

export interface BenchOption {
  /** What stands for the value in the help; absent for a switch. */
  readonly value?: string;
  /** The text that is parsed when the option is not given; absent for a switch. */
  readonly default?: string;
  readonly about: string;
}

type Values<T extends Readonly<Record<string, BenchOption>>> = {
  readonly [K in keyof T]: T[K] extends { readonly value: string } ? string : boolean;
};

/** Options that mean the same wherever they are taken. */
export const COMMON = {
  runs: { value: 'N', default: '5', about: 'counted runs of each' },
  dir: { value: 'PATH', default: tmpdir(), about: 'where everything happens' },
  python: { value: 'PATH', default: '/usr/bin/python3', about: 'the Python that runs the other systems' },
  json: { about: 'one JSON document with every run instead of the tables' },
} as const satisfies Record<string, BenchOption>;

/** The values, or undefined after the help was asked for and printed. Throws for an option it does not know. */
export function readOptions<const T extends Readonly<Record<string, BenchOption>>>(
  program: string,
  options: T,
  args: readonly string[] = process.argv.slice(2),
): Values<T> | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...Object.fromEntries(
        Object.entries(options).map(([name, option]) => [
          name,
          option.value === undefined
            ? { type: 'boolean' as const, default: false }
            : { type: 'string' as const, default: option.default ?? '' },
        ]),
      ),
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (!values['help']) return values as Values<T>;
  process.stdout.write(helpText(program, options));
  return undefined;
}

export function helpText(program: string, options: Readonly<Record<string, BenchOption>>): string {
  const lines = Object.entries(options).map(([name, option]) => {
    const left = option.value === undefined ? `--${name}` : `--${name} ${option.value}`;
    return `  ${left.padEnd(18)} ${option.about}${option.default ? ` (default: ${option.default})` : ''}`;
  });
  return `usage: node bench/${program}.ts [options]\n\n${lines.join('\n')}\n`;
}
