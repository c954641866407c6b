/**
 * Online learning from people (Christiano et al. 2017, §2.2; Ziegler et al. 2019, §2.3; Bai et al. 2022, §4.5): while a policy is trained
 * on a reward model, somebody compares its own fresh answers, the reward model learns from that, and the policy goes on
 * with the new reward. Beside any algorithm of policies/learner.ts:
 *
 *   answer prompts twice → ask where the reward is least sure → … → hear → fit the reward → train the policy on it, again and again
 *
 * Training goes on while questions wait, for `ahead` of its steps. Where it departs from Ziegler et al.: the reward is fitted anew
 * from where it began with all answers there are, so that one that is taken back leaves nothing.
 *
 * Run it: heed ppo --model runs/sft/model --reward runs/reward/model --ask-people
 */
import { z } from 'zod';
import type { SafetensorsTensor } from '../../engine/safetensors.ts';
import { HeedError } from '../../error.ts';
import {
  choiceModelSchema,
  createLateJudgments,
  labelSchedule,
  needsMembers,
  needsPoints,
  type Preference,
  peopleSchema,
  queryRules,
  rulesOf,
  type Standing,
  scheduleSchema,
  selectionSchema,
  selectQueries,
  type Teacher,
} from '../../preference/index.ts';
import { random, seedFor } from '../../random.ts';
import { choiceOf } from '../../registry.ts';
import type { Completion } from '../reward-functions/reward-function.ts';
import { type LearningReward, learningSchema, type RewardFit } from '../rewards/learning.ts';
import type { EncodedPrompt, LanguageRollout } from './rollouts.ts';

const whole = (least: number) => z.number().int().min(least);

/** Texts are no points: a rule cannot ask where they lie. */
const textRule = choiceOf(queryRules)
  .refine((rule) => !needsPoints(rule), { message: 'expected a rule that needs no points: completions have none' })
  .meta({ type: 'string', names: queryRules.names().filter((name) => !needsPoints(name)) });

export const askingSchema = z.object({
  labels: whole(1).default(64).describe('comparisons that people are asked for'),
  schedule: scheduleSchema
    .extend({
      kind: scheduleSchema.shape.kind.unwrap().default('constant').describe(scheduleSchema.shape.kind.description!),
      until: scheduleSchema.shape.until.unwrap().default(0.75).describe(scheduleSchema.shape.until.description!),
    })
    .prefault({}),
  query: selectionSchema
    .extend({
      rule: textRule
        .optional()
        .describe(
          'which pairs to ask: where members differ most, where their mean is least sure, whose answer tells most of the members apart, or any (default: disagreement of an ensemble, else entropy)',
        ),
      rest: textRule.default('random').describe(selectionSchema.shape.rest.description!),
    })
    .prefault({}),
  candidates: whole(1).default(4).describe('prompts answered twice for each question asked'),
  atOnce: whole(1).default(8).describe('new answers that are worth a fit; fewer where no question waits'),
  ...learningSchema.shape,
  ...peopleSchema.extend({
    guidelines: peopleSchema.shape.guidelines.default(
      'Choose the better answer: the one that you would rather be given to this prompt.',
    ),
  }).shape,
});
type AskingOptions = z.output<typeof askingSchema>;

/** A question: two answers of the policy to a prompt. */
interface AnswerQuestion {
  id: string;
  /** Of the policy. */
  step: number;
  options: [Completion, Completion];
  /** Probability that the reward gave the first, when it was asked. */
  predicted: number;
}

/** What was said of it. */
export interface ComparedAnswers extends AnswerQuestion {
  choice: Standing;
}

/** What came of people's answers since the last step. */
interface Told {
  metrics: Record<string, number>;
  compared: ComparedAnswers[];
}

/** Answers prompts, twice each, as the policy stands. */
type Draw = (prompts: readonly EncodedPrompt[], seed: number) => Promise<Pick<LanguageRollout, 'answers'>>;

export interface Asking {
  /**
   * Before a step: hears what was said, and waits where too little was; fits the reward where there is something new; asks where a
   * round is due. Rejects with the signal's reason, and goes on from there when it is called again.
   */
  next(step: number, draw: Draw, signal?: AbortSignal): Promise<void>;
  /** What to tell of the step, once. */
  told(): Told;
  /** Writes the reward model as it stands. */
  saveModels(folder: string): void;
  save(): { state: unknown; tensors: Record<string, SafetensorsTensor> };
  restore(checkpoint: { state: unknown; tensors: Readonly<Record<string, SafetensorsTensor>> }): void;
  /** Listens no more. */
  [Symbol.dispose](): void;
}

interface State {
  nextRound: number;
  questions: number;
  compared: ComparedAnswers[];
  /** Answers that the reward has not learned yet, or is to forget. */
  unlearned: number;
  right: number;
  decided: number;
  /** By their questions' ids: those of which nothing was told yet. */
  untold: string[];
  fit?: RewardFit;
}

interface AskingParts {
  /** The training's. */
  options: { people: AskingOptions; steps: number; seed: number };
  /** Stays the caller's to release. */
  reward: LearningReward;
  teacher: Teacher<Completion> | undefined;
  prompts: readonly EncodedPrompt[];
}

const bradleyTerry = choiceModelSchema.parse({});

/** @throws HeedError where there is nobody to ask, or no ensemble for a rule that needs one. */
export function createAsking({ options, reward, teacher, prompts }: AskingParts): Asking {
  const { people, steps, seed } = options;
  if (!teacher) {
    throw new HeedError('There is nobody who could be asked.', {
      hint: 'Give a teacher to the learner; of the commands, those that train a policy open a studio with --ask-people.',
    });
  }
  const { until, rounds: wished } = people.schedule;
  const { rule = reward.members > 1 ? 'disagreement' : 'entropy' } = people.query;
  const query = { ...people.query, rule };
  if (reward.members < 2 && rulesOf(query).some(needsMembers)) {
    throw new HeedError('One reward model cannot disagree with itself.', {
      hint: 'Give an ensemble (heed reward --members 3), or --people.query.rule entropy or random.',
    });
  }
  // no more than one in a step
  const schedule = { ...people.schedule, rounds: Math.max(1, Math.min(wished, Math.floor(until * steps))) };
  const rounds = labelSchedule(schedule, { labels: people.labels, steps, randomSteps: 0 });
  const create = () =>
    createLateJudgments<AnswerQuestion, Completion>(teacher, {
      labels: people.labels,
      steps,
      people,
      optionsOf: (question) => question.options,
      // the next round asks for what is missing
      others: () => [],
    });
  let late = create();
  let state: State = {
    ...{ nextRound: 0, questions: 0, unlearned: 0, right: 0, decided: 0 },
    ...{ compared: [], untold: [] },
  };
  const labels = () => state.compared.filter(({ choice }) => choice !== 'taken back').length;

  async function hear(step: number, signal: AbortSignal | undefined): Promise<void> {
    const learned = new Map(state.compared.map(({ id, choice }) => [id, choice]));
    const { comparisons, changed } = await late.news({ step, labels: labels(), fitted: true }, learned, signal);
    for (const { choice, predicted } of comparisons) {
      if (choice === 'incomparable' || choice[0] === choice[1]) continue;
      state.decided++;
      if (predicted !== 0.5 && predicted > 0.5 === choice[0] > choice[1]) state.right++;
    }
    state.compared = [...state.compared, ...comparisons].map((one) => ({
      ...one,
      choice: changed.get(one.id) ?? one.choice,
    }));
    state.unlearned += comparisons.length + changed.size;
    state.untold.push(...new Set([...comparisons.map(({ id }) => id), ...changed.keys()]));
  }

  async function learn(): Promise<void> {
    const enough = state.unlearned >= people.atOnce || (state.unlearned > 0 && late.waiting === 0);
    if (!enough) return;
    const decided = state.compared.flatMap(({ options, choice }) =>
      choice === 'incomparable' || choice === 'taken back' ? [] : [{ options, choice: choice as Preference }],
    );
    state.fit = await reward.fit(decided);
    state.unlearned = 0;
  }

  async function ask(step: number, draw: Draw): Promise<void> {
    const due = rounds.filter(({ atStep }) => atStep <= step);
    if (due.length <= state.nextRound) return;
    const wanted = due.reduce((sum, round) => sum + round.labels, 0) - state.compared.length - late.open.length;
    const questions = wanted > 0 ? await questionsOf(step, wanted, draw) : [];
    late.ask(questions);
    state.nextRound = due.length;
    state.questions += questions.length;
  }

  /** The pairs of fresh answers of which the reward is least sure. */
  async function questionsOf(step: number, wanted: number, draw: Draw): Promise<AnswerQuestion[]> {
    const rng = random(seed, 'questions', step);
    const order = rng.shuffle(Array.from(prompts.keys()));
    const asked = Array.from({ length: wanted * people.candidates }, (_, i) => prompts[order[i % order.length]]);
    const { answers } = await draw(asked, seedFor(seed, 'questions', step));
    if (step === 0) reward.refer(answers);
    const pairs = asked
      .map((_, i): [Completion, Completion] => [answers[2 * i], answers[2 * i + 1]])
      .filter(([first, second]) => first.text.trim() !== second.text.trim());
    const [first, second] = [0, 1].map((side) => reward.scores(pairs.map((pair) => pair[side])));
    const count = Math.min(wanted, pairs.length);
    const chosen = selectQueries(query, { first, second }, bradleyTerry, count, rng);
    return chosen.map((i, at) => ({
      id: `q${state.questions + at}`,
      step,
      options: pairs[i],
      predicted: first.reduce((sum, own, k) => sum + sigmoid(own[i] - second[k][i]) / first.length, 0),
    }));
  }

  return {
    async next(step, draw, signal) {
      await hear(step, signal);
      await learn();
      await ask(step, draw);
    },
    told() {
      const { fit, right, decided, untold, compared } = state;
      state = { ...state, fit: undefined, untold: [] };
      return {
        metrics: {
          labels: labels(),
          waiting: late.open.length,
          ...(decided > 0 && { 'reward/accuracy': right / decided }),
          ...(fit && Number.isFinite(fit.loss) && { 'reward/loss': fit.loss }),
          ...(fit && Number.isFinite(fit.accuracy) && { 'reward/train_accuracy': fit.accuracy }),
        },
        compared: compared.filter(({ id }) => untold.includes(id)),
      };
    },
    saveModels: (folder) => reward.saveModels(folder),
    save() {
      const { state: own, tensors } = reward.save();
      return { state: { ...state, open: late.open, reward: own }, tensors };
    },
    restore(checkpoint) {
      const { open, reward: own, ...saved } = checkpoint.state as State & { open: AnswerQuestion[]; reward: unknown };
      reward.restore({ state: own, tensors: checkpoint.tensors });
      state = saved;
      late.stop();
      late = create();
      late.ask(open);
    },
    [Symbol.dispose]: () => late.stop(),
  };
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
