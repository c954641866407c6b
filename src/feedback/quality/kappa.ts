/**
 * Cohen's and Fleiss' κ of judgments. Options of an item have no order of their own: by chance, two choices of an option
 * are the same one in 1 of k cases for an item of k options, whichever a file lists first.
 */

import { grouped } from '../../grouped.ts';
import { cohenKappa, fleissKappa } from '../../preference/agreement.ts';
import { mean } from '../../run/intervals.ts';
import type { Judgment } from '../judgment.ts';
import type { CountedJudgment } from './judgments.ts';

/** A judgment with its category (see `categoryOf`). */
export type Categorized = CountedJudgment & { category: number };

/** Items that two annotators need in common for their κ. */
const FEW = 5;

/** Mean of Cohen's κ. Collects pairs of annotators item by item: of hundreds of people, few have many items in common. */
export function meanCohen(byItem: ReadonlyMap<string, readonly Categorized[]>): number {
  const pairs = [...byItem.values()].flatMap((judgments) => {
    const sorted = judgments.toSorted((a, b) => (a.person < b.person ? -1 : 1));
    return sorted.flatMap((one, i) => sorted.slice(i + 1).map((other) => [one, other] as const));
  });
  const kappas = [...grouped(pairs, ([one, other]) => `${one.person} ${other.person}`).values()]
    .filter(({ length }) => length >= FEW)
    .map((both) =>
      cohenKappa(
        both.map(([{ category }]) => category),
        both.map(([, { category }]) => category),
        both.map(([{ judgment }]) => optionsOf(judgment)),
      ),
    );
  return mean(kappas.filter((kappa) => !Number.isNaN(kappa)));
}

/** Fleiss' κ of items; NaN unless all have equally many judgments, two or more. */
export function fleissOf(items: readonly (readonly Categorized[])[], categories: number): number {
  const raters = items[0]?.length ?? 0;
  if (raters < 2 || items.some(({ length }) => length !== raters)) return Number.NaN;
  return fleissKappa(
    items.map((judgments) => {
      const counts = new Float64Array(categories);
      for (const { category } of judgments) counts[category]++;
      return counts;
    }),
    items.map(([{ judgment }]) => optionsOf(judgment)),
  );
}

/** How many categories stand for options of the item. */
function optionsOf(judgment: Judgment): number {
  if (judgment.kind === 'pair') return 2;
  return judgment.kind === 'ranking' ? judgment.ranks.length : 0;
}
