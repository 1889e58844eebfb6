/**
 * The live line of a running transfer: name, bar, percent, speed, time left, sources, or why nothing moves. Owns one line of a
 * terminal and nothing else: without a terminal it writes nothing at all.
 */
import { displayWidth, fitMiddle, padColumns, printable, takeColumns } from './display-width.ts';
import { humanBytes, humanDuration, humanPercent, humanRate } from './human.ts';

/** What of a stream the bar needs; process.stderr is one. */
export interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
  on(event: 'resize', listener: () => void): unknown;
  off(event: 'resize', listener: () => void): unknown;
}

export interface BarState {
  readonly name: string;
  readonly bytes: number;
  readonly total: number;
  readonly bytesPerSecond: number;
  /** Sources; undefined: not a transfer, nothing is said of them. */
  readonly peers?: number | undefined;
  readonly etaSeconds: number | null;
  /** Why nothing moves; null while something does. */
  readonly stalled: string | null;
  /** What it waits for most; undefined or null: nothing is said of it. */
  readonly bottleneck?: string | null | undefined;
}

export interface ProgressBar {
  /** Draws, or keeps for the next draw when the last was less than 80 ms ago. */
  update(state: BarState): void;
  /** Writes whole lines above the bar. */
  log(text: string): void;
  /** Takes the bar away; the cursor is at the beginning of an empty line. */
  close(): void;
}

export interface ProgressBarOptions {
  readonly terminal: Terminal;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly now: () => number;
}

const DRAW_INTERVAL_MS = 80;
const COLUMNS_DEFAULT = 80;
const COLUMNS_MIN = 20;
const BAR_COLUMNS_MIN = 8;
const BAR_COLUMNS_MAX = 32;
const NAME_COLUMNS_MAX = 28;
const CLEAR_LINE = '\r\u001b[2K';
const CLEAR_DOWN = '\r\u001b[J';
const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';

export function createProgressBar(options: ProgressBarOptions): ProgressBar {
  const { terminal, env, now } = options;
  if (terminal.isTTY !== true || env['TERM'] === 'dumb') return createSilentBar(terminal);
  const unicode = drawsUnicode(env);
  let latest: BarState | undefined;
  let drawnAtMs = Number.NEGATIVE_INFINITY;
  let visible = false;

  const draw = (): void => {
    if (latest === undefined) return;
    drawnAtMs = now();
    const line = barLine(latest, (terminal.columns || COLUMNS_DEFAULT) - 1, unicode);
    terminal.write((visible ? CLEAR_LINE : HIDE_CURSOR) + line);
    visible = true;
  };
  const onResize = (): void => {
    // a line that was drawn for a wider terminal may now take two
    if (visible) terminal.write(CLEAR_DOWN);
    draw();
  };
  terminal.on('resize', onResize);

  return {
    update(state) {
      const changedWord = latest === undefined || latest.stalled !== state.stalled || latest.name !== state.name;
      latest = state;
      if (changedWord || state.bytes >= state.total || now() - drawnAtMs >= DRAW_INTERVAL_MS) draw();
    },
    log(text) {
      if (visible) terminal.write(CLEAR_LINE);
      terminal.write(`${text}\n`);
      if (visible) draw();
    },
    close() {
      terminal.off('resize', onResize);
      if (visible) terminal.write(CLEAR_LINE + SHOW_CURSOR);
      visible = false;
      latest = undefined;
    },
  };
}

/** Without a terminal nothing is drawn, but what is logged still counts. */
function createSilentBar(terminal: Terminal): ProgressBar {
  return { update() {}, log: (text) => void terminal.write(`${text}\n`), close() {} };
}

/** Whether the terminal is known to draw block characters. */
export function drawsUnicode(env: Readonly<Record<string, string | undefined>>): boolean {
  if (env['TERM'] === 'linux') return false; // the bare console has few glyphs
  if (env['WT_SESSION'] !== undefined) return true;
  return /utf-?8/i.test(env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || '');
}

/** The line itself, at most `columnsMax` wide; what matters least goes first when there is little room. */
export function barLine(state: BarState, columnsMax: number, unicode: boolean): string {
  const columns = Math.max(COLUMNS_MIN, columnsMax);
  const percent = humanPercent(state.bytes, state.total).padStart(5);
  const amount = `${humanBytes(state.bytes)} of ${humanBytes(state.total)}`;
  const sources = state.peers === undefined ? '' : `${state.peers} ${state.peers === 1 ? 'source' : 'sources'}`;
  const motion =
    state.stalled === null
      ? [humanRate(state.bytesPerSecond), state.etaSeconds === null ? '' : `${humanDuration(state.etaSeconds)} left`]
      : [`waiting: ${printable(state.stalled)}`];
  const limit =
    state.stalled !== null || state.bottleneck === undefined || state.bottleneck === null
      ? ''
      : `limit: ${printable(state.bottleneck)}`;
  // by importance: what is dropped first stands last
  const byRoom = [
    [...motion, sources, amount, limit],
    [...motion, sources, limit],
    [...motion, sources],
    motion,
    motion.slice(0, 1),
    [],
  ];
  const name = fitMiddle(printable(state.name), Math.min(NAME_COLUMNS_MAX, Math.max(8, Math.floor(columns / 4))));
  for (const details of byRoom) {
    const right = [percent, ...details.filter((text) => text !== '')].join('  ');
    const room = columns - displayWidth(name) - displayWidth(right) - 4;
    if (room >= BAR_COLUMNS_MIN) {
      // in steps of four, so that the bar does not breathe with the digits beside it
      const barColumns = Math.min(room - (room % 4), BAR_COLUMNS_MAX);
      const bar = drawBar(state.bytes, state.total, barColumns, unicode);
      return `${name}  ${bar}  ${right}`;
    }
  }
  return takeColumns(`${padColumns(fitMiddle(name, columns - 6), columns - 6, 'left')} ${percent}`, columns);
}

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

function drawBar(bytes: number, total: number, columns: number, unicode: boolean): string {
  const share = total <= 0 ? 1 : Math.min(1, Math.max(0, bytes / total));
  if (!unicode) {
    const inner = columns - 2;
    const full = Math.floor(share * inner);
    return `[${'#'.repeat(full)}${'.'.repeat(inner - full)}]`;
  }
  const eighths = Math.floor(share * columns * 8);
  const full = Math.floor(eighths / 8);
  const partial = EIGHTHS[eighths % 8] ?? '';
  return '█'.repeat(full) + partial + '░'.repeat(columns - full - partial.length);
}
