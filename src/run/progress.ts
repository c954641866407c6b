/** Shows progress: one live line on a terminal, a plain line now and then in a pipe or a log. */
import { stripVTControlCharacters } from '../node.ts';
import { percent } from '../percent.ts';

/** A progress display. */
export interface Progress {
  /**
   * Sets the current step. Cheap: draws at most ten times a second on a terminal, at most every ten seconds elsewhere.
   */
  update(step: number, metrics?: Readonly<Record<string, number>>): void;
  /** Prints a line above the live one. */
  note(text: string): void;
  /**
   * Draws the last state and ends the line. `seconds`: how long the work took in all, such as over the processes of a
   * resumed run; by default, since `createProgress`.
   */
  done(seconds?: number): void;
}

/** What `createProgress` shows, and where. */
export interface ProgressOptions {
  /** Total number of steps; without it, there is no bar, percentage or time left. */
  total?: number;
  /** The first step of this process (in a resumed run), so that earlier steps do not count for the speed. */
  from?: number;
  /** Text at the start of the line. */
  label?: string;
  /** Milliseconds over which the speed is measured. Default 30,000. */
  window?: number;
  /** Unit of the speed. Default "steps". */
  unit?: string;
  /** Names of metrics that are shares, which are shown in percent. */
  shares?: readonly string[];
  /** Where the line is written: stderr by default. */
  stream?: {
    /** Writes a text. */
    write(text: string): unknown;
    /** Whether it is a terminal, whose last line is rewritten. */
    isTTY?: boolean;
    /** Width of the terminal in characters. */
    columns?: number;
  };
  /** The variables TERM and NO_COLOR are read from it: `process.env` by default. */
  env?: Record<string, string | undefined>;
  /** A monotonic clock in milliseconds. */
  now?: () => number;
}

/** The speed of training varies, and only its recent past predicts the time left. */
const WINDOW = 30_000;
const BAR = 20;
/** Characters of the longest share: "> 99 %". */
const LONGEST = 6;

/** Creates a progress display; nothing is drawn before the first update. */
export function createProgress({
  total,
  from = 0,
  label = '',
  window = WINDOW,
  unit = 'steps',
  shares = [],
  stream = process.stderr,
  env = process.env,
  now: clock = () => performance.now(),
}: ProgressOptions = {}): Progress {
  const live = stream.isTTY === true && env.TERM !== 'dumb';
  const color = live && !env.NO_COLOR;
  const every = live ? 100 : 10_000;
  const began = clock();
  const past: { time: number; step: number }[] = [{ time: began, step: from }];
  let step = from;
  let metrics: Readonly<Record<string, number>> = {};
  let drawn = Number.NEGATIVE_INFINITY;
  let drawnWidth = 0;
  let hasBar = live;

  const speed = (time: number): number | undefined => {
    while (past.length > 2 && past[1].time <= time - window) past.shift();
    const first = past[0];
    return step > first.step && time > first.time ? ((step - first.step) / (time - first.time)) * 1000 : undefined;
  };

  /** `took`: seconds in all, once the work has ended. */
  const line = (time: number, width: number, took?: number): string => {
    const rate = speed(time);
    const parts: string[] = [];
    if (total !== undefined) {
      parts.push(percent(shareOf(step, total), 0).padStart(live ? LONGEST : 0));
      parts.push(`${count(step)}/${count(total)}`);
    } else parts.push(`${count(step)} ${unit}`);
    if (rate !== undefined) {
      parts.push(`${count(rate)} ${unit}/s`);
      if (total !== undefined && step < total) parts.push(`${duration((total - step) / rate)} left`);
    }
    if (took !== undefined && total !== undefined && step >= total) parts.push(`in ${duration(took)}`);
    for (const [name, value] of Object.entries(metrics)) {
      parts.push(`${name} ${shares.includes(name) ? percent(value) : figure(value)}`);
    }
    const head = clean(label && `${label}  `);
    const numbers = clean(parts.join('  '));
    // the numbers say more than the bar, which does not come and go
    if (total === undefined || widthOf(head + numbers) + BAR + 1 > width) hasBar = false;
    return hasBar ? `${head}${bar(shareOf(step, total!))} ${numbers}` : fit(head + numbers, width);
  };

  const draw = (time: number, took?: number) => {
    drawn = time;
    if (!live) {
      stream.write(`${line(time, Number.POSITIVE_INFINITY, took)}\n`);
      return;
    }
    const text = line(time, (stream.columns || 80) - 1, took); // a full last column wraps on some terminals
    const width = widthOf(text);
    const padding = ' '.repeat(Math.max(0, Math.min(drawnWidth, (stream.columns || 80) - 1) - width));
    stream.write(`\r${color ? text.replace(/█+/, '\x1b[36m$&\x1b[39m') : text}${padding}`);
    drawnWidth = width;
  };

  return {
    update(to, latest) {
      step = to;
      if (latest) metrics = latest;
      const time = clock();
      // half a second apart: recent enough, and few
      if (time - past[past.length - 1].time >= 500) past.push({ time, step });
      // in a log, the last step is left to the end, which knows how long it all took
      if (time - drawn >= every && (live || step !== total)) draw(time);
    },
    note(text) {
      if (live && drawnWidth > 0) stream.write(`\r${' '.repeat(drawnWidth)}\r`);
      stream.write(`${live ? text : stripVTControlCharacters(text)}\n`);
      if (live && drawnWidth > 0) draw(clock());
    },
    done(seconds) {
      const time = clock();
      draw(time, seconds ?? (time - began) / 1000);
      if (live) stream.write('\n');
      drawnWidth = 0;
    },
  };
}

/** Seconds as "8 s", "3 min 20 s", "2 h 5 min" or "3 d 4 h". */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  const m = Math.round(s / 60);
  if (m < 24 * 60) return `${Math.floor(m / 60)} h ${m % 60} min`;
  const h = Math.round(m / 60);
  return `${Math.floor(h / 24)} d ${h % 24} h`;
}

/** A count as "950", "12.3k" or "4.5M". */
export function count(n: number): string {
  const size = Math.abs(n);
  for (const [unit, letter] of [
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const) {
    if (size >= unit * 0.9995) return `${Number((n / unit).toPrecision(3))}${letter}`;
  }
  return size >= 100 || Number.isInteger(n) ? String(Math.round(n)) : String(Number(n.toPrecision(2)));
}

/** A measured value with three significant digits. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size >= 10_000) return count(value);
  if (size >= 100) return String(Math.round(value));
  if (size !== 0 && size < 0.001) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
}

const shareOf = (step: number, total: number): number => (total > 0 ? Math.min(1, Math.max(0, step / total)) : 1);

function bar(share: number): string {
  const full = Math.round(share * BAR);
  return '█'.repeat(full) + '░'.repeat(BAR - full);
}

// a metric's name or a label must not move the cursor
const clean = (text: string) => stripVTControlCharacters(text).replaceAll(/[\p{Cc}\p{Cf}]/gu, ' ');

const widthOf = (text: string) => Array.from(text, columns).reduce((sum, n) => sum + n, 0);

/** East Asian wide characters and emoji take two columns, combining marks none. */
function columns(character: string): number {
  if (/\p{M}/u.test(character)) return 0;
  return /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}|[\u{20000}-\u{3fffd}]/u.test(
    character,
  )
    ? 2
    : 1;
}

function fit(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let start = '';
  let used = 1; // the ellipsis
  for (const character of text) {
    used += columns(character);
    if (used > width) break;
    start += character;
  }
  return `${start}…`.slice(0, Math.max(0, width));
}
