/**
 * A share in percent, for people: `percent(0.5)` is "50.0 %". The only place where heed writes one, so that no page and
 * no line says what is not so: a share below 1 is never "100.0 %" but "> 99.9 %", and one above 0 never "0.0 %" but
 * "< 0.1 %". Negative differences likewise, with a true minus sign. What is unknown (NaN, which is null in JSON) is "–".
 */
export function percent(share: number | null | undefined, digits = 1): string {
  if (typeof share !== 'number' || !Number.isFinite(share)) return '–';
  const size = Math.abs(share);
  const rounded = (100 * size).toFixed(digits);
  const hides = Number(rounded) === 0 && size > Number.EPSILON;
  const fills = Number(rounded) === 100 && size < 1 - NEARLY;
  const step = 10 ** -digits;
  const nearest = hides ? step : 100 - step;
  const shown = hides || fills ? nearest.toFixed(digits) : rounded;
  const minus = share < 0 && Number(shown) > 0 ? '−' : '';
  // a small size is less than what is shown and a large one more; below zero, the other way round
  const more = fills === share > 0 ? '> ' : '< ';
  return `${hides || fills ? more : ''}${minus}${shown} %`;
}

/** Shares this close to 1 are 1: sums round, and nobody counts a billion things. */
const NEARLY = 1e-9;

/** An interval of shares: "84.1 % to 91.0 %". */
export const percents = (interval: readonly (number | null)[], digits = 1): string =>
  interval.map((share) => percent(share, digits)).join(' to ');
