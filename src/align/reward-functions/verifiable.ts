/**
 * Rewards that a program can verify: 1 if a completion is right, else 0. Each is a function to pass as `reward`, alone or
 * within one of your own; what is right stands in the prompt's row.
 *
 *     const data = [{ prompt: 'What is 2 + 2?', answer: 4 }, …];
 *     await grpo({ model, data, reward: numericAnswer() });
 */
import { z } from 'zod';
import { HeedError } from '../../error.ts';
import { parsedJson } from '../../parsed-json.ts';
import type { RewardFunction } from './call.ts';
import { type Completion, columnAt } from './reward-function.ts';

/** Where the right answer stands. */
export interface AnswerField {
  /**
   * The column of a prompt's row with the right answer, or with a list of right answers; `reward_model.ground_truth` is one
   * inside a column. Default: `answer`.
   */
  field?: string;
}

/** What `exactAnswer` compares. */
export interface ExactAnswerOptions extends AnswerField {
  /** Whether upper and lower case differ. Default: false. */
  caseSensitive?: boolean;
}

/** What `numericAnswer` compares. */
export interface NumericAnswerOptions extends AnswerField {
  /** The largest difference that counts as equal, as a share of the right number. Default: 1e-6. */
  tolerance?: number;
}

/** The completion's text is the right answer, whatever the spaces around and between words. */
export const exactAnswer = ({ field = 'answer', caseSensitive = false }: ExactAnswerOptions = {}): RewardFunction => {
  const plain = (text: string) => {
    const spaced = text.trim().replace(/\s+/g, ' ');
    return caseSensitive ? spaced : spaced.toLowerCase();
  };
  return verified((completion) =>
    answersOf(completion, field).some((answer) => plain(completion.text) === plain(String(answer))),
  );
};

const NUMBER = /[-+−]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[-+]?\d+)?/gi;
const FRACTION = new RegExp(`(${NUMBER.source})/(\\d[\\d,]*)`, 'gi');
const FRACTION_IN_LATEX = /\\[dt]?frac\{([^{}]+)\}\{([^{}]+)\}/g;
const ONLY_NUMBER = new RegExp(`^${NUMBER.source}(?:/\\d[\\d,]*)?$`, 'i');

/**
 * The last number in the completion's text is the right one, or the one in its last `\boxed{}` where it has one. Commas
 * between thousands are read over, and 3/4 is 0.75. The row's answer is a number, a text of one such as "$1,234", "$4$" or
 * "5 %", a solution that ends in "#### 72", as GSM8K's do, or one with the answer in `\boxed{}`, as MATH's.
 *
 * @throws HeedError when it is called with a row whose answer is no number.
 */
export const numericAnswer = ({ field = 'answer', tolerance = 1e-6 }: NumericAnswerOptions = {}): RewardFunction =>
  verified((completion) => {
    const value = lastNumber(lastBox(completion.text) ?? completion.text);
    const answers = answersOf(completion, field).map((answer) => rightNumber(answer, field));
    return answers.some((right) => Math.abs(value - right) <= tolerance * Math.max(1, Math.abs(right)));
  });

/** What the last `\boxed{…}` of a text holds; undefined if there is none. */
function lastBox(text: string): string | undefined {
  const boxes = text.matchAll(/\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}/g);
  return [...boxes].at(-1)?.[1];
}

/** NaN if there is none. */
function lastNumber(text: string): number {
  const plain = text.replace(FRACTION_IN_LATEX, '$1/$2');
  const quotients = plain.replace(FRACTION, (_, above, below) => String(toNumber(above) / toNumber(below)));
  return toNumber(quotients.match(NUMBER)?.at(-1) ?? 'none');
}

const toNumber = (written: string): number => Number(written.replaceAll(',', '').replace('−', '-'));

function rightNumber(answer: unknown, field: string): number {
  const solution = String(answer).split('####').at(-1)!;
  const final = (lastBox(solution) ?? solution).replace(/\\[,!;]|\\[()[\]]/g, '').trim();
  const bare = /^\$[^$]*\$$/.test(final) ? final.slice(1, -1).trim() : final;
  const plain = bare
    .replace(/^([-+−]?)\\?\$/, '$1')
    .replace(/\s*\\?%$/, '')
    .replace(FRACTION_IN_LATEX, '$1/$2');
  if (ONLY_NUMBER.test(plain)) return lastNumber(plain);
  throw new HeedError(`the row's "${field}" is ${JSON.stringify(answer)?.slice(0, 80)}, expected a number`, {
    hint: 'Name the column with the number: { field: … }. For other answers, compare texts by exactAnswer.',
  });
}

/** The completion's text matches a regular expression somewhere; anchor it with ^ and $ to match the whole. */
export const matchesPattern = (pattern: RegExp): RewardFunction => {
  const stateless = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ''));
  return verified(({ text }) => stateless.test(text));
};

/**
 * The completion's text is JSON that satisfies a JSON schema; without one, any JSON.
 *
 * @throws HeedError if the schema cannot be read.
 */
export const matchesJsonSchema = (schema: Record<string, unknown> = {}): RewardFunction => {
  const checked = zodOf(schema);
  return verified(({ text }) => {
    const value = parsedJson(text);
    return value !== undefined && checked.safeParse(value).success;
  });
};

/** The weighted sum of reward functions. */
export const weightedSum =
  (parts: readonly { weight: number; reward: RewardFunction }[]): RewardFunction =>
  async (completions, signal) => {
    const all = await Promise.all(parts.map(({ reward }) => reward(completions, signal)));
    return completions.map((_, i) =>
      all.reduce((sum, scores, k) => {
        const score = scores[i];
        const one = typeof score === 'number' ? score : score.reduce((total, step) => total + step.reward, 0);
        return sum + parts[k].weight * one;
      }, 0),
    );
  };

const verified =
  (isRight: (completion: Completion) => boolean): RewardFunction =>
  (completions) =>
    completions.map((completion) => Number(isRight(completion)));

function answersOf({ row, promptText }: Completion, field: string): readonly unknown[] {
  const answer = columnAt(row, field);
  if (answer !== undefined) return Array.isArray(answer) ? answer : [answer];
  const columns = Object.keys(row ?? {}).join(', ') || 'none';
  throw new HeedError(`the row of "${promptText.slice(0, 80)}" has no column "${field}": it has ${columns}`, {
    hint: 'Give each prompt its right answer, or name the column: { field: … }.',
  });
}

function zodOf(schema: Record<string, unknown>): z.ZodType {
  try {
    return z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]);
  } catch (cause) {
    throw new HeedError(`The JSON schema cannot be read: ${(cause as Error).message}`, { cause });
  }
}
