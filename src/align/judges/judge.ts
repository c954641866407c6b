/**
 * A model that says which of two answers is better (Zheng et al. 2023, "Judging LLM-as-a-Judge"). Such models lean to what they are
 * shown first, so each pair is shown in both orders; where the two verdicts are not for the same answer, the pair is a tie.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { HeedError } from '../../error.ts';
import { fileError } from '../../files.ts';
import type { PullOptions } from '../../lm/hub.ts';
import type { Model } from '../../lm/model.ts';
import { isModel } from '../training/input.ts';
import { openChat } from './chat.ts';
import { chatCallSchema } from './endpoint-chat.ts';
import type { Chat, Conversation } from './source.ts';

export const judgeCallSchema = chatCallSchema.extend({
  template: z
    .string()
    .optional()
    .describe(
      'a text file with what a judge is asked, with {{prompt}}, {{a}} and {{b}} in it (default: which is better)',
    ),
  maxTokens: z.number().int().min(1).default(512).describe('tokens of what an endpoint says at most'),
});

/** Which of two answers a verdict is for, by the order in which they were shown. */
type Shown = 'first' | 'second' | 'tie' | 'unreadable';

export interface Verdict {
  /** 1: the first of the pair is better; 0: the second is; ½: neither, or the two orders disagree. */
  preference: number;
  /** What was said of the pair as it is, and with its answers swapped. */
  shown: readonly [Shown, Shown];
  /** By a local model, how likely the first of the pair is the better one: the mean of both orders. */
  probability?: number;
}

export interface AnswerPair {
  prompt: string | Conversation;
  answers: readonly [string, string];
  /** What the judge is asked of this pair, in place of its template. */
  template?: string;
}

export interface Judge {
  readonly name: string;
  /** A verdict on each pair, in their order. Throws as a chat does. */
  compare(pairs: readonly AnswerPair[], signal?: AbortSignal): Promise<Verdict[]>;
}

/** A judge that holds native memory, for whoever opened it to dispose of. */
export type OpenJudge = Judge & Disposable;

/**
 * A judge as a function: for each pair, 1 where its first completion is better, 0 where its second is, ½ for a tie; or how
 * likely the first is better.
 */
export type JudgeFunction = (
  pairs: readonly AnswerPair[],
  signal?: AbortSignal,
) => ArrayLike<number> | Promise<ArrayLike<number>>;

/** A judge at hand: an object, a function, or a language model that is asked. */
export type JudgeSource = Judge | JudgeFunction | Model;

/** Where a template shows the prompt and its answers. */
export const SHOWN_PAIR = `Prompt:
{{prompt}}

Answer A:
{{a}}

Answer B:
{{b}}`;

const TEMPLATE = `Two answers to the same prompt follow. Decide which of them serves the one who asked better: it does what the prompt asks for, is right, and is well written. The order of the answers says nothing, and neither does their length by itself.

${SHOWN_PAIR}

Which answer is better? Write one letter and nothing else: A, B, or C where neither is better.`;

/**
 * Opens a judge, by a name as `openChat` reads it, or makes one of what is at hand, which stays the caller's.
 *
 * @throws HeedError where it is not there, or its template is none.
 */
export async function openJudge(
  source: string | JudgeSource,
  pull: PullOptions = {},
  given: z.input<typeof judgeCallSchema> = {},
): Promise<OpenJudge> {
  const { template: path, maxTokens, ...call } = judgeCallSchema.parse(given);
  if (typeof source === 'function') return { ...functionJudge(source), [Symbol.dispose]() {} };
  if (typeof source !== 'string' && !isModel(source)) {
    return { name: source.name, compare: (pairs, signal) => source.compare(pairs, signal), [Symbol.dispose]() {} };
  }
  const template = path === undefined ? undefined : readTemplate(path);
  const chat = await openChat(source, pull, call);
  return { ...createJudge(chat, { template, maxTokens }), [Symbol.dispose]: chat[Symbol.dispose] };
}

/** A judge from a function. @throws HeedError unless it gives a number from 0 to 1 for each pair. */
function functionJudge(judge: JudgeFunction): Judge {
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
        hint: 'Give 1 where the first completion of a pair is better, 0 where the second is, 0.5 for a tie.',
      });
    },
  };
}

/**
 * A judge that asks a chat, which stays the caller's. Of a local model the likelier of the answers "A" and "B" is the verdict; an endpoint's
 * is read in what it says.
 */
export function createJudge(
  chat: Chat,
  { template = TEMPLATE, maxTokens = 512 }: { template?: string; maxTokens?: number } = {},
): Judge {
  return {
    name: chat.name,
    async compare(pairs, signal) {
      signal?.throwIfAborted();
      if (pairs.length === 0) return [];
      const asked = pairs.flatMap(({ prompt, answers: [one, other], template: own = template }): Conversation[] =>
        [
          [one, other],
          [other, one],
        ].map(([a, b]) => [{ role: 'user', content: filled(own, { prompt: inWords(prompt), a, b }) }]),
      );
      if (!chat.logProbs) {
        const said = (await chat.complete(asked, { maxTokens, temperature: 0, signal })).map(verdictIn);
        return pairs.map((_, i) => verdictOf(said[2 * i], said[2 * i + 1]));
      }
      const odds = chat.logProbs(asked, ['A', 'B']).map(([a, b]) => a - b);
      const said = odds.map((first): Shown => (first > 0 ? 'first' : first < 0 ? 'second' : 'tie'));
      return pairs.map((_, i) => ({
        ...verdictOf(said[2 * i], said[2 * i + 1]),
        probability: (sigmoid(odds[2 * i]) + sigmoid(-odds[2 * i + 1])) / 2,
      }));
    },
  };
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

function verdictOf(plain: Shown, swapped: Shown): Verdict {
  const shown = [plain, swapped] as const;
  if (plain === 'first' && swapped === 'second') return { preference: 1, shown };
  if (plain === 'second' && swapped === 'first') return { preference: 0, shown };
  return { preference: 0.5, shown };
}

/** The verdict in what a judge says: the last [[A]], [[B]] or [[C]], else the letter that is all of the last line. */
export function verdictIn(text: string): Shown {
  const marked = [...text.matchAll(/\[\[\s*([ABC])\s*\]\]/g)].at(-1)?.[1];
  const last = text.trim().split('\n').at(-1)!;
  const letter = marked ?? last.match(/^\W*(?:(?:[Ff]inal |[Bb]etter )?(?:[Aa]nswer|[Vv]erdict)\W*)?([ABC])\W*$/)?.[1];
  return letter === undefined
    ? 'unreadable'
    : ({ A: 'first', B: 'second', C: 'tie' } as const)[letter as 'A' | 'B' | 'C'];
}

/** In one pass: what stands in an answer is never filled in. */
const filled = (template: string, parts: Readonly<Record<string, string>>): string =>
  template.replace(/\{\{\s*(prompt|a|b)\s*\}\}/g, (_, name: string) => parts[name]);

function inWords(prompt: string | Conversation): string {
  if (typeof prompt === 'string') return prompt;
  const contents = prompt.map(({ role, content }) => ({ role, text: typeof content === 'string' ? content : '' }));
  return contents.length === 1 ? contents[0].text : contents.map(({ role, text }) => `${role}: ${text}`).join('\n\n');
}

function readTemplate(path: string): string {
  let template: string;
  try {
    template = readFileSync(path, 'utf8');
  } catch (error) {
    throw fileError(error, 'read', path);
  }
  const missing = ['prompt', 'a', 'b'].filter((name) => !new RegExp(`\\{\\{\\s*${name}\\s*\\}\\}`).test(template));
  if (missing.length === 0) return template;
  throw new HeedError(`"${path}" has no ${missing.map((name) => `{{${name}}}`).join(' and no ')}.`, {
    hint: 'A judge is shown the prompt and both answers: put {{prompt}}, {{a}} and {{b}} where they go.',
  });
}

/** How far a judge's verdicts can be trusted. */
export interface JudgeCheck {
  /** Share of the pairs on which both orders gave the same verdict. */
  agreement: number;
  /** Share of the decided verdicts that are for what was shown first: ½ without a bias of position. */
  first: number;
  /** Of the two verdicts on each pair, how many could not be read. */
  unreadable: number;
  pairs: number;
}

export function checkVerdicts(verdicts: readonly Verdict[]): JudgeCheck {
  const all = verdicts.flatMap(({ shown }) => shown);
  const decided = all.filter((shown) => shown === 'first' || shown === 'second');
  const share = (part: number, whole: number) => (whole === 0 ? Number.NaN : part / whole);
  const agreeing = verdicts.filter(({ preference, shown }) => preference !== 0.5 || shown.every((of) => of === 'tie'));
  return {
    agreement: share(agreeing.length, verdicts.length),
    first: share(decided.filter((shown) => shown === 'first').length, decided.length),
    unreadable: all.filter((shown) => shown === 'unreadable').length,
    pairs: verdicts.length,
  };
}
