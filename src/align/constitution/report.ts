/** The report of Constitutional AI: completions, their critiques and revisions, and how they compare. */

import { percent } from '../../percent.ts';
import { figure } from '../../run/progress.ts';
import type { Report, Table } from '../../run/report.ts';
import { linesOver, subtitle, timeFigure } from '../../run/report-parts.ts';
import { readInfo, readMetrics } from '../../run/run.ts';
import { lastOf, type Revised } from './revise.ts';
import { type Compared, isChanged, isTie, leftOutOf, readMade } from './rows.ts';

/** The report of a run of `heed constitution`. @throws HeedError when the folder is not a run. */
export function constitutionReport(folder: string): Report {
  const { name, config, seed, started } = readInfo(folder);
  const rows = readMetrics(folder);
  const { revised, compared } = readMade(folder);
  const usable = compared.filter(({ leftOut }) => !leftOut);
  return {
    title: name,
    subtitle: subtitle(started, 'Constitutional AI', seed),
    summary: [
      ...(revised.length > 0
        ? [{ label: 'Revised', value: revised.length, note: `${revised.filter(isChanged).length} changed` }]
        : []),
      ...(compared.length > 0
        ? [{ label: 'Compared', value: usable.length, note: `${usable.filter(isTie).length} ties` }]
        : []),
      timeFigure(folder, rows),
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
    config: config as Record<string, unknown>,
  };
}

const SHOWN = 8;

const lastTurn = ({ prompt }: Pick<Revised, 'prompt'>) => prompt.at(-1)?.content ?? '';

function revisions(revised: readonly Revised[]): Table[] {
  const shown = revised.filter(({ leftOut }) => !leftOut).slice(0, SHOWN);
  if (shown.length === 0) return [];
  return [
    {
      kind: 'table',
      title: 'Critiques and revisions',
      caption: 'The first few, with the last round of each; revisions.jsonl has all.',
      columns: ['prompt', 'completion', 'principle', 'critique', 'revision'],
      rows: shown.map((one) => {
        const { principle, critique } = one.rounds.at(-1)!;
        return [lastTurn(one), one.completion, principle, critique, isChanged(one) ? lastOf(one) : 'the same'];
      }),
    },
  ];
}

function comparisons(compared: readonly Compared[]): Table[] {
  const shown = compared.slice(0, SHOWN);
  if (shown.length === 0) return [];
  return [
    {
      kind: 'table',
      title: 'Comparisons',
      caption: 'The first few; 1: the first completion is better, 0: the second. comparisons.jsonl has all.',
      columns: ['prompt', 'first', 'second', 'principle', 'preference'],
      rows: shown.map((one) => [lastTurn(one), ...one.completions, one.principle, figure(one.preference!)]),
    },
  ];
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
  if (principles.length === 0) return [];
  return [
    {
      kind: 'table',
      title: 'By principle',
      columns: ['principle', 'critiques', 'with a change', 'comparisons', 'decided'],
      rows: principles.map((principle) => {
        const own = rounds.filter((round) => round.principle === principle);
        const pairs = compared.filter((pair) => pair.principle === principle);
        const decided = pairs.filter((pair) => !isTie(pair));
        const changed = own.filter((round) => round.changed);
        return [
          principle,
          own.length,
          percent(changed.length / own.length, 0),
          pairs.length,
          percent(decided.length / pairs.length, 0),
        ];
      }),
    },
  ];
}

function leftOut(rows: readonly { leftOut?: string }[]): Table[] {
  const counts = Object.entries(leftOutOf(rows));
  if (counts.length === 0) return [];
  return [
    {
      kind: 'table',
      title: 'Left out',
      caption: 'These are not in the datasets; samples.jsonl has them.',
      columns: ['why', 'how many'],
      rows: counts,
    },
  ];
}
