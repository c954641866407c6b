/** What the reports of sweeps and ablations share. */
import type { Interval } from '../run/intervals.ts';
import type { RunInfo } from '../run/run.ts';

/** Of a whole of one, in per cent. */
export const percent = (share: number): string => `${Math.round(share * 100)} %`;

/** A share of seeds with its interval, such as "9 of 10 (60–98 %)". */
export const reachedOf = (reached: number, seeds: number, [low, high]: Interval): string =>
  seeds === 0 ? '–' : `${reached} of ${seeds} (${Math.round(low * 100)}–${percent(high)})`;

/** A measure with its interval, such as "487 (455–500)". */
export function measured(value: number, [low, high]: Interval): string {
  if (!Number.isFinite(value)) return '–';
  const [at, from, to] = [value, low, high].map((one) => one.toFixed(Math.abs(value) < 10 ? 2 : 0).replace('-', '−'));
  return `${at} (${from} to ${to})`;
}

/** What was started, with the run's own words for it. */
export const settingsGiven = <Options>({ config }: RunInfo): Options => config as Options;
