/** What the reports of sweeps and ablations share. */
import { z } from 'zod';
import type { LearnSettings } from '../control/options.ts';
import { percents } from '../percent.ts';
import type { Interval } from '../run/intervals.ts';
import { settingsSection } from '../run/report-parts.ts';
import type { RunInfo } from '../run/run.ts';

/** A share of seeds with its interval, such as "9 of 10 (60 % to 98 %)". */
export const reachedOf = (reached: number, seeds: number, interval: Interval): string =>
  seeds === 0 ? '–' : `${reached} of ${seeds} (${percents(interval, 0)})`;

/** A measure with its interval, such as "487 (455–500)". */
export function measured(value: number, [low, high]: Interval): string {
  if (!Number.isFinite(value)) return '–';
  const [at, from, to] = [value, low, high].map((one) => one.toFixed(Math.abs(value) < 10 ? 2 : 0).replace('-', '−'));
  return `${at} (${from} to ${to})`;
}

const targeted = z.object({ target: z.number() });

/** A run's settings: its command's own, checked, and those of each cell. */
export const runSettings = <Own>(own: z.ZodType<Own>, info: RunInfo, folder: string) => ({
  ...(info.config as Omit<LearnSettings, 'labels' | 'people'>),
  ...settingsSection(own, info, folder),
  ...settingsSection(targeted, info, folder),
});
