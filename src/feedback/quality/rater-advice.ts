/** What to do about how an annotator rates. The page needs it too, so nothing of the store is imported. */

/** How an annotator rates an aspect, as `RaterQuality` has it, or as JSON, which has no NaN. */
interface Rater {
  aspect: string;
  n: number;
  difference: number | null;
  interval: readonly [number | null, number | null];
  spread: number | null;
  othersSpread: number | null;
  correlation: number | null;
}

/** Items in common with others below which nothing is said. */
const FEW = 10;
/** A mean difference of this share of the scale matters. */
const APART = 0.1;
/** Somebody with less than this share of the others' spread uses a part of the scale. */
const NARROW = 0.5;
/** A correlation that is surely below this one is low. */
const LOW = 0.5;

/** What stands out in how an annotator rates an aspect with this highest rating, each with what to do about it. */
export function raterAdvice(
  { aspect, n, interval, ...rater }: Rater,
  scale: number,
): { finding: string; action: string }[] {
  if (n < FEW) return [];
  const [low, high] = interval.map((end) => end ?? Number.NaN);
  const [difference, spread, othersSpread, correlation] = [
    rater.difference ?? Number.NaN,
    rater.spread ?? Number.NaN,
    rater.othersSpread ?? Number.NaN,
    rater.correlation ?? Number.NaN,
  ];
  const found: { finding: string; action: string }[] = [];
  if (Math.abs(difference) >= APART * (scale - 1) && (low > 0 || high < 0)) {
    found.push({
      finding: `rates ${aspect} ${Math.abs(difference).toFixed(1)} points ${difference > 0 ? 'higher' : 'lower'} than others`,
      action: 'Compare two or three items with them, and say in the guidelines what each number means.',
    });
  }
  const isNarrow = spread < NARROW * othersSpread;
  if (isNarrow) {
    found.push({
      finding: `uses a narrow part of the scale of ${aspect}`,
      action: 'Show them examples that deserve the lowest and the highest rating.',
    });
  }
  // the upper end of the 95 % interval by Fisher's z
  const most = Math.tanh(Math.atanh(correlation) + 1.96 / Math.sqrt(n - 3));
  if (most < LOW) {
    found.push({
      finding: `ranks items by ${aspect} differently from others`,
      action: 'Look at their gold items: if they fail those too, they guess; if not, discuss the items with all.',
    });
  }
  return found;
}
