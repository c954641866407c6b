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
import { epochOrder, type Row } from '../../data/index.ts';
import { opening } from '../../disposables.ts';
import { templatedModel } from '../../lm/built-in-templates.ts';
import { createGenerator, type Generator } from '../../lm/generate.ts';
import type { PullOptions } from '../../lm/hub.ts';
import { loadModel, type Model } from '../../lm/model.ts';
import { seedFor } from '../../random.ts';
import { drawAnswers } from '../policies/draw.ts';
import { policyTrainingSchema } from '../policies/options.ts';
import { promptFingerprint, readPrompts, worldPrompts } from '../policies/prompts.ts';
import { answerLayout, type Prompt } from '../policies/rollouts.ts';
import type { Reward } from '../reward-functions/reward-function.ts';
import { openReward } from '../rewards/open.ts';
import { checkSameData } from '../training/progress.ts';

const whole = (least: number) => z.number().int().min(least);

export const bestOfNSchema = policyTrainingSchema
  .pick({
    ...{ seed: true, reward: true, rewardCall: true, data: true, onBadRow: true },
    ...{ maxTokens: true, temperature: true, generate: true, chatTemplate: true },
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
export type BestOfNOptions = z.output<typeof bestOfNSchema>;
export type BestOfNInput = z.input<typeof bestOfNSchema>;

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

interface BestOfNParts {
  model?: Model;
  reward?: Reward;
  gold?: Reward;
  /** How models and data are got from the Hub. */
  pull?: PullOptions;
  /** Told what a person should know of the data: rows left out. */
  tell?: (text: string) => void;
}

interface State {
  step: number;
  drawn: Drawn[];
  fingerprint: string;
}

export type BestOfN = Awaited<ReturnType<typeof createBestOfN>>;

/** Throws a ZodError at once where settings are wrong; rejects with a HeedError where model, rewards or prompts cannot be used. */
export function createBestOfN(given: BestOfNInput, parts: BestOfNParts = {}) {
  return create(bestOfNSchema.parse(given), parts);
}

async function create(options: BestOfNOptions, parts: BestOfNParts) {
  return opening(async (own) => {
    const loaded = parts.model ?? (await loadModel(options.model, parts.pull));
    own.use(loaded.parameters);
    const model = templatedModel(loaded, options.chatTemplate, parts.tell);
    const { data, onBadRow } = options;
    const all = data
      ? await readPrompts(data, model.tokenizer, { onBadRow, pull: parts.pull, tell: parts.tell })
      : worldPrompts(model.tokenizer);
    const drawn = Array.from(epochOrder(all.length, options.seed, 0).subarray(0, options.prompts), (i) => all[i]);
    const prompts = options.prompts === undefined ? all : drawn;
    answerLayout(model, prompts, { rows: 1, maxTokens: options.maxTokens }); // whether they fit
    const over = parts.model ? undefined : model;
    const reward = own.use(parts.reward ?? (await openReward(options.reward, parts.pull, options.rewardCall, over)));
    const gold = options.gold === undefined ? parts.gold : await openReward(options.gold, parts.pull, {}, over);
    if (gold) own.use(gold);
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

/** How likely each of `most` answers, the lowest first, is the best of n drawn from them: C(k − 1, n − 1) / C(most, n). */
function chancesOfBest(n: number, most: number): number[] {
  const chances = new Array<number>(most).fill(0);
  // from the highest down: each is as likely as the next higher, less the draws that hold that one
  chances[most - 1] = n / most;
  for (let k = most - 1; k >= n; k--) chances[k - 1] = (chances[k] * (k - n + 1)) / k;
  return chances;
}
