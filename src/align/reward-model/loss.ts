/**
 * What a reward model minimizes: the loss of rankings of answers, from their scores s. Over the rankings of a batch, the mean of
 *
 * - Bradley–Terry: the mean over the pairs of a ranking (Ouyang et al. 2022, InstructGPT, §3.5, eq. 1), i better than j, of
 *     −(1 − ε) log σ(sᵢ − sⱼ − m) − ε log σ(sⱼ − sᵢ + m)
 *   with margin m (Touvron et al. 2023, Llama 2, §3.2.2) and ε of the labels taken to be wrong; of a tie, −½ log σ(d) − ½ log σ(−d).
 * - Plackett–Luce: −1/(K − 1) Σᵢ [sᵢ − log Σⱼ exp sⱼ], j over i and all that are not better than it (Luce 1959; Plackett 1975;
 *   equal ranks as Breslow 1974). Of two answers, it is Bradley–Terry.
 *
 * and c (sᵢ + sⱼ)², averaged over the same pairs, which keeps scores about 0 (Eisenstein et al. 2023, §2).
 */
import {
  add,
  cast,
  constant,
  equal,
  greater,
  lessOrEqual,
  logicalAnd,
  logicalNot,
  logSumExp,
  mul,
  range,
  square,
  sub,
  sum,
  type Tensor,
  unsqueeze,
  where,
} from '../../engine/index.ts';
import { createPackedTrainer, type PackedLoss, type PackedTrainerOptions, scoresOf } from '../../lm/packed-program.ts';
import { type Example, type PackedBatch, packedBatches, rowLengths } from '../../lm/packing.ts';
import type { Arena, DecoderConfig } from '../../nn/index.ts';
import { choiceLosses, choiceModelSchema } from '../../preference/index.ts';

export const rankingLosses = ['bradley-terry', 'plackett-luce'] as const;

export interface RankingLossOptions {
  loss: (typeof rankingLosses)[number];
  /** c */
  centering: number;
  /** ε */
  labelSmoothing: number;
}

/** Answers to one prompt, two or more, and which of them are better than which. */
export interface Ranking {
  /** Tokens of each answer with its prompt; `at` holds the one whose state is scored. */
  answers: readonly Example[];
  /** A number for each: a higher one is better, equal ones are a tie. */
  levels: ArrayLike<number>;
  /** A number for each: the margin of one over another is the difference of theirs. */
  merits: ArrayLike<number>;
  /** What it counts for: 1 where absent. */
  weight?: number;
}

const bradleyTerry = choiceModelSchema.parse({});

/** The loss in tensor ops. Sequences are answers; the numbers of each are in `numbersOf`. */
export function rankingLoss({ loss, centering, labelSmoothing }: RankingLossOptions): PackedLoss {
  return (reading) => {
    const s = reading.sums(scoresOf(reading)); // [answers], as are the numbers of each
    const [list, level, weight] = ['list', 'level', 'weight'].map(reading.perSequence);
    const sameList = equal(row(list), column(list));
    const better = ones(logicalAnd(sameList, greater(row(level), column(level))));
    const number = range(s.graph, s.shape[0]);
    const others = logicalNot(equal(row(number), column(number)));
    const ties = ones(logicalAnd(logicalAnd(sameList, equal(row(level), column(level))), others));
    // a tie stands in the matrix twice
    const weights = mul(add(better, mul(ties, 0.5)), row(weight));
    const center = mul(sum(mul(weights, square(add(row(s), column(s))))), centering);
    if (loss === 'plackett-luce') {
      const left = logicalAnd(sameList, lessOrEqual(column(level), row(level)));
      const among = logSumExp(where(left, column(s), constant(s.graph, [-1e30], [])), { axes: [1] });
      const ranked = sum(mul(reading.perSequence('rank weight'), sub(among, s)));
      return { loss: add(ranked, center), scores: s };
    }
    const merit = reading.perSequence('merit');
    const z = sub(s, merit);
    const p = add(mul(better, 1 - labelSmoothing), mul(ties, 0.5));
    const losses = choiceLosses(bradleyTerry, row(z), column(z), p, sub(1, p));
    return { loss: add(sum(mul(weights, losses)), center), scores: s };
  };
}

const row = (x: Tensor) => unsqueeze(x, 1);
const column = (x: Tensor) => unsqueeze(x, 0);
const ones = (mask: Tensor) => cast(mask, 'float32');

/** The numbers of each answer that the loss is made of, for a share of a batch of `total` rankings. */
export function numbersOf(rankings: readonly Ranking[], total: number): Record<string, number[]> {
  const each = (number: (ranking: Ranking, i: number, list: number) => number) =>
    rankings.flatMap((ranking, list) => ranking.answers.map((_, i) => number(ranking, i, list)));
  return {
    list: each((_, __, list) => list + 1), // places that have no answer are in list 0, and weigh nothing
    level: each(({ levels }, i) => levels[i]),
    merit: each(({ merits }, i) => merits[i]),
    weight: each(({ answers: { length }, weight = 1 }) => (2 * weight) / (total * length * (length - 1))),
    'rank weight': each(({ answers: { length }, weight = 1 }) => weight / (total * (length - 1))),
  };
}

/** Answers packed into rows, numbered in their order; a prompt, whose tokens are not to be learned, once for all answers to it. */
export function answersBatch(answers: readonly Example[], padding: number, length?: number): PackedBatch {
  const longest = length ?? roomFor(Math.max(...answers.map(({ ids }) => ids.length)));
  const examples = answers.map((answer, sequence) => {
    return { ...answer, sequence, prefix: Math.max(0, Array.prototype.indexOf.call(answer.learn ?? [], 1) - 1) };
  });
  const layout = { lengths: rowLengths(longest), tokens: Number.POSITIVE_INFINITY, padding };
  const [{ batch }] = packedBatches(examples, layout);
  return batch;
}

/** Four sizes from one power of two to the next: few programs, and little room left empty. */
export function roomFor(n: number): number {
  const step = 2 ** Math.max(0, Math.floor(Math.log2(n)) - 2);
  return Math.ceil(n / step) * step;
}

export interface RankingTrainer {
  readonly gradients: Arena;
  /** The gradients of a batch, `part` rankings at a time. Gives the loss, and the scores of all answers in their order. */
  run(rankings: readonly Ranking[], part: number): { loss: number; scores: Float32Array; tokens: number };
  [Symbol.dispose](): void;
}

interface RankingShape {
  /** Tokens of a row. */
  length: number;
  /** Answers of as many rankings as are computed at once. */
  answers: number;
  padding: number;
}

/** The loss of rankings and its gradients. */
export function createRankingTrainer(
  config: DecoderConfig,
  parameters: Arena,
  { length, answers, padding }: RankingShape,
  options: RankingLossOptions,
  packed: Omit<PackedTrainerOptions, 'sequences'> = {},
): RankingTrainer {
  const trainer = createPackedTrainer(config, parameters, rankingLoss(options), { ...packed, sequences: answers });
  const unused = options.loss === 'bradley-terry' ? 'rank weight' : 'merit';
  return {
    gradients: trainer.gradients,
    run(rankings, part) {
      trainer.reset();
      let [loss, tokens] = [0, 0];
      const scores: number[] = [];
      for (let i = 0; i < rankings.length; i += part) {
        const some = rankings.slice(i, i + part);
        const batch = answersBatch(
          some.flatMap(({ answers }) => answers),
          padding,
          length,
        );
        const { [unused]: _, ...numbers } = numbersOf(some, rankings.length);
        const outputs = trainer.run(batch, {}, numbers);
        loss += outputs.loss.data[0] as number;
        tokens += batch.tokens;
        scores.push(...(outputs.scores.data as Float32Array).subarray(0, numbers.list.length));
      }
      return { loss, scores: Float32Array.from(scores), tokens };
    },
    [Symbol.dispose]: trainer[Symbol.dispose],
  };
}
