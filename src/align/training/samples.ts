/** Completions of evaluations, to read: rows of samples.jsonl, and the report's table of the first and the last. */

import type { ChatMessage } from '../../lm/render-chat.ts';
import { figure } from '../../run/progress.ts';
import type { Section } from '../../run/report.ts';
import type { Run } from '../../run/run.ts';

/** A completion of an evaluation. */
export interface SampleAnswer {
  /** Text of the prompt. */
  prompt: string;
  /** Text of the completion. */
  text: string;
  /** Text of the completion in the data, if there is one. */
  reference?: string;
  /** The completion's reward, if there is a reward. */
  reward?: number;
  /** KL from the reference along the completion in nats, if there is a reference. */
  kl?: number;
  /** Of an episode with an environment: the whole conversation. Its text is then the transcript. */
  messages?: readonly ChatMessage[];
}

/** A row of samples.jsonl with a completion. */
export interface AnswerRow extends SampleAnswer {
  /** Distinguishes the row from others. */
  kind: 'answer';
  /** Step of the evaluation. */
  step: number;
  /** Index of the prompt among those of the evaluation. */
  index: number;
}

/** A row of samples.jsonl with numbers of all completions of an evaluation, by name, for histograms. */
export interface SpreadRow {
  kind: 'spread';
  step: number;
  of: Record<string, number[]>;
}

/** Writes completions of an evaluation to samples.jsonl. */
export function recordAnswers(run: Run, step: number, answers: readonly SampleAnswer[]): void {
  for (const [index, answer] of answers.entries()) {
    run.sample({ kind: 'answer', step, index, ...answer } satisfies AnswerRow);
  }
}

/** The table of the first and the last completions of the same prompts; empty without completions. */
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
      title: 'Completions before and after',
      caption: `With the same draws, at step ${first} and at step ${last}; samples.jsonl has those of every evaluation.`,
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

/** A prompt that is completed at each evaluation. */
export interface SamplePrompt {
  /** Token ids of the prompt. */
  ids: readonly number[];
  /** Text of the completion in the data, if there is one. */
  reference?: string;
}
