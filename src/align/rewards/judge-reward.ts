/** The evaluation of a reward model, or of an ensemble, on comparisons that it has not learned from: what `heed eval reward` tells. */
import { z } from 'zod';
import { type Message, readDataset, tellBadRow } from '../../data/index.ts';
import { HeedError } from '../../error.ts';
import { chatTemplateSchema, templatedModel } from '../../lm/built-in-templates.ts';
import { resolveDataset } from '../../lm/hub.ts';
import { longestExample } from '../examples/examples.ts';
import { encodeAnswer } from '../examples/pairs.ts';
import { type Drift, driftOf, evaluateReward, judgedPairs, type RewardEvaluation } from '../reward-model/evaluation.ts';
import { createRewardScorer, loadRewardModel, type RewardModel, scoredAnswer } from '../reward-model/model.ts';
import { rankingDataSchema } from '../reward-model/options.ts';
import type { Rankings } from '../reward-model/rankings.ts';
import { type ReadingParts, readRankings } from '../reward-model/read-rankings.ts';
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

/** Throws a ZodError at once where settings are wrong; rejects with a HeedError where model or data cannot be used. */
export function judgeReward(given: z.input<typeof judgmentSchema>, parts: ReadingParts = {}): Promise<Judgment> {
  return judge(judgmentSchema.parse(given), parts);
}

async function judge(options: JudgmentOptions, parts: ReadingParts): Promise<Judgment> {
  if ((options.reference === undefined) !== (options.policy === undefined)) {
    throw new HeedError("For the drift, the reference's answers and the policy's are needed both.", {
      hint: 'Give --reference and --policy, or neither.',
    });
  }
  const models: RewardModel[] = [];
  const scorers: ReturnType<typeof createRewardScorer>[] = [];
  try {
    for (const name of options.model.split(',').flatMap((name) => membersOf(name.trim()))) {
      models.push(await loadRewardModel(name, parts.pull));
      scorers.push(createRewardScorer(models.at(-1)!));
    }
    const model = templatedModel(models[0], options.chatTemplate, parts.tell);
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
    const rankings: Rankings = await readRankings(options.data, options, model, parts);
    const { means: rewards, disagreement } = means(rankings.lengths.map((_, i) => rankings.answer(i)));
    const scale = models.reduce((sum, { calibration }) => sum + calibration.scale, 0) / models.length;
    const pairs = judgedPairs(rankings, [...rankings.lists.keys()], rewards);
    const drifted = async (data: string) => {
      const { answers, lengths } = await readAnswers(data, options, model, parts);
      return { rewards: means(answers).means, lengths };
    };
    const drift =
      options.reference === undefined
        ? undefined
        : driftOf(await drifted(options.reference), await drifted(options.policy!));
    return {
      evaluation: evaluateReward(pairs, scale),
      disagreement: models.length > 1 ? disagreement : undefined,
      drift,
    };
  } finally {
    for (const scorer of scorers) scorer[Symbol.dispose]();
    for (const { parameters } of models) parameters[Symbol.dispose]();
  }
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
  data: string,
  { onBadRow, length }: JudgmentOptions,
  model: RewardModel,
  { pull, tell }: ReadingParts,
) {
  const answers: ReturnType<typeof scoredAnswer>[] = [];
  const lengths: number[] = [];
  const rows = readDataset(await resolveDataset(data, pull), {
    onBadRow,
    accept: ['prompt-completion', 'unpaired-preference'],
    tell: (row) => tell?.(`left out ${tellBadRow(row)}`),
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
  throw new HeedError(`"${data}" has no answer that fits.`, { hint: 'Give rows with prompt and completion.' });
}
