/** The report of Constitutional AI: completions, their critiques and revisions, and how they compare. */

import { percent } from '../../percent.ts';
import { figure } from '../../run/progress.ts';
import type { Report, Table } from '../../run/report.ts';
import { linesOver, reportRun, tableOf } from '../../run/report-parts.ts';
import { lastOf, type Revised } from './revise.ts';
import { type Compared, isChanged, isTie, leftOutOf, readMade } from './rows.ts';

/** The report of a run of `heed constitution`. @throws HeedError when the folder is not a run. */
export function constitutionReport(folder: string): Report {
  return reportRun(folder, ({ rows }) => {
    const { revised, compared } = readMade(folder);
    const usable = compared.filter(({ leftOut }) => !leftOut);
    return {
      how: 'Constitutional AI',
      summary: [
        ...(revised.length > 0
          ? [{ label: 'Revised', value: revised.length, note: `${revised.filter(isChanged).length} changed` }]
          : []),
        ...(compared.length > 0
          ? [{ label: 'Compared', value: usable.length, note: `${usable.filter(isTie).length} ties` }]
          : []),
      ],
      sections: [
        ...revisions(revised),
        ...comparisons(usable),
        ...byPrinciple(revised, usable),
        ...leftOut([...revised, ...compared]),
        ...linesOver(
          rows,
          'Shares by step',
          'share',
          'Completions that a revision changes, pairs that are ties, and rows that are left out.',
          [
            ['revised', 'revisions/changed'],
            ['ties', 'comparisons/ties'],
            ['left out', 'rows/left_out'],
          ],
          ['steps'],
        ),
      ],
    };
  });
}

const SHOWN = 8;

const lastTurn = ({ prompt }: Pick<Revised, 'prompt'>) => prompt.at(-1)?.content ?? '';

function revisions(revised: readonly Revised[]): Table[] {
  const shown = revised.filter(({ leftOut }) => !leftOut).slice(0, SHOWN);
  return tableOf(
    'Critiques and revisions',
    ['prompt', 'completion', 'principle', 'critique', 'revision'],
    shown.map((one) => {
      const { principle, critique } = one.rounds.at(-1)!;
      return [lastTurn(one), one.completion, principle, critique, isChanged(one) ? lastOf(one) : 'the same'];
    }),
    'The first few, with the last round of each; revisions.jsonl has all.',
  );
}

function comparisons(compared: readonly Compared[]): Table[] {
  const rows = compared
    .slice(0, SHOWN)
    .map((one) => [lastTurn(one), ...one.completions, one.principle, figure(one.preference!)]);
  const caption = 'The first few; 1: the first completion is better, 0: the second. comparisons.jsonl has all.';
  return tableOf('Comparisons', ['prompt', 'first', 'second', 'principle', 'preference'], rows, caption);
}

/** How often each principle was drawn, and how often it changed or decided something. */
function byPrinciple(revised: readonly Revised[], compared: readonly Compared[]): Table[] {
  const rounds = revised.flatMap(({ completion, rounds }) =>
    rounds.map(({ principle, revision }, i) => ({
      principle,
      changed: revision !== (rounds[i - 1]?.revision ?? completion),
    })),
  );
  const principles = [...new Set([...rounds, ...compared].map(({ principle }) => principle))];
  const share = (some: readonly unknown[], all: readonly unknown[]) => percent(some.length / all.length, 0);
  const rows = principles.map((principle) => {
    const drawn = rounds.filter((round) => round.principle === principle);
    const pairs = compared.filter((pair) => pair.principle === principle);
    const decided = pairs.filter((pair) => !isTie(pair));
    const changed = drawn.filter((round) => round.changed);
    return [principle, drawn.length, share(changed, drawn), pairs.length, share(decided, pairs)];
  });
  return tableOf('By principle', ['principle', 'critiques', 'with a change', 'comparisons', 'decided'], rows);
}

function leftOut(rows: readonly { leftOut?: string }[]): Table[] {
  const caption = 'These are not in the datasets; samples.jsonl has them.';
  return tableOf('Left out', ['why', 'how many'], Object.entries(leftOutOf(rows)), caption);
}
