/** Answers of evaluations, for people to read: rows of samples.jsonl, and the report's table of the first and the last. */
import type { Run, Section } from '../../run/index.ts';
import { figure } from '../../run/progress.ts';

export interface SampleAnswer {
  prompt: string;
  text: string;
  /** What the data says, where it says something. */
  reference?: string;
  reward?: number;
  kl?: number;
}

/** A row of samples.jsonl. */
export interface AnswerRow extends SampleAnswer {
  kind: 'answer';
  step: number;
  /** Which of the prompts it answers. */
  index: number;
}

/** A row of samples.jsonl: numbers of all answers of an evaluation, by their names, for histograms. */
export interface SpreadRow {
  kind: 'spread';
  step: number;
  of: Record<string, number[]>;
}

export function recordAnswers(run: Run, step: number, answers: readonly SampleAnswer[]): void {
  for (const [index, answer] of answers.entries()) {
    run.sample({ kind: 'answer', step, index, ...answer } satisfies AnswerRow);
  }
}

/** What was answered first and last to the same prompts, by the same draws; nothing where nothing was. */
export function answersTable(samples: readonly { kind: string }[]): Section[] {
  const answers = samples.filter((sample): sample is AnswerRow => sample.kind === 'answer');
  if (answers.length === 0) return [];
  const [first, last] = [answers[0].step, answers.at(-1)!.step];
  const [before, after] = [first, last].map((step) => answers.filter((answer) => answer.step === step));
  const has = (field: 'reference' | 'reward') => before.some((answer) => answer[field] !== undefined);
  const [rewarded, referenced] = [has('reward'), has('reference')];
  const shown = (answer: AnswerRow | undefined) => [
    answer?.text ?? '',
    ...(rewarded ? [answer?.reward === undefined ? '' : figure(answer.reward)] : []),
  ];
  const reward = rewarded ? ['reward'] : [];
  return [
    {
      kind: 'table',
      title: 'Answers before and after',
      caption: `The same draws, at step ${first} and at step ${last}; samples.jsonl has those of every evaluation.`,
      columns: ['prompt', 'before', ...reward, 'after', ...reward, ...(referenced ? ['in the data'] : [])],
      rows: before.map((answer, i) => [
        answer.prompt,
        ...shown(answer),
        ...shown(after[i]),
        ...(referenced ? [answer.reference ?? ''] : []),
      ]),
    },
  ];
}

/** A prompt that is answered at each evaluation. */
export interface SamplePrompt {
  ids: readonly number[];
  /** What the data says, where it says something. */
  reference?: string;
}
