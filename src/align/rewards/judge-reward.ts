/** Evaluates a reward model, or an ensemble, on comparisons that it was not trained on: `heed eval reward`. */
import { z } from 'zod';
import { describeBadRow } from '../../data/dataset.ts';
import type { Message } from '../../data/format.ts';
import type {
  Data,
  PreferenceRow,
  PromptCompletionRow,
  RankingRow,
  RatedRow,
  UnpairedPreferenceRow,
} from '../../data/rows.ts';
import { Disposables } from '../../disposables.ts';
import { HeedError } from '../../error.ts';
import { chatTemplateKwargsSchema, chatTemplateSchema, templatedModel } from '../../lm/built-in-templates.ts';
import { optionalText } from '../../options.ts';
import { longestExample } from '../examples/examples.ts';
import { encodeCompletion } from '../examples/pairs.ts';
import { type Drift, driftOf, evaluateReward, judgedPairs, type RewardEvaluation } from '../reward-model/evaluation.ts';
import { createRewardScorer, loadRewardModel, type RewardModel, scoredCompletion } from '../reward-model/model.ts';
import { rankingDataSchema } from '../reward-model/options.ts';
import type { Rankings } from '../reward-model/rankings.ts';
import { readRankings } from '../reward-model/read-rankings.ts';
import { type Live, openSource, readSource, type Source, type Surroundings, separate } from '../training/input.ts';
import { ensembleMembers } from './open.ts';

/** Schema of the options of `judgeReward`: types, ranges, defaults and help texts. */
export const rewardJudgmentSchema = rankingDataSchema.extend({
  model: z
    .string()
    .describe('a reward model or an ensemble: a folder or a name on the Hub, or several separated by commas'),
  data: z.string().describe('comparisons: a file, folder, pattern or name on the Hub'),
  reference: optionalText('for the drift: completions like those of its training data (prompt and completion)'),
  chatTemplate: chatTemplateSchema,
  chatTemplateKwargs: chatTemplateKwargsSchema,
  policy: optionalText('for the drift: completions of the policy that it will reward'),
});
/** The options of `judgeReward`, with their defaults. */
export type JudgmentOptions = z.output<typeof rewardJudgmentSchema>;

/** The result of `judgeReward`. */
export interface RewardJudgment {
  /** How well the model predicts the comparisons. */
  evaluation: RewardEvaluation;
  /** Standard deviation of the members' rewards of a completion, on average. Undefined for a single model. */
  disagreement: number | undefined;
  /** How the policy's completions differ from the reference's, if both were passed. */
  drift: Drift | undefined;
}

/** A row of samples.jsonl with an evaluation of a reward model. */
export interface JudgmentRow {
  /** Distinguishes the row from others. */
  kind: 'judgment';
  /** The evaluation. */
  judgment: RewardJudgment;
}

/** The input of `judgeReward`. */
export type JudgmentInput = Omit<z.input<typeof rewardJudgmentSchema>, 'model' | 'data' | 'reference' | 'policy'> &
  Surroundings & {
    /** A reward model or the members of an ensemble, loaded or by name; several names are separated by commas. */
    model: string | RewardModel | readonly RewardModel[];
    /** Comparisons, ranked or rated completions. */
    data: string | Data<PreferenceRow | RankingRow | RatedRow | UnpairedPreferenceRow>;
    /** For the drift: completions like those of the model's training data. */
    reference?: string | Data<PromptCompletionRow>;
    /** For the drift: completions of the policy that the model will reward. */
    policy?: string | Data<PromptCompletionRow>;
  };

/**
 * Evaluates a reward model on comparisons that it was not trained on.
 *
 * @throws HeedError that names the option or the row that is wrong.
 */
export async function judgeReward(input: JudgmentInput): Promise<RewardJudgment> {
  const { options, live } = separate(rewardJudgmentSchema, input);
  return judge(options, live);
}

async function judge(options: JudgmentOptions, live: Live): Promise<RewardJudgment> {
  if ((options.reference === undefined) !== (options.policy === undefined)) {
    throw new HeedError("The drift needs both the reference's completions and the policy's.", {
      hint: 'Set --reference and --policy, or neither.',
    });
  }
  using scope = new Disposables();
  const models = [live.model ?? []].flat() as RewardModel[];
  if (live.model === undefined) {
    for (const name of options.model.split(',').flatMap((name) => ensembleMembers(name.trim()))) {
      models.push(scope.use(await loadRewardModel(name, live.pull)));
    }
  }
  const scorers = models.map((model) => scope.use(createRewardScorer(model)));
  const model = templatedModel(models[0], options, live.onNotice);
  const other = models.find(
    ({ tokenizer }) => tokenizer.files['tokenizer.json'] !== model.tokenizer.files['tokenizer.json'],
  );
  if (other) {
    throw new HeedError(`"${other.folder}" has a different tokenizer from "${model.folder}".`, {
      hint: 'Evaluate them one by one: the members of an ensemble must have the same tokenizer.',
    });
  }
  const means = async (completions: Parameters<(typeof scorers)[number]['run']>[0]) =>
    meansOf(await Promise.all(scorers.map(({ run }) => run(completions))));
  const source = await openSource('data', options.data, live);
  const rankings: Rankings = await readRankings(source, options, model, live.onNotice);
  const { means: rewards, disagreement } = await means(rankings.lengths.map((_, i) => rankings.completion(i)));
  const scale = models.reduce((sum, { calibration }) => sum + calibration.scale, 0) / models.length;
  const pairs = judgedPairs(rankings, [...rankings.lists.keys()], rewards);
  const drifted = async (path: 'reference' | 'policy', name: string) => {
    const { completions, lengths } = await readCompletions(await openSource(path, name, live), options, model, live);
    return { rewards: (await means(completions)).means, lengths };
  };
  const drift =
    options.reference === undefined
      ? undefined
      : driftOf(await drifted('reference', options.reference), await drifted('policy', options.policy!));
  return {
    evaluation: evaluateReward(pairs, scale),
    disagreement: models.length > 1 ? disagreement : undefined,
    drift,
  };
}

function meansOf(rewards: readonly Float32Array[]): { means: Float32Array; disagreement: number } {
  const means = rewards[0].map((_, i) => rewards.reduce((sum, member) => sum + member[i], 0) / rewards.length);
  const deviations = Array.from(means, (mean, i) =>
    Math.sqrt(rewards.reduce((sum, member) => sum + (member[i] - mean) ** 2, 0) / rewards.length),
  );
  return { means, disagreement: deviations.reduce((sum, value) => sum + value, 0) / deviations.length };
}

/** The completions of a dataset, ready to be scored; those that are too long are left out. */
async function readCompletions(
  source: Source,
  { onBadRow, length }: JudgmentOptions,
  model: RewardModel,
  { onNotice }: Live,
) {
  const completions: ReturnType<typeof scoredCompletion>[] = [];
  const lengths: number[] = [];
  const rows = readSource(source, {
    onBadRow,
    accept: ['prompt-completion', 'unpaired-preference'],
    onSkip: (row) => onNotice?.(`left out ${describeBadRow(row)}`),
  });
  for await (const { value } of rows) {
    const completion = scoredCompletion(
      encodeCompletion(value.prompt as string | Message[], value.completion, model.tokenizer, value),
      model,
    );
    if (completion.ids.length > longestExample(length, model.config)) continue;
    completions.push(completion);
    lengths.push(completion.at![0] + 1 - Array.from(completion.learn!).indexOf(1));
  }
  if (completions.length > 0) return { completions, lengths };
  throw new HeedError(`"${source.name}" has no completion that fits.`, {
    hint: 'Rows need a prompt and a completion.',
  });
}
