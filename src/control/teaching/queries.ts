/**
 * Asking the teacher: many pairs of segments are drawn from recent experience, and those asked whose answers should teach
 * the ensemble most (Christiano et al. 2017, §2.2.4).
 */
import { HeedError } from '../../error.ts';
import {
  ask,
  type Choice,
  type Point,
  type Predictions,
  type Question,
  rulesOf,
  selectQueries,
  type Teacher,
} from '../../preference/index.ts';
import { type Random, random } from '../../random.ts';
import type { LearnOptions } from '../options.ts';
import type { RewardEnsemble } from '../reward/ensemble.ts';
import type { Experience, Segment } from '../segments.ts';

/** A comparison that was asked, as the report shows it. */
export interface Asked {
  id: string;
  step: number;
  segments: readonly [Segment, Segment];
  choice: Choice;
  /** Probability the ensemble gave the first before it learned of the answer; NaN before the first fit. */
  predicted: number;
}

/** How far a run is with its questions; asking takes it further. */
export interface Questioning {
  step: number;
  questions: number;
  /** Labels that rounds asked for and the teacher skipped; asked again in the next. */
  owed: number;
  /** Whether the ensemble has learned of any answer. */
  fitted: boolean;
  disagreement: number;
}

/** A question that was put and has no answer yet. */
export type Pending = Omit<Asked, 'choice'>;

/** What questions come from. */
interface Source {
  options: LearnOptions;
  experience: Experience;
  ensemble: RewardEnsemble;
  /** The pairs asked about before. */
  asked(): readonly (readonly [Segment, Segment])[];
}

/** Asks until `wanted` labels are given, or the teacher has skipped three times as many. */
export async function askRound(
  { teacher, ...source }: Source & { teacher: Teacher<Segment> },
  progress: Questioning,
  wanted: number,
  signal: AbortSignal | undefined,
): Promise<Asked[]> {
  const asked: Asked[] = [];
  for (let attempt = 0; attempt < 4 && asked.length < wanted; attempt++) {
    const questions = drawQuestions(source, progress, wanted - asked.length);
    const answers = new Map<string, Choice>();
    for await (const { id, choice } of ask<Segment>(teacher, questions.map(questionOf), signal))
      answers.set(id, choice);
    // in the order asked, whatever the order of the answers: a person's pace must not change what is learned
    for (const question of questions) {
      const choice = answers.get(question.id);
      if (choice) asked.push({ ...question, choice });
    }
  }
  progress.owed = wanted - asked.length;
  return asked;
}

/** The questions whose answers should teach most, the best first. */
export function drawQuestions(
  { options, experience, ensemble, asked }: Source,
  progress: Questioning,
  wanted: number,
): Pending[] {
  const rng = random(options.seed, 'queries', progress.questions);
  const pairs = drawPairs(experience, options.segment, wanted, rng);
  const [first, second] = [0, 1].map((side) => ensemble.segmentReturns(pairs.map((pair) => pair[side])));
  const covers = rulesOf(options.query).includes('coverage');
  const predictions = { first, second, ...(covers && { points: pointsOf(ensemble, pairs, asked().flat()) }) };
  const chosen = selectQueries(options.query, predictions, options.choice, wanted, rng);
  const typicalReturn = typical(experience, options.segment.window);
  const probability = chosen.map((i) => probabilities(predictions, i, options.choice.scale));
  progress.disagreement = probability.reduce((sum, p) => sum + variance(p), 0) / Math.max(1, chosen.length);
  return chosen.map((i, at) => ({
    id: `q${progress.questions++}`,
    step: progress.step,
    segments: [0, 1].map((side) => ({ ...pairs[i][side], typicalReturn })) as never,
    predicted: progress.fitted ? probability[at].reduce((a, b) => a + b, 0) / probability[at].length : Number.NaN,
  }));
}

const questionOf = ({ id, segments }: Pending): Question<Segment> => ({ id, options: segments });

/** Where candidates and what was asked lie, each number in its deviation over the candidates. */
function pointsOf(ensemble: RewardEnsemble, pairs: readonly [Segment, Segment][], asked: readonly Segment[]) {
  const candidates = pairs.flat().map(ensemble.pointOf);
  const deviations = Array.from(candidates[0], (_, j) => Math.sqrt(variance(candidates.map((point) => point[j]))));
  const scaled = (point: Float64Array): Point => point.map((x, j) => x / Math.max(deviations[j], 1e-6));
  const points = candidates.map(scaled);
  return {
    first: points.filter((_, i) => i % 2 === 0),
    second: points.filter((_, i) => i % 2 === 1),
    asked: asked.map((segment) => scaled(ensemble.pointOf(segment))),
  };
}

function drawPairs(
  experience: Experience,
  cutting: LearnOptions['segment'],
  wanted: number,
  rng: Random,
): [Segment, Segment][] {
  const enough = Math.max(cutting.fewest, wanted * cutting.candidates);
  const draw = () => drawSegment(experience, cutting, rng);
  const pairs = Array.from({ length: enough }, (): [Segment, Segment] => [draw(), draw()]);
  if (!cutting.differ) return pairs;
  const differing = pairs.filter(([a, b]) => a.length !== b.length);
  return differing.length >= wanted ? differing : pairs;
}

/** @throws HeedError if the experience is too short for a segment. */
export function drawSegment(experience: Experience, cutting: LearnOptions['segment'], rng: Random): Segment {
  const window = Math.max(1, Math.round(cutting.window * (1 - rng.uniform() * (1 - cutting.shortest))));
  const anchored = rng.uniform() < cutting.anchored && experience.sample(rng, { steps: window, anchor: true });
  const segment = anchored || experience.sample(rng, { steps: window, anchor: false });
  if (segment) return segment;
  throw new HeedError(`no window of ${window} steps fits the experience of ${experience.held} steps an environment`, {
    hint: 'shorten --segment.window, or raise --randomSteps or --segment.memory',
  });
}

/** True return of an average stretch of recent experience; what B-Pref's skipping and equal teachers measure by. */
function typical({ rewards, held, count }: Experience, window: number): number {
  let total = 0;
  for (let i = 0; i < held * count; i++) total += rewards[i];
  return (total / (held * count)) * window;
}

/** Each member's probability that the first of a pair is chosen. */
const probabilities = ({ first, second }: Predictions, i: number, scale: number): number[] =>
  first.map((member, m) => 1 / (1 + Math.exp(-(member[i] - second[m][i]) / scale)));

const variance = (values: readonly number[]): number => {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
};
