/** What a reward model learns from and is judged by: files, or comparisons made in the embedded world. */
import type { z } from 'zod';
import { readDataset, tellBadRow } from '../../data/index.ts';
import { type PullOptions, resolveDataset } from '../../lm/hub.ts';
import type { Model } from '../../lm/model.ts';
import { seedFor } from '../../random.ts';
import { longestExample } from '../examples/examples.ts';
import { equalNotice } from '../examples/pairs.ts';
import { reviewComparisons } from '../world/comparisons.ts';
import type { RewardOptions, rankingDataSchema } from './options.ts';
import { gatherRankings, holdOutPrompts, type Rankings, rankingFormats } from './rankings.ts';

/** How data is got from the Hub, and who is told what a person should know of it. */
export interface ReadingParts {
  pull?: PullOptions;
  tell?: (text: string) => void;
}

/** Some rankings of a dataset. */
export interface Chosen {
  rankings: Rankings;
  lists: readonly number[];
}

export interface RewardData {
  train: Chosen;
  heldOut: Chosen | undefined;
}

/** What a training learns from, and what is held out: by prompt, so that none is in both. */
export async function readRewardData(options: RewardOptions, model: Model, parts: ReadingParts): Promise<RewardData> {
  const { evaluation, seed, comparisons, teacher } = options;
  if (options.data === undefined) {
    const drawn = async (count: number, by: string, from: number) =>
      gatherRankings(
        (await reviewComparisons(model, { comparisons: count, teacher: by, seed: from })).map((value) => ({ value })),
        model,
        options.world,
        { ...options, length: longestExample(options.length, model.config) },
      );
    const rankings = await drawn(comparisons, teacher, seed);
    const others = await drawn(evaluation.comparisons, 'oracle', seedFor(seed, 'held-out comparisons'));
    return { train: { rankings, lists: all(rankings) }, heldOut: { rankings: others, lists: all(others) } };
  }
  const rankings = await readRankings(options.data, options, model, parts);
  if (evaluation.data !== undefined) {
    const others = await readRankings(evaluation.data, options, model, parts);
    return { train: { rankings, lists: all(rankings) }, heldOut: { rankings: others, lists: all(others) } };
  }
  const { kept, held } = holdOutPrompts(rankings.lists, evaluation.share, seed);
  return {
    train: { rankings, lists: kept },
    heldOut: held.length > 0 ? { rankings, lists: held } : undefined,
  };
}

const all = ({ lists }: Rankings) => [...lists.keys()];

/** Rankings of a dataset, which may be on the Hub. */
export async function readRankings(
  data: string,
  options: z.output<typeof rankingDataSchema>,
  model: Pick<Model, 'config' | 'tokenizer' | 'ends'>,
  { pull, tell }: ReadingParts,
): Promise<Rankings> {
  const rows = readDataset(await resolveDataset(data, pull), {
    onBadRow: options.onBadRow,
    accept: rankingFormats,
    tell: (row) => tell?.(`left out ${tellBadRow(row)}`),
  });
  const length = longestExample(options.length, model.config);
  const rankings = await gatherRankings(rows, model, data, { ...options, length, tell });
  if (rankings.long > 0) {
    const what = options.truncate === 'drop' ? 'left out' : 'cut';
    tell?.(`"${data}": ${what} ${rankings.long} comparisons longer than ${length} tokens (--length, --truncate)`);
  }
  if (rankings.equal > 0) tell?.(equalNotice(data, rankings.equal));
  return rankings;
}
