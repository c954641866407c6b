/**
 * A model that judges which of two completions is better (Zheng et al. 2023, "Judging LLM-as-a-Judge"). Such models
 * favor what they see first, so each pair is shown in both orders; where the two verdicts disagree, the pair is a tie.
 */

import type { z } from 'zod';
import { HeedError } from '../../error.ts';
import type { PullOptions } from '../../lm/hub.ts';
import type { Model } from '../../lm/model.ts';
import { optionalText, parseOptions, wholeNumber } from '../../options.ts';
import { mean } from '../../run/intervals.ts';
import { endpointCallSchema } from '../training/endpoint.ts';
import { isModel } from '../training/input.ts';
import { openChat } from './chat.ts';
import type { Chat, Conversation } from './source.ts';
import { fillTemplate, readTemplate, textOfPrompt } from './template.ts';

/** Schema of how a judge is called: its question, and the settings of its endpoint. */
export const judgeCallSchema = endpointCallSchema.extend({
  template: optionalText(
    'text file with the question for the judge, which contains {{prompt}}, {{a}} and {{b}} (default: which is better)',
  ),
  maxTokens: wholeNumber(1).default(512).describe("maximum tokens of an endpoint's reply"),
  samples: wholeNumber(1)
    .default(1)
    .describe('verdicts per order to draw from an endpoint; the majority decides; two or more at temperature 1'),
});

/** Which of two completions a single verdict is for, by the order in which they were shown. */
type Shown = 'first' | 'second' | 'tie' | 'unreadable';

/** A judge's verdict on a pair of completions. */
export interface Verdict {
  /** 1: the first of the pair is better; 0: the second is; ½: neither, or the two orders disagree. */
  preference: number;
  /** The verdict on the pair in its order, and with its completions swapped. */
  shown: readonly [Shown, Shown];
  /** Share of the samples that say what most of their order say, if several were drawn. */
  consistency?: number;
  /** The probability that the first of the pair is better: the mean of both orders. Local models and functions only. */
  probability?: number;
}

/** Two completions of a prompt for a judge. */
export interface CompletionPair {
  /** The prompt: text or messages. */
  prompt: string | Conversation;
  /** The two completions, in the order that the judge sees first. */
  completions: readonly [string, string];
  /** The question for this pair, in place of the judge's template. */
  template?: string;
}

/** Judges which of two completions is better. */
export interface CompletionJudge {
  /** The judge's name in errors and reports. */
  readonly name: string;
  /**
   * A verdict on each pair, in order.
   *
   * @throws HeedError when the judge fails (see `Chat.complete`); the signal's reason when it aborts.
   */
  compare(pairs: readonly CompletionPair[], signal?: AbortSignal): Promise<Verdict[]>;
}

/** A judge that holds native memory: whoever opens it disposes of it. */
export type OpenCompletionJudge = CompletionJudge & Disposable;

/**
 * A judge as a function. For each pair it gives the probability that the first completion is better; 1, 0 and ½ mean
 * the first, the second, and a tie.
 */
export type JudgeFunction = (
  pairs: readonly CompletionPair[],
  signal?: AbortSignal,
) => ArrayLike<number> | Promise<ArrayLike<number>>;

/** A judge as a value: an object, a function, or a language model. */
export type JudgeSource = CompletionJudge | JudgeFunction | Model;

/** The part of a template that shows the prompt and its completions. */
export const SHOWN_PAIR = `Prompt:
{{prompt}}

Answer A:
{{a}}

Answer B:
{{b}}`;

const TEMPLATE = `Two answers to the same prompt follow. Decide which of them serves the one who asked better: it does what the prompt asks for, is right, and is well written. The order of the answers says nothing, and neither does their length by itself.

${SHOWN_PAIR}

Which answer is better? Write one letter and nothing else: A, B, or C where neither is better.`;

const HINT = 'The judge must see the prompt and both completions: put {{prompt}}, {{a}} and {{b}} in their places.';

/**
 * Opens a judge by name (see `openChat`), or wraps a value, which stays the caller's.
 *
 * @throws HeedError when the judge does not exist, or its template lacks a placeholder.
 */
export async function openJudge(
  source: string | JudgeSource,
  pull: PullOptions = {},
  options: z.input<typeof judgeCallSchema> = {},
): Promise<OpenCompletionJudge> {
  const { template: path, maxTokens, samples, ...call } = parseOptions(judgeCallSchema, options);
  if (typeof source === 'function') return { ...functionJudge(source), [Symbol.dispose]() {} };
  if (typeof source !== 'string' && !isModel(source)) {
    return { name: source.name, compare: (pairs, signal) => source.compare(pairs, signal), [Symbol.dispose]() {} };
  }
  const template = path === undefined ? undefined : readTemplate(path, ['prompt', 'a', 'b'], HINT);
  const chat = await openChat(source, pull, call);
  return { ...createJudge(chat, { template, maxTokens, samples }), [Symbol.dispose]: chat[Symbol.dispose] };
}

/**
 * A judge from a function. Its `compare` throws a HeedError unless the function gives a number from 0 to 1 per pair.
 */
function functionJudge(judge: JudgeFunction): CompletionJudge {
  const name = judge.name || 'judge';
  return {
    name,
    async compare(pairs, signal) {
      signal?.throwIfAborted();
      const preferences = Array.from(await judge(pairs, signal));
      const wrong = preferences.find((preference) => !(preference >= 0 && preference <= 1));
      if (wrong === undefined && preferences.length === pairs.length) {
        return preferences.map((probability) => {
          const preference = (1 + Math.sign(probability - 0.5)) / 2;
          const shown = { 0: ['second', 'first'], 0.5: ['tie', 'tie'], 1: ['first', 'second'] } as const;
          return { preference, shown: shown[preference as 0 | 0.5 | 1], probability };
        });
      }
      const got = wrong === undefined ? `${preferences.length} numbers` : String(wrong);
      throw new HeedError(`The judge "${name}" gave ${got}: expected ${pairs.length} numbers from 0 to 1.`, {
        hint: 'Return 1 when the first completion of a pair is better, 0 when the second is, 0.5 for a tie.',
      });
    },
  };
}

/**
 * A judge by a chat model, which stays the caller's. The verdict of a local model is the likelier of the replies "A"
 * and "B"; that of an endpoint is parsed from its reply.
 */
export function createJudge(
  chat: Chat,
  {
    template = TEMPLATE,
    maxTokens = 512,
    samples = 1,
  }: { template?: string; maxTokens?: number; samples?: number } = {},
): CompletionJudge {
  return {
    name: chat.name,
    async compare(pairs, signal) {
      signal?.throwIfAborted();
      if (pairs.length === 0) return [];
      const questions = pairs.flatMap(
        ({ prompt, completions: [one, other], template: text = template }): Conversation[] =>
          [
            [one, other],
            [other, one],
          ].map(([a, b]) => [{ role: 'user', content: fillTemplate(text, { prompt: textOfPrompt(prompt), a, b }) }]),
      );
      if (!chat.logProbs) {
        const asked = questions.flatMap((question) => Array.from({ length: samples }, () => question));
        const replies = await chat.complete(asked, { maxTokens, temperature: samples > 1 ? 1 : 0, signal });
        const shown = questions.map((_, i) =>
          mostOften(replies.slice(i * samples, (i + 1) * samples).map((reply) => verdictIn(reply))),
        );
        return pairs.map((_, i) => {
          const [plain, swapped] = [shown[2 * i], shown[2 * i + 1]];
          const consistency = samples > 1 ? { consistency: (plain.share + swapped.share) / 2 } : {};
          return { ...verdictOf(plain.verdict, swapped.verdict), ...consistency };
        });
      }
      const odds = (await chat.logProbs(questions, ['A', 'B'])).map(([a, b]) => a - b);
      const shown = odds.map((first): Shown => {
        if (first > 0) return 'first';
        return first < 0 ? 'second' : 'tie';
      });
      return pairs.map((_, i) => ({
        ...verdictOf(shown[2 * i], shown[2 * i + 1]),
        probability: (sigmoid(odds[2 * i]) + sigmoid(-odds[2 * i + 1])) / 2,
      }));
    },
  };
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/** The verdict that most samples have, and their share. Where two are as many, it is a tie. */
function mostOften(samples: readonly Shown[]): { verdict: Shown; share: number } {
  const counts = [...new Set(samples)].map((verdict) => ({
    verdict,
    share: samples.filter((sample) => sample === verdict).length / samples.length,
  }));
  const [first, second] = counts.sort((a, b) => b.share - a.share);
  return second?.share === first.share ? { verdict: 'tie', share: first.share } : first;
}

function verdictOf(plain: Shown, swapped: Shown): Verdict {
  const shown = [plain, swapped] as const;
  if (plain === 'first' && swapped === 'second') return { preference: 1, shown };
  if (plain === 'second' && swapped === 'first') return { preference: 0, shown };
  return { preference: 0.5, shown };
}

/** The verdict in a judge's reply: the last [[A]], [[B]] or [[C]], else a last line that is only the letter. */
export function verdictIn(text: string): Shown {
  const marked = [...text.matchAll(/\[\[\s*([ABC])\s*\]\]/g)].at(-1)?.[1];
  const last = text.trim().split('\n').at(-1)!;
  const letter = marked ?? last.match(/^\W*(?:(?:[Ff]inal |[Bb]etter )?(?:[Aa]nswer|[Vv]erdict)\W*)?([ABC])\W*$/)?.[1];
  return letter === undefined
    ? 'unreadable'
    : ({ A: 'first', B: 'second', C: 'tie' } as const)[letter as 'A' | 'B' | 'C'];
}

/** How consistent a judge's verdicts are. */
export interface JudgeCheck {
  /** Share of the pairs on which both orders gave the same verdict. */
  agreement: number;
  /** Share of the decided verdicts that are for what was shown first; ½ without position bias. */
  first: number;
  /** Mean share of an order's samples that say what most of them say, if several were drawn of each. */
  consistency?: number;
  /** Verdicts that could not be read, out of two per pair. */
  unreadable: number;
  /** Number of pairs. */
  pairs: number;
}

/** Measures how consistent verdicts are. */
export function checkVerdicts(verdicts: readonly Verdict[]): JudgeCheck {
  const all = verdicts.flatMap(({ shown }) => shown);
  const decided = all.filter((shown) => shown === 'first' || shown === 'second');
  const share = (part: number, whole: number) => (whole === 0 ? Number.NaN : part / whole);
  const consistencies = verdicts.flatMap(({ consistency }) => consistency ?? []);
  const agreeing = verdicts.filter(
    ({ preference, shown }) => preference !== 0.5 || shown.every((side) => side === 'tie'),
  );
  return {
    agreement: share(agreeing.length, verdicts.length),
    first: share(decided.filter((shown) => shown === 'first').length, decided.length),
    ...(consistencies.length > 0 && { consistency: mean(consistencies) }),
    unreadable: all.filter((shown) => shown === 'unreadable').length,
    pairs: verdicts.length,
  };
}
