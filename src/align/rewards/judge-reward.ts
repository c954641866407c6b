/** The evaluation of a reward model, or of an ensemble, on comparisons that it has not learned from: what `heed eval reward` tells. */
import { z } from 'zod';
import {
  type Data,
  describeBadRow,
  type Message,
  type PreferenceRow,
  type PromptCompletionRow,
  type RankingRow,
  type RatedRow,
  type UnpairedPreferenceRow,
} from '../../data/index.ts';
import { Disposables } from '../../disposables.ts';
import { HeedError } from '../../error.ts';
import { chatTemplateSchema, templatedModel } from '../../lm/built-in-templates.ts';
import { longestExample } from '../examples/examples.ts';
import { encodeAnswer } from '../examples/pairs.ts';
import { type Drift, driftOf, evaluateReward, judgedPairs, type RewardEvaluation } from '../reward-model/evaluation.ts';
import { createRewardScorer, loadRewardModel, type RewardModel, scoredAnswer } from '../reward-model/model.ts';
import { rankingDataSchema } from '../reward-model/options.ts';
import type { Rankings } from '../reward-model/rankings.ts';
import { readRankings } from '../reward-model/read-rankings.ts';
import { type Live, openSource, readSource, type Source, type Surroundings, separate } from '../training/input.ts';
import { membersOf } from './open.ts';

export const judgmentSchema = rankingDataSchema.extend({
  model: z
    .string()
    .describe('folder of a reward model or of an ensemble, or its name on the Hub; several with commas between'),
  data: z.string().describe('file, folder, pattern or name on the Hub of comparisons'),
  reference: z
    .string()
    .optional()
    .describe('answers such as it has learned from (prompt and completion), for the drift'),
  chatTemplate: chatTemplateSchema,
  policy: z.string().optional().describe('answers of the policy that it is to reward, for the drift'),
});
export type JudgmentOptions = z.output<typeof judgmentSchema>;

export interface Judgment {
  evaluation: RewardEvaluation;
  /** Deviation of the members' rewards of an answer, on average. Undefined of a single model. */
  disagreement: number | undefined;
  /** Where both the reference's and the policy's answers are given. */
  drift: Drift | undefined;
}

/** The row of samples.jsonl that an evaluation is. */
export interface JudgmentRow {
  kind: 'judgment';
  judgment: Judgment;
}

/** The input of `judgeReward`. */
export type JudgmentInput = Omit<z.input<typeof judgmentSchema>, 'model' | 'data' | 'reference' | 'policy'> &
  Surroundings & {
    /** A reward model or the members of an ensemble; or the folder or the name of one, several with commas between. */
    model: string | RewardModel | readonly RewardModel[];
    /** Comparisons, ranked or rated completions. */
    data: string | Data<PreferenceRow | RankingRow | RatedRow | UnpairedPreferenceRow>;
    /** Completions such as it has learned from, for the drift. */
    reference?: string | Data<PromptCompletionRow>;
    /** Completions of the policy that it is to reward, for the drift. */
    policy?: string | Data<PromptCompletionRow>;
  };

/**
 * Evaluates a reward model on comparisons that it has not learned from.
 *
 * @throws HeedError that names the option or the row that is wrong.
 */
export async function judgeReward(input: JudgmentInput): Promise<Judgment> {
  const { options, live } = separate(judgmentSchema, input);
  return judge(options, live);
}

async function judge(options: JudgmentOptions, live: Live): Promise<Judgment> {
  if ((options.reference === undefined) !== (options.policy === undefined)) {
    throw new HeedError("For the drift, the reference's completions and the policy's are needed both.", {
      hint: 'Give --reference and --policy, or neither.',
    });
  }
  using own = new Disposables();
  const models = [live.model ?? []].flat() as RewardModel[];
  if (live.model === undefined) {
    for (const name of options.model.split(',').flatMap((name) => membersOf(name.trim()))) {
      models.push(own.use(await loadRewardModel(name, live.pull)));
    }
  }
  const scorers = models.map((model) => own.use(createRewardScorer(model)));
  const model = templatedModel(models[0], options.chatTemplate, live.onNotice);
  const other = models.find(
    ({ tokenizer }) => tokenizer.files['tokenizer.json'] !== model.tokenizer.files['tokenizer.json'],
  );
  if (other) {
    throw new HeedError(`"${other.folder}" has another tokenizer than "${model.folder}".`, {
      hint: 'Evaluate them one by one: the members of an ensemble read alike.',
    });
  }
  const means = (answers: Parameters<(typeof scorers)[number]['run']>[0]) =>
    meansOf(scorers.map(({ run }) => run(answers)));
  const source = await openSource('data', options.data, live);
  const rankings: Rankings = await readRankings(source, options, model, live.onNotice);
  const { means: rewards, disagreement } = means(rankings.lengths.map((_, i) => rankings.answer(i)));
  const scale = models.reduce((sum, { calibration }) => sum + calibration.scale, 0) / models.length;
  const pairs = judgedPairs(rankings, [...rankings.lists.keys()], rewards);
  const drifted = async (path: 'reference' | 'policy', name: string) => {
    const { answers, lengths } = await readAnswers(await openSource(path, name, live), options, model, live);
    return { rewards: means(answers).means, lengths };
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
  const means = rewards[0].map((_, i) => rewards.reduce((sum, of) => sum + of[i], 0) / rewards.length);
  const deviations = Array.from(means, (mean, i) =>
    Math.sqrt(rewards.reduce((sum, of) => sum + (of[i] - mean) ** 2, 0) / rewards.length),
  );
  return { means, disagreement: deviations.reduce((sum, value) => sum + value, 0) / deviations.length };
}

/** Answers of a dataset with a completion to each prompt; those that are too long are left out. */
async function readAnswers(
  source: Source,
  { onBadRow, length }: JudgmentOptions,
  model: RewardModel,
  { onNotice }: Live,
) {
  const answers: ReturnType<typeof scoredAnswer>[] = [];
  const lengths: number[] = [];
  const rows = readSource(source, {
    onBadRow,
    accept: ['prompt-completion', 'unpaired-preference'],
    onSkip: (row) => onNotice?.(`left out ${describeBadRow(row)}`),
  });
  for await (const { value } of rows) {
    const answer = scoredAnswer(
      encodeAnswer(value.prompt as string | Message[], value.completion, model.tokenizer),
      model,
    );
    if (answer.ids.length > longestExample(length, model.config)) continue;
    answers.push(answer);
    lengths.push(answer.at![0] + 1 - Array.from(answer.learn!).indexOf(1));
  }
  if (answers.length > 0) return { answers, lengths };
  throw new HeedError(`"${source.name}" has no completion that fits.`, {
    hint: 'Give rows with prompt and completion.',
  });
}
