/** What a reward model learns from and is judged by: files, or comparisons made in the embedded world. */
import type { z } from 'zod';
import { tellBadRow } from '../../data/index.ts';
import { HeedError } from '../../error.ts';
import type { Model } from '../../lm/model.ts';
import { seedFor } from '../../random.ts';
import { type Live, openSource, readSource, type Source } from '../training/input.ts';
import { reviewComparisons } from '../world/comparisons.ts';
import type { RewardOptions, rankingDataSchema } from './options.ts';
import { gatherRankings, holdOutPrompts, type Rankings, rankingFormats } from './rankings.ts';

/** Some rankings of a dataset. */
export interface Chosen {
  rankings: Rankings;
  lists: readonly number[];
}

export interface RewardData {
  train: Chosen;
  heldOut: Chosen | undefined;
}

const LONGEST = 1024;

/** The most tokens that are read of an answer with its prompt. @throws HeedError where the model has no place for as many. */
export function longestAnswer(length: number | undefined, { config }: Pick<Model, 'config'>): number {
  const most = length ?? Math.min(LONGEST, config.maxPositions);
  if (most <= config.maxPositions || config.positions.kind !== 'learned') return most;
  throw new HeedError(`Answers of ${most} tokens are longer than the ${config.maxPositions} positions of the model.`, {
    hint: `Give --length ${config.maxPositions} or less.`,
  });
}

/** What a training learns from, and what is held out: by prompt, so that none is in both. */
export async function readRewardData(options: RewardOptions, model: Model, live: Live): Promise<RewardData> {
  const { evaluation, seed, comparisons, teacher } = options;
  if (options.data === undefined) {
    const drawn = async (count: number, by: string, from: number) =>
      gatherRankings(
        (await reviewComparisons(model, { comparisons: count, teacher: by, seed: from })).map((value) => ({ value })),
        model,
        options.world,
        { ...options, length: longestAnswer(options.length, model) },
      );
    const rankings = await drawn(comparisons, teacher, seed);
    const others = await drawn(evaluation.comparisons, 'oracle', seedFor(seed, 'held-out comparisons'));
    return { train: { rankings, lists: all(rankings) }, heldOut: { rankings: others, lists: all(others) } };
  }
  const read = async (path: 'data' | 'evaluation.data', name: string) =>
    readRankings(await openSource(path, name, live), options, model, live.onNotice);
  const rankings = await read('data', options.data);
  if (evaluation.data !== undefined) {
    const others = await read('evaluation.data', evaluation.data);
    return { train: { rankings, lists: all(rankings) }, heldOut: { rankings: others, lists: all(others) } };
  }
  const { kept, held } = holdOutPrompts(rankings.lists, evaluation.share, seed);
  return {
    train: { rankings, lists: kept },
    heldOut: held.length > 0 ? { rankings, lists: held } : undefined,
  };
}

const all = ({ lists }: Rankings) => [...lists.keys()];

/** The rankings of a dataset. @throws HeedError where a row cannot be used, or nothing is left. */
export async function readRankings(
  source: Source,
  options: z.output<typeof rankingDataSchema>,
  model: Pick<Model, 'config' | 'tokenizer' | 'ends'>,
  onNotice?: (text: string) => void,
): Promise<Rankings> {
  const rows = readSource(source, {
    onBadRow: options.onBadRow,
    accept: rankingFormats,
    onSkip: (row) => onNotice?.(`left out ${tellBadRow(row)}`),
  });
  const length = longestAnswer(options.length, model);
  const rankings = await gatherRankings(rows, model, source.name, { ...options, length, onNotice });
  if (rankings.long > 0) {
    const what = options.truncate === 'drop' ? 'left out' : 'cut';
    onNotice?.(`"${source.name}": ${what} ${rankings.long} comparisons longer than ${length} tokens`);
  }
  return rankings;
}
