/**
 * Rewards by their text, as commands take them:
 *
 * - a folder or a name on the Hub: a reward model, or one of steps (heed process), whole or as adapters (PEFT); a folder of `member-…` folders, or several with commas between: an ensemble;
 * - a `.js`, `.mjs`, `.ts` or `.mts` file: the function that it exports;
 * - an `http://` or `https://` address: an endpoint;
 * - `reviews`, `reviews:tone`, `reviews:sentences`, …: the true reward of the embedded world, a part of it, or its good sentences;
 * - `0.7*A + 0.3*B`: the weighted sum of any of these.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { HeedError } from '../../error.ts';
import type { Message } from '../../lm/chat-template.ts';
import type { PullOptions } from '../../lm/hub.ts';
import type { Model } from '../../lm/model.ts';
import { encodeAnswer } from '../examples/pairs.ts';
import { processReward, readStepReading } from '../process/model.ts';
import { checkedRewards, endpointReward, fileReward } from '../reward-functions/call.ts';
import { type Answer, explained, type Reward, type Scores } from '../reward-functions/reward-function.ts';
import { rewardModelOver } from '../reward-model/adapted.ts';
import {
  createRewardScorer,
  loadRewardModel,
  type RewardModel,
  type ScorerOptions,
  scoredAnswer,
} from '../reward-model/model.ts';
import { reviewReward, reviewRewards } from '../world/rewards.ts';

export const rewardCallSchema = z.object({
  timeout: z.number().positive().default(60).describe('seconds that a function or an endpoint has for its answer'),
  retries: z.number().int().min(0).default(3).describe('times that an endpoint is asked again'),
  pause: z.number().min(0).default(0.5).describe('seconds before it is asked again, doubled each time'),
  pessimism: z
    .number()
    .min(0)
    .default(0)
    .describe("of an ensemble: so many deviations of its members' rewards are taken off their mean"),
});
export type RewardSettings = z.output<typeof rewardCallSchema>;

/**
 * Opens a reward. Reward models that are adapters of the model `over` take its weights in place of loading them again: these have to
 * stay as they were loaded, and outlive the reward.
 *
 * @throws HeedError where it is not there, or is none.
 */
export async function openReward(
  text: string,
  pull: PullOptions = {},
  given: z.input<typeof rewardCallSchema> = {},
  over?: Model,
): Promise<Reward> {
  const settings = rewardCallSchema.parse(given);
  const weighted = weightedIn(text);
  const sources = await openAll(
    weighted.map((part) => part.text),
    (part) => openOne(part, pull, settings, over),
  );
  if (weighted.length === 1 && weighted[0].weight === 1) return sources[0];
  return mixedReward(sources.map((reward, i) => ({ reward, weight: weighted[i].weight })));
}

/** What a reward's text is the sum of. */
function weightedIn(text: string): { weight: number; text: string }[] {
  const parts = text.split(/\s+\+\s+/).map((part) => part.trim());
  if (parts.includes('')) throw new HeedError(`"${text}" names no reward.`, { hint: 'Write 0.7*A + 0.3*B.' });
  return parts.map((part) => {
    const [, weight, of] = part.match(/^([+-]?(?:\d+\.?\d*|\.\d+))\s*\*\s*(.+)$/) ?? [];
    return { weight: weight === undefined ? 1 : Number(weight), text: of ?? part };
  });
}

/** What is no model: an address, or a file with a function. */
const outside = /^https?:\/\/|\.m?[jt]s$/;

const foldersIn = (text: string): string[] => text.split(',').flatMap((name) => membersOf(name.trim()));

/** Whether a reward's text names an ensemble, by itself or in a sum. */
export const hasEnsemble = (text: string): boolean =>
  weightedIn(text).some((part) => !outside.test(part.text) && foldersIn(part.text).length > 1);

/**
 * The folders, or names on the Hub, of the reward model or the ensemble that a text names.
 *
 * @throws HeedError where it names anything else.
 */
export function modelFolders(text: string): string[] {
  const weighted = weightedIn(text);
  const what =
    weighted.length > 1 || weighted[0].weight !== 1
      ? 'a sum'
      : outside.test(text)
        ? 'a function or an address'
        : reviewRewards.includes(text) && !existsSync(text)
          ? 'the true reward of the embedded world'
          : undefined;
  if (what === undefined) return foldersIn(text);
  throw new HeedError(`"${text}" is ${what}, not a reward model, which alone can learn from what people say.`, {
    hint: 'Give --reward the folder of a reward model or an ensemble; train one with: heed reward',
  });
}

async function openOne(
  text: string,
  pull: PullOptions,
  settings: RewardSettings,
  over: Model | undefined,
): Promise<Reward> {
  if (/^https?:\/\//.test(text)) return endpointReward(text, settings);
  if (/\.m?[jt]s$/.test(text)) return fileReward(text, settings);
  if (reviewRewards.includes(text) && !existsSync(text)) return reviewReward(text);
  const members = await openAll(foldersIn(text), (folder) => openModel(folder, pull, over));
  return members.length === 1 ? members[0] : ensembleReward(members, settings.pessimism);
}

async function openModel(folder: string, pull: PullOptions, over: Model | undefined): Promise<Reward> {
  const adapted = over && (await rewardModelOver(over, folder, pull));
  const model = adapted?.model ?? (await loadRewardModel(folder, pull));
  try {
    const steps = readStepReading(model.folder!);
    return steps ? processReward(model, steps, adapted) : modelReward(model, adapted);
  } catch (error) {
    model.parameters[Symbol.dispose]();
    throw error;
  }
}

/** All of them, or none: where one cannot be opened, the others are released. */
async function openAll(texts: readonly string[], open: (text: string) => Promise<Reward>): Promise<Reward[]> {
  const opened: Reward[] = [];
  try {
    for (const text of texts) opened.push(await open(text));
    return opened;
  } catch (error) {
    for (const reward of opened) reward[Symbol.dispose]();
    throw error;
  }
}

/** The folders of an ensemble's members, where a folder is one; else the folder or name itself. */
export function membersOf(name: string): string[] {
  if (!existsSync(name) || existsSync(join(name, 'config.json'))) return [name];
  const members = readdirSync(name).filter((entry) => /^member-\d+$/.test(entry));
  if (members.length === 0) return [name];
  return members.sort((a, b) => Number(a.slice(7)) - Number(b.slice(7))).map((entry) => join(name, entry));
}

/**
 * Rewards by a model, which reads prompts and answers as its own tokenizer and chat template write them; of what is longer than the
 * model knows, the beginning is not read. The model is released with the reward.
 */
export function modelReward(model: RewardModel, reading?: ScorerOptions): Reward {
  const scorer = createRewardScorer(model, reading);
  const name = model.folder ?? 'reward model';
  return {
    name,
    async score(answers, signal) {
      signal?.throwIfAborted();
      return checkedRewards(name, scorer.run(answers.map((answer) => encodedFor(model, answer))), answers);
    },
    [Symbol.dispose]() {
      scorer[Symbol.dispose]();
      model.parameters[Symbol.dispose]();
    },
  };
}

/** An answer with its prompt as the model reads it, ready to be scored. */
export function encodedFor(model: RewardModel, { promptText, text, row }: Answer) {
  const prompt = (row?.prompt ?? promptText) as string | Message[];
  const completion = typeof prompt === 'string' ? text : [{ role: 'assistant', content: text }];
  const { ids, at } = scoredAnswer(encodeAnswer(prompt, completion, model.tokenizer), model);
  const excess = Math.max(0, ids.length - model.config.maxPositions);
  return { ids: Array.from(ids).slice(excess), at: [Math.max(0, at![0] - excess)] };
}

/** Σ weight · reward. */
export function mixedReward(parts: readonly { weight: number; reward: Reward }[]): Reward {
  const explain = async (answers: readonly Answer[], signal?: AbortSignal): Promise<Scores> => {
    const all = await Promise.all(parts.map(({ reward }) => explained(reward, answers, signal)));
    const weighted = <T>(of: (own: Scores, weight: number) => T): T[] => all.map((own, k) => of(own, parts[k].weight));
    return {
      scores: answers.map((_, i) => weighted(({ scores }, weight) => weight * scores[i]).reduce((a, b) => a + b, 0)),
      ...(all.some(({ steps }) => steps) && {
        steps: answers.map((_, i) =>
          weighted(({ steps = [] }, weight) =>
            (steps[i] ?? []).map(({ end, reward }) => ({ end, reward: weight * reward })),
          ).flat(),
        ),
      }),
      parts: all.map(({ scores }, k) => ({ name: parts[k].reward.name, weight: parts[k].weight, scores })),
    };
  };
  return {
    name: parts.map(({ weight, reward }) => (weight === 1 ? reward.name : `${weight}*${reward.name}`)).join(' + '),
    explain,
    score: async (answers, signal) => (await explain(answers, signal)).scores,
    [Symbol.dispose]() {
      for (const { reward } of parts) reward[Symbol.dispose]();
    },
  };
}

/** The mean of the members' rewards, less `pessimism` deviations of them (Coste et al. 2023, §3). They are asked one after another. */
export function ensembleReward(members: readonly Reward[], pessimism = 0): Reward & Required<Pick<Reward, 'explain'>> {
  const explain = async (answers: readonly Answer[], signal?: AbortSignal): Promise<Scores> => {
    const all: ArrayLike<number>[] = [];
    for (const member of members) all.push(await member.score(answers, signal));
    const means = answers.map((_, i) => all.reduce((sum, rewards) => sum + rewards[i], 0) / all.length);
    const deviations = means.map((mean, i) =>
      Math.sqrt(all.reduce((sum, rewards) => sum + (rewards[i] - mean) ** 2, 0) / all.length),
    );
    return { scores: means.map((mean, i) => mean - pessimism * deviations[i]), deviations };
  };
  return {
    name: members.map(({ name }) => name).join(', '),
    explain,
    score: async (answers, signal) => (await explain(answers, signal)).scores,
    [Symbol.dispose]() {
      for (const member of members) member[Symbol.dispose]();
    },
  };
}
