/**
 * Best of n (Stiennon et al. 2020; Nakano et al. 2021, WebGPT): of n answers to a prompt, the one with the highest reward is
 * taken. Nothing is trained, and what it costs in KL is known (Gao et al. 2022: few policies so near do better):
 *
 *   KL = log n − (n − 1)/n nats an answer
 *
 * N answers to each prompt tell what the best of any n ≤ N is worth, without bias (Nakano et al., appendix I): among
 * all draws of n of the N, the k-th lowest is the best in C(k − 1, n − 1) of C(N, n). By a second reward, `gold`, that
 * is what choosing by the first really brings. The answers taken are a dataset to fine-tune on.
 *
 * Run it: heed best-of-n --model runs/sft/model --answers 64
 */
import { basename } from 'node:path';
import { z } from 'zod';
import { epochOrder, type PromptCompletionRow, type Row, type TextOrMessages } from '../../data/index.ts';
import { opening } from '../../disposables.ts';
import { createGenerator, type Generator } from '../../lm/generate.ts';
import type { Model } from '../../lm/model.ts';
import { seedFor } from '../../random.ts';
import type { Training } from '../../run/index.ts';
import { drawAnswers } from '../policies/draw.ts';
import { policyTrainingSchema } from '../policies/options.ts';
import { promptFingerprint, readPrompts, worldPrompts } from '../policies/prompts.ts';
import { answerLayout, type Prompt } from '../policies/rollouts.ts';
import type { PolicyInput } from '../policies/setup.ts';
import type { Reward } from '../reward-functions/reward-function.ts';
import { openRewardOption } from '../rewards/open.ts';
import { type Live, learnerOf, type Opener, openModel, openSource } from '../training/input.ts';
import { checkSameData } from '../training/progress.ts';
import { type TrainingResult, trainingOf } from '../training/verb.ts';

const whole = (least: number) => z.number().int().min(least);

export const bestOfNSchema = policyTrainingSchema
  .pick({
    ...{ seed: true, reward: true, rewardCall: true, data: true, onBadRow: true },
    ...{ maxTokens: true, temperature: true, generate: true },
  })
  .extend({
    model: z.string().describe('folder of the model that answers, or its name on the Hub'),
    gold: z
      .string()
      .optional()
      .describe('a second reward, which the answers taken are judged by: as --reward (default: none)'),
    answers: whole(2).default(16).describe('answers to each prompt, of which the best is taken'),
    prompts: whole(1).optional().describe('prompts to answer, drawn by the seed (default: all)'),
    batch: whole(1).default(8).describe('prompts answered in a step'),
  });
/** The options of `bestOfN`, with their defaults. */
export type BestOfNOptions = z.output<typeof bestOfNSchema>;
/** The input of `bestOfN`. */
export type BestOfNInput = PolicyInput<z.input<typeof bestOfNSchema>>;

/** What was drawn for a prompt. */
export interface Drawn {
  prompt: string;
  /** As the dataset has it, where it has one. */
  row?: Row;
  /** Of each answer. */
  rewards: number[];
  gold?: number[];
  /** The answer of the highest reward, and the first that was drawn. */
  best: string;
  first: string;
}

/** Means over the prompts. */
export interface BestOf {
  n: number;
  /** In nats an answer. */
  kl: number;
  reward: number;
  gold?: number;
}

export interface BestOfNStep {
  /** Steps so far, of which each answered a few prompts. */
  step: number;
  drawn: readonly Drawn[];
  done: boolean;
}

interface State {
  step: number;
  drawn: Drawn[];
  fingerprint: string;
}

/** What draws completions and chooses among them, a few prompts a step. */
export type BestOfN = Awaited<ReturnType<typeof create>>;

/** What `bestOfN` runs. */
export const createBestOfN: Opener<BestOfNInput, BestOfN> = learnerOf(bestOfNSchema, create);

/** What `bestOfN` ends with. The model is as it was. */
export interface BestOfNResult extends TrainingResult {
  /** The best completion of each prompt: data for `sft`. */
  rows: PromptCompletionRow[];
  /** What the best of 1, 2, 4, … and all completions is worth. */
  bestOf: BestOf[];
  /** What was drawn for each prompt, with the reward of every completion. */
  drawn: readonly Drawn[];
}

/**
 * Takes the best of several completions of each prompt by a reward. Nothing is trained (Stiennon et al. 2020).
 *
 *     const { rows } = await bestOfN({ model, data: [{ prompt: 'Hello' }], answers: 8, reward: (completions) => … });
 *
 * Rejects with a HeedError that names the option or the row that is wrong.
 */
export function bestOfN(input: BestOfNInput): Training<BestOfNStep, BestOfNResult> {
  const all: Drawn[] = [];
  return trainingOf(
    () => createBestOfN(input),
    input.signal,
    ({ drawn }) => {
      all.push(...drawn);
      return drawnMetrics(all);
    },
    (learner) => {
      const drawn = learner.drawn();
      return { rows: drawn.map(bestRow), bestOf: drawn.length > 0 ? bestOf(drawn) : [], drawn };
    },
  );
}

async function create(options: BestOfNOptions, live: Live) {
  return opening(async (own) => {
    const model = await openModel('model', options.model, live, own);
    const { data, onBadRow } = options;
    const all =
      data === undefined
        ? worldPrompts(model.tokenizer)
        : await readPrompts(await openSource('data', data, live), model.tokenizer, {
            onBadRow,
            onNotice: live.onNotice,
          });
    const drawn = Array.from(epochOrder(all.length, options.seed, 0).subarray(0, options.prompts), (i) => all[i]);
    const prompts = options.prompts === undefined ? all : drawn;
    answerLayout(model, prompts, { rows: 1, maxTokens: options.maxTokens }); // whether they fit
    const over = live.model === undefined ? model : undefined;
    const reward = await openRewardOption('reward', options.reward, live, own, options.rewardCall, over);
    const gold =
      options.gold === undefined ? undefined : await openRewardOption('gold', options.gold, live, own, {}, over);
    const generator = own.use(createGenerator(model.config, model.parameters.values));
    return { ...learner(options, { model, prompts, reward, gold, generator }), [Symbol.dispose]: own[Symbol.dispose] };
  });
}

interface Tools {
  model: Model;
  prompts: readonly Prompt[];
  reward: Reward;
  gold: Reward | undefined;
  generator: Generator;
}

function learner(options: BestOfNOptions, { model, prompts, reward, gold, generator }: Tools) {
  const { batch, answers: count, seed, temperature, maxTokens } = options;
  const fingerprint = promptFingerprint(prompts);
  let state: State = { step: 0, drawn: [], fingerprint };
  return {
    options,
    name: `${basename(options.model)}-best-of-${count}`,
    steps: Math.ceil(prompts.length / batch),
    /** What has been drawn so far. */
    drawn: (): readonly Drawn[] => state.drawn,
    /** Answers a few prompts. Rejects with the signal's reason where it aborts. */
    async next(signal?: AbortSignal): Promise<BestOfNStep> {
      const some = prompts.slice(state.step * batch, (state.step + 1) * batch);
      const asked = some.flatMap((prompt) => new Array<Prompt>(count).fill(prompt));
      const answers = await drawAnswers(generator, model, asked, {
        ...{ maxTokens, temperature, batch: options.generate.batch, signal },
        seed: seedFor(seed, 'rollout', state.step),
      });
      const [rewards, golds] = await Promise.all([reward.score(answers, signal), gold?.score(answers, signal)]);
      const drawn = some.map(({ text, row }, i): Drawn => {
        const group = (scores: ArrayLike<number>): number[] =>
          Array.prototype.slice.call(scores, i * count, (i + 1) * count);
        const own = group(rewards);
        return {
          prompt: text,
          row,
          rewards: own,
          gold: golds && group(golds),
          best: answers[i * count + own.indexOf(Math.max(...own))].text,
          first: answers[i * count].text,
        };
      });
      state = { step: state.step + 1, drawn: [...state.drawn, ...drawn], fingerprint };
      return { step: state.step, drawn, done: state.step * batch >= prompts.length };
    },
    save: () => ({ state, tensors: {} }),
    restore(checkpoint: { state: unknown; tensors: unknown }): void {
      const saved = checkpoint.state as State;
      checkSameData(saved, state, 'prompts');
      state = saved;
    },
  };
}

/** What the best of 1, 2, 4, … and all answers is worth. */
export function bestOf(drawn: readonly Drawn[]): BestOf[] {
  const most = drawn[0].rewards.length;
  const counts = Array.from({ length: Math.floor(Math.log2(most)) + 1 }, (_, i) => 2 ** i);
  if (counts.at(-1) !== most) counts.push(most);
  return counts.map((n) => {
    const chances = chancesOfBest(n, most);
    const mean = (of: (drawn: Drawn) => number[]) =>
      drawn.reduce((sum, one) => {
        const order = one.rewards.map((_, i) => i).sort((a, b) => one.rewards[a] - one.rewards[b]);
        return sum + order.reduce((inner, i, rank) => inner + chances[rank] * of(one)[i], 0);
      }, 0) / drawn.length;
    return {
      n,
      kl: Math.log(n) - (n - 1) / n,
      reward: mean(({ rewards }) => rewards),
      ...(drawn[0].gold && { gold: mean(({ gold }) => gold!) }),
    };
  });
}

/** What the best of each number of completions is worth so far, as metrics. */
export const drawnMetrics = (drawn: readonly Drawn[]): Record<string, number> =>
  Object.fromEntries(
    bestOf(drawn).flatMap(({ n, reward, gold }): [string, number][] => [
      [`best_of/${n}`, reward],
      ...(gold === undefined ? [] : [[`gold_of/${n}`, gold] satisfies [string, number]]),
    ]),
  );

/** A prompt as its dataset had it, with the best completion and its reward. */
export function bestRow({ prompt: text, row, best, rewards }: Drawn): PromptCompletionRow & { reward: number } {
  const prompt = (row?.prompt ?? text) as TextOrMessages;
  const completion = Array.isArray(prompt) ? [{ role: 'assistant', content: best.trim() }] : best;
  return { prompt, completion, reward: Math.max(...rewards) };
}

/** How likely each of `most` answers, the lowest first, is the best of n drawn from them: C(k − 1, n − 1) / C(most, n). */
function chancesOfBest(n: number, most: number): number[] {
  const chances = new Array<number>(most).fill(0);
  // from the highest down: each is as likely as the next higher, less the draws that hold that one
  chances[most - 1] = n / most;
  for (let k = most - 1; k >= n; k--) chances[k - 1] = (chances[k] * (k - n + 1)) / k;
  return chances;
}
