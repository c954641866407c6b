/** Revisions and comparisons as rows: as a run stores them, and as data for other verbs. */

import type { Message } from '../../data/format.ts';
import type { Row } from '../../data/row.ts';
import { readSamples } from '../../run/run.ts';
import { type CompletionJudge, SHOWN_PAIR } from '../judges/judge.ts';
import type { Chat } from '../judges/source.ts';
import type { Principle } from './principles.ts';
import { assistant, lastOf, type Revised } from './revise.ts';

/** Two completions of a prompt and the judge's preference. */
export interface Compared {
  prompt: Message[];
  /** The two completions. */
  completions: [string, string];
  /** The principle they were compared by. */
  principle: string;
  /** For the first completion: its probability of being better by a local model; 1, 0 or ½ by an endpoint. */
  preference?: number;
  /** Why the pair is left out of the data. */
  leftOut?: 'equal completions' | 'no completion' | 'no verdict' | 'too long';
}

/** Compares pairs by the principles that `draw` gives. Equal, empty and too long completions are left out. */
export async function compareCompletions(
  critic: Chat,
  judge: CompletionJudge,
  pairs: readonly { prompt: Message[]; completions: [string, string] }[],
  draw: (item: number) => Principle,
  signal?: AbortSignal,
): Promise<Compared[]> {
  const all = pairs.map((pair, i): Compared => {
    const [one, other] = pair.completions;
    const { text: principle } = draw(i);
    const text = [questionOf(principle), ...pair.prompt.map(({ content }) => content), one, other].join('\n');
    const fits = critic.fits?.([{ role: 'user', content: text }]) ?? true;
    const leftOut = reasonToLeaveOut(one, other, fits);
    return { ...pair, principle, ...(leftOut && { leftOut }) };
  });
  const items = all.filter(({ leftOut }) => !leftOut);
  const verdicts = await judge.compare(
    items.map(({ prompt, completions, principle }) => ({
      prompt,
      completions,
      template: questionOf(principle),
    })),
    signal,
  );
  for (const [i, { preference, probability = preference, shown }] of verdicts.entries()) {
    if (shown.includes('unreadable')) items[i].leftOut = 'no verdict';
    else items[i].preference = probability;
  }
  return all;
}

function reasonToLeaveOut(one: string, other: string, fits: boolean): Compared['leftOut'] {
  if (one === '' || other === '') return 'no completion';
  if (one === other) return 'equal completions';
  return fits ? undefined : 'too long';
}

const questionOf = (principle: string): string =>
  `Two answers to the same prompt follow. Decide which of them keeps better to this principle: ${principle}
The order of the answers says nothing.

${SHOWN_PAIR}

Which answer keeps better to the principle? Write one letter and nothing else: A, B, or C where neither does.`;

/** A row of samples.jsonl. */
export type ConstitutionRow =
  | ({ kind: 'revision'; step: number } & Revised)
  | ({ kind: 'comparison'; step: number } & Compared);

interface MadeRows {
  revised: readonly Revised[];
  compared: readonly Compared[];
}

/** The revisions and comparisons in a run's folder. */
export function readMade(folder: string): MadeRows {
  const rows = readSamples(folder) as unknown as ConstitutionRow[];
  return {
    revised: rows.filter((row) => row.kind === 'revision'),
    compared: rows.filter((row) => row.kind === 'comparison'),
  };
}

const usable = <T extends { leftOut?: string }>(rows: readonly T[]): T[] => rows.filter(({ leftOut }) => !leftOut);

/** How many rows were left out, by reason. */
export function leftOutOf(rows: readonly { leftOut?: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { leftOut } of rows) if (leftOut) counts[leftOut] = (counts[leftOut] ?? 0) + 1;
  return counts;
}

/** Whether the last revision differs from the completion. */
export const isChanged = (revised: Revised): boolean => !revised.leftOut && lastOf(revised) !== revised.completion;
/** Whether neither completion is better. */
export const isTie = ({ preference }: Compared): boolean => preference === 0.5;

/** Prompts with their last revisions, for fine-tuning. */
export const revisionRows = ({ revised }: MadeRows): Row[] =>
  usable(revised).map((one) => ({
    prompt: one.prompt,
    completion: [assistant(lastOf(one))],
    original: one.completion,
    principles: one.rounds.map(({ principle }) => principle),
    conversation: one.conversation,
  }));

/** Pairs of a revision (chosen) and its original (rejected), where they differ. */
export const revisionPairs = ({ revised }: MadeRows): Row[] =>
  revised.filter(isChanged).map((one) => ({
    ...pairOf(one.prompt, lastOf(one), one.completion),
    principle: one.rounds.map(({ principle }) => principle).join('\n'),
    source: 'revision',
  }));

/** The compared pairs; `probability` is the probability that the chosen completion is better. */
export const comparisonRows = ({ compared }: MadeRows): Row[] =>
  usable(compared).map(({ prompt, completions, principle, preference = 0.5 }) => {
    const [chosen, rejected] = preference >= 0.5 ? completions : completions.toReversed();
    return {
      ...pairOf(prompt, chosen, rejected),
      ...(preference === 0.5 && { tie: true }),
      probability: Math.max(preference, 1 - preference),
      principle,
      source: 'comparison',
    };
  });

const pairOf = (prompt: Revised['prompt'], chosen: string, rejected: string): Row => ({
  prompt,
  chosen: [assistant(chosen)],
  rejected: [assistant(rejected)],
});

/** Metrics of a step: shares of its completions and pairs. */
export function constitutionMetrics({ revised, compared }: Readonly<MadeRows>): Record<string, number> {
  const all = [...revised, ...compared];
  return {
    ...(revised.length > 0 && { 'revisions/changed': revised.filter(isChanged).length / revised.length }),
    ...(compared.length > 0 && { 'comparisons/ties': compared.filter(isTie).length / compared.length }),
    'rows/left_out': all.filter(({ leftOut }) => leftOut).length / all.length,
  };
}
