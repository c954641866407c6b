/** What each stage of a pipeline teaches, and from what: for the report's first sentences and its picture. */
import { withCommas } from '../commas.ts';
import { percent } from '../percent.ts';
import { type BegunStage, stageLabel } from './measures.ts';
import type { Stage } from './recipe.ts';
import { trainings } from './trainings.ts';

/** What somebody or something gives, from which a stage learns. */
export interface TeachingSource {
  kind: 'judgments' | 'labels' | 'demonstrations' | 'reward';
  /** In a sentence, after "learned from". */
  words: string;
  /** In a box of the picture, beside its kind. */
  note: string;
  /** Whether the learner's own clips or completions were judged. */
  isOwn: boolean;
}

/** A stage that teaches. */
export interface TeachingStage {
  stage: Stage;
  teaches: NonNullable<(typeof trainings)[string]['teaches']>;
  /** Who learns: "an agent in CartPole-v1", "a language model". */
  learner: string;
  /** Absent if it learns from the reward model of a stage. */
  source?: TeachingSource;
  /** The stage whose reward model it learns from. */
  reward?: string;
}

type Config = BegunStage['config'];

/** The lessons of stages in their order, with the settings that are known of them. */
export const lessonsOf = (stages: readonly Stage[], begun: readonly BegunStage[]): TeachingStage[] =>
  stages.flatMap((stage): TeachingStage[] => {
    const { teaches } = trainings[stage.command];
    if (!teaches) return [];
    const found = begun.find((one) => one.stage.name === stage.name);
    // where the recipe names an earlier stage, the run has a path
    const config = { ...found?.config, ...stage.settings };
    const learner = teaches.endsWith('agent') ? `an agent in ${config.env ?? 'CartPole-v1'}` : 'a language model';
    const reward = teaches === 'rewarded model' && config.askPeople !== true ? config.reward : undefined;
    if (typeof reward === 'string' && reward.startsWith('@')) {
      return [{ stage, teaches, learner, reward: stageLabel(reward) }];
    }
    return [{ stage, teaches, learner, source: sourceOf(stage, teaches, config, found) }];
  });

function sourceOf(
  { command }: Stage,
  teaches: TeachingStage['teaches'],
  config: Config,
  begun: BegunStage | undefined,
): TeachingSource | undefined {
  const seen = begun?.rows.at(-1)?.labels;
  switch (teaches) {
    case 'taught agent':
      return judgments(seen ?? config.labels, 'clips', teacherOf(config));
    case 'rewarded agent':
      return { kind: 'reward', words: 'its environment’s own reward', note: 'of the environment', isOwn: true };
    case 'demonstrated model':
      return demonstrations(command, config);
    case 'reward model':
      if (command === 'process') return steps(config);
      return given(config) ?? judgments(config.comparisons, 'completions', teacherOf(config));
    case 'preferred model':
      return given(config) ?? judgments(config.comparisons, 'completions', teacherOf(config));
    case 'rewarded model':
      if (config.askPeople === true) return judgments(seen, 'completions', people);
      return reward(config);
  }
}

const judgments = (count: unknown, subject: string, by: Teacher): TeachingSource => ({
  kind: 'judgments',
  words: `${typeof count === 'number' ? `${withCommas(count)} ` : ''}${count === 1 ? 'comparison' : 'comparisons'} of its ${subject} by ${by.words}`,
  note: `${typeof count === 'number' ? `${withCommas(count)} ` : ''}by ${by.note}`,
  isOwn: true,
});

const lessonOf =
  (kind: TeachingSource['kind'], isOwn: boolean) =>
  (words: string, note: string): TeachingSource => ({ kind, words, note, isOwn });

/** Judgments in a file, or made by an earlier stage. */
function given({ data }: Config): TeachingSource | undefined {
  if (typeof data !== 'string') return undefined;
  const words = data.startsWith('@') ? `the judgments of ${stageLabel(data)}` : `the judgments in ${stageLabel(data)}`;
  return { kind: 'judgments', words, note: stageLabel(data), isOwn: false };
}

function demonstrations(command: string, { data, demonstrations: count, teacher }: Config): TeachingSource {
  const source = lessonOf('demonstrations', false);
  if (command === 'distill') return source(`the model ${stageLabel(teacher)}`, stageLabel(teacher));
  const what = command === 'pretrain' ? 'texts' : 'demonstrations';
  if (typeof data === 'string') {
    return source(`the ${what} ${data.startsWith('@') ? 'of' : 'in'} ${stageLabel(data)}`, stageLabel(data));
  }
  if (typeof count === 'number') return source(`${withCommas(count)} ${what}`, withCommas(count));
  return source(`${what} of the embedded world`, 'of the embedded world');
}

function steps({ data }: Config): TeachingSource {
  const isOwn = typeof data !== 'string';
  const words = isOwn ? 'labels of the steps of its completions' : `the labeled steps in ${stageLabel(data)}`;
  return { kind: 'labels', words, note: isOwn ? 'good or not' : stageLabel(data), isOwn };
}

function reward({ reward: named = 'reviews', env, agent }: Config): TeachingSource {
  const source = lessonOf('reward', true);
  if (named === 'episode' || env !== undefined || agent !== undefined) {
    return source('the rewards of its environment', 'of the environment');
  }
  if (named === 'reviews') return source('the true reward of its completions', 'the true one');
  return source(`the reward ${stageLabel(named)}`, stageLabel(named));
}

/** Who judges: in a sentence, and in a box. */
interface Teacher {
  words: string;
  note: string;
}

const people: Teacher = { words: 'people', note: 'people' };

/** A teacher in words. Of a synthetic one, what makes its judgments wrong. */
function teacherOf({ teacher = 'oracle', judge }: Config): Teacher {
  const text = String(teacher);
  if (text === 'human') return people;
  const words = text.split('+').map((part) => part.trim().split(':'));
  const mistake = words.find(([name]) => name === 'mistake');
  const wrong = mistake && percent(Number(mistake[1] ?? 0.1), 0);
  const flaws = [
    ...(wrong ? [[`errs in ${wrong} of them`, `${wrong} wrong`]] : []),
    ...(words.some(([name]) => name === 'shuffled') ? [['flips a coin', 'by the toss of a coin']] : []),
    ...(words.some(([name]) => name === 'inverted') ? [['says the opposite', 'inverted']] : []),
  ];
  const who = judge === undefined ? 'a synthetic teacher' : `the judge ${stageLabel(judge)}`;
  return {
    words: `${who}${flaws.length > 0 ? ` that ${flaws.map(([said]) => said).join(' and ')}` : ''}`,
    note: [who, ...flaws.map(([, short]) => short)].join(', '),
  };
}
