/**
 * Teachers that know the true reward: the rational oracle, the imperfect teachers of B-Pref (Lee et al. 2021, "B-Pref:
 * Benchmarking Preference-Based Reinforcement Learning", §3), and two controls for experiments.
 *
 * A query is judged in B-Pref's order: skip it; call it a tie; choose, rationally or by equation (3); make a mistake.
 * Where this departs from the paper: equal returns are a tie (there, the first option), so that an option's side
 * carries no information; and a mistake never touches a tie (as in the authors' code).
 *
 * The controls limit what an experiment can claim: learning from `inverted` judgments must fail, and `shuffled` ones, a
 * fair coin for each query, must teach nothing. (Permuted true judgments would still reveal the number of ties.)
 *
 * Randomness comes from (seed, query id) alone: a query is judged the same however queries are batched, and a resumed
 * run gets the judgments of an uninterrupted one. For a second opinion, query under another id.
 */

import { z } from 'zod';
import { HeedError } from '../error.ts';
import { nearest } from '../nearest.ts';
import { random } from '../random.ts';
import { segmentReturn } from './choice-model.ts';
import { choices, type PairJudgment } from './comparison.ts';
import type { Query, Teacher } from './teacher.ts';

/** What a synthetic teacher must see of an option. */
export interface RewardedOption {
  /** True reward of each step. An option that ended early has fewer steps, and earns nothing for those it lacks. */
  readonly rewards: ArrayLike<number>;
  /**
   * Return of an average option under the current policy; only the `skip` and `equal` teachers need it. B-Pref's (H /
   * T) · R_avg(π_t): options' length over episodes' length, times the average true return of an episode.
   */
  readonly typicalReturn?: number;
}

const share = (description: string) => z.number().min(0).default(0).describe(description);

/** Options of a synthetic teacher. */
export const teacherSchema = z.object({
  beta: z
    .number()
    .positive()
    .optional()
    .describe('rationality β: P(first) = sigmoid(β · difference of returns); always the better if absent'),
  discount: z
    .number()
    .gt(0)
    .lte(1)
    .default(1)
    .describe('myopia γ: a step k steps before the end weighs γ^k; 1 weighs all alike'),
  mistake: z.number().min(0).max(1).default(0).describe('probability ε of the opposite judgment'),
  skip: share('skips a query if neither option earns this share of an average return'),
  equal: share('calls a tie if returns differ by less than this share of an average return'),
  tieWithin: share('calls a tie if the returns differ by no more than this'),
  control: z
    .enum(['none', 'inverted', 'shuffled'])
    .default('none')
    .describe('control for experiments: inverted judges the opposite, shuffled flips a coin'),
});

type TeacherSettings = z.output<typeof teacherSchema>;

/** A teacher that knows the true reward. Its comparisons are recorded under `name`. */
export function syntheticTeacher(name: string, settings: TeacherSettings, seed: number): Teacher<RewardedOption> {
  return { name, answer: (queries) => queries.map((q) => ({ id: q.id, choice: judgeOne(q, settings, seed) })) };
}

function judgeOne(query: Query<RewardedOption>, settings: TeacherSettings, seed: number): PairJudgment | 'skip' {
  const draw = random(seed, 'teacher', query.id);
  const mistaken = draw.uniform() < settings.mistake;
  const coin = draw.uniform();
  // No ties either: they would reveal that two options are equal.
  if (settings.control === 'shuffled') return coin < 0.5 ? choices.first : choices.second;

  const [first, second] = query.options;
  const [a, b] = [segmentReturn(first.rewards, 1), segmentReturn(second.rewards, 1)];
  if (!Number.isFinite(a - b)) {
    throw new HeedError(`Query '${query.id}' has options whose true returns are ${a} and ${b}.`, {
      hint: 'Give each option a finite reward for each of its steps.',
    });
  }
  // Thresholds apply to the plain sums. B-Pref's rewards are all positive. If an average option earns nothing or less,
  // "as good as a share of it" is meaningless: nothing is skipped, and differences are measured by its size.
  const typical = settings.skip > 0 || settings.equal > 0 ? typicalReturn(query) : 0;
  if (settings.skip > 0 && typical > 0 && Math.max(a, b) < settings.skip * typical) return 'skip';
  if (Math.abs(a - b) < settings.equal * Math.abs(typical)) return choices.tie;

  const gain = settings.discount === 1 ? a - b : myopicDifference(first.rewards, second.rewards, settings.discount);
  if (Math.abs(gain) <= settings.tieWithin) return choices.tie;
  const prefersFirst = settings.beta === undefined ? gain > 0 : coin < 1 / (1 + Math.exp(-settings.beta * gain));
  const flipped = mistaken !== (settings.control === 'inverted');
  return prefersFirst !== flipped ? choices.first : choices.second;
}

function typicalReturn({ id, options }: Query<RewardedOption>): number {
  const [first, second] = options.map((option) => option.typicalReturn);
  if (!Number.isFinite(first) || !Number.isFinite(second)) {
    throw new HeedError(`Query '${id}' lacks the return of an average option, which skip and equal need.`, {
      hint: "Give both options a 'typicalReturn', or use another teacher.",
    });
  }
  return (first! + second!) / 2;
}

// Σ γ^(H−t) (r_t − r'_t), H the longer option's length: both start together, so an option that ended early earned long
// ago.
function myopicDifference(first: ArrayLike<number>, second: ArrayLike<number>, discount: number): number {
  let difference = 0;
  for (let t = 0; t < Math.max(first.length, second.length); t++) {
    difference = discount * difference + (first[t] ?? 0) - (second[t] ?? 0);
  }
  return difference;
}

// What each word of a teacher's text sets; a number after the word replaces the default.
const words: Record<string, { sets: keyof TeacherSettings; usual: number | string } | undefined> = {
  stochastic: { sets: 'beta', usual: 1 },
  mistake: { sets: 'mistake', usual: 0.1 },
  skip: { sets: 'skip', usual: 0.1 },
  equal: { sets: 'equal', usual: 0.1 },
  myopic: { sets: 'discount', usual: 0.9 },
  tie: { sets: 'tieWithin', usual: 1 },
  inverted: { sets: 'control', usual: 'inverted' },
  shuffled: { sets: 'control', usual: 'shuffled' },
};

/**
 * A synthetic teacher from its text, which becomes its name: `oracle`, `stochastic[:β=1]`, `mistake[:ε=.1]`,
 * `skip[:share=.1]`, `equal[:share=.1]`, `myopic[:γ=.9]`, `tie[:within=1]`, `inverted`, `shuffled`, or several joined
 * by `+`, as in `mistake:0.2+tie:1`. The usual numbers are B-Pref's, save for `tie`. `others`: what the caller takes
 * besides, for the error's hint.
 * @throws HeedError if a name is unknown (it lists those there are), set twice, or its number is out of range.
 */
export function parseTeacher(text: string, seed: number, others: readonly string[] = []): Teacher<RewardedOption> {
  const settings: Record<string, number | string> = {};
  for (const part of text.split('+')) {
    const [name, value, ...rest] = part.trim().split(':');
    const word = Object.hasOwn(words, name) ? words[name] : undefined;
    if (!word && name !== 'oracle') throw unknownTeacher(name, text, others);
    const takesNumber = word !== undefined && typeof word.usual === 'number';
    if (rest.length > 0 || (value !== undefined && (!takesNumber || !/\d/.test(value)))) {
      throw new HeedError(`Teacher '${part.trim()}' is not a name${takesNumber ? ' and a number' : ' alone'}.`, {
        hint: takesNumber ? `Write it as ${name}:${word.usual}.` : `Write it as ${name}.`,
      });
    }
    if (!word) continue;
    if (word.sets in settings) {
      throw new HeedError(`Teacher '${text}' sets its ${word.sets} twice.`, { hint: 'Name each kind of fault once.' });
    }
    settings[word.sets] = value === undefined ? word.usual : Number(value);
  }
  const parsed = teacherSchema.safeParse(settings);
  if (parsed.success) return syntheticTeacher(text, parsed.data, seed);
  const [{ path, message }] = parsed.error.issues;
  const got = settings[String(path[0])];
  throw new HeedError(`Teacher '${text}' has a wrong number (${got}): ${message}.`, { hint: names });
}

function unknownTeacher(name: string, text: string, others: readonly string[]): HeedError {
  const meant = nearest(name, ['oracle', ...Object.keys(words), ...others]);
  const guess = meant.length > 0 ? `Did you mean ${meant.join(' or ')}? ` : '';
  const besides = others.length > 0 ? ` Also available: ${others.join(', ')}.` : '';
  return new HeedError(`There is no teacher '${name}' (in '${text}').`, { hint: `${guess}${names}${besides}` });
}

const names = `Teachers are oracle, ${Object.entries(words)
  .map(([name, word]) => (typeof word!.usual === 'number' ? `${name}[:${word!.usual}]` : name))
  .join(', ')}, joined by + for several faults.`;
