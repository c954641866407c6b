/** The report of a pipeline, from folders as stages leave them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Diagram } from '../run/report/diagram.ts';
import { renderReport, type Table } from '../run/report.ts';
import { createRun } from '../run/run.ts';
import { createPipeline } from './pipeline.ts';
import { checkRecipe, type RecipeInput } from './recipe.ts';
import { pipelineReport } from './report.ts';

const here = fileURLToPath(import.meta.url);
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'heed-pipeline-report-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

type Rows = Record<string, number>[];

const returned = (mean: number) => ({ 'return/mean': mean, 'return/std': 0 });

/** The report of a recipe whose stages have left these rows, samples and results. */
function reportOf(
  recipe: RecipeInput,
  made: Record<string, { config?: object; rows?: Rows; samples?: object[]; result?: object }>,
  completions?: object,
) {
  const at = join(folder, 'run');
  const pipeline = createPipeline(checkRecipe(recipe), at);
  for (const [name, { config = {}, rows = [], samples = [], result }] of Object.entries(made)) {
    pipeline.sample({ kind: 'begun', stage: name, folder: name });
    const { command, settings } = checkRecipe(recipe).stages.find((stage) => stage.name === name)!;
    const run = createRun(join(at, name), { name, command, config: { ...config, ...settings }, seed: 0 });
    rows.forEach((row, step) => void run.log(step, row));
    for (const sample of samples) run.sample({ ...sample });
    run.close();
    if (result) pipeline.sample({ kind: 'finished', stage: name, result: { run: join(at, name), ...result } });
  }
  if (completions) pipeline.sample({ kind: 'completions', ...completions });
  pipeline.close();
  return pipelineReport(at);
}

const cards = ({ summary }: ReturnType<typeof reportOf>) =>
  Object.fromEntries(summary.map(({ label, value, note }) => [label, `${value} (${note})`]));

const changes = ({ sections }: ReturnType<typeof reportOf>) => {
  const table = sections.find((section): section is Table => section.title === 'What each stage changed')!;
  return table.rows.map((row) => Object.fromEntries(table.columns.map((column, i) => [column, row[i]])));
};

const picture = ({ sections }: ReturnType<typeof reportOf>) =>
  sections
    .find((section): section is Diagram => section.kind === 'diagram')
    ?.lanes.map(({ boxes, back }) => [
      boxes.map(({ label, note, arrow }) => `${arrow ? `${arrow}: ` : ''}${label}, ${note}`).join(' > '),
      ...(back ? [`${back.label}: ${boxes[back.to].label}`] : []),
    ]);

it('says what was taught, by whom, and what changed, and which accuracy is which', () => {
  const stages: RecipeInput['stages'] = [
    { name: 'pole', command: 'train', settings: { env: 'CartPole-v1', labels: 12, steps: 1000 } },
    { command: 'sft', settings: { demonstrations: 300 } },
    { command: 'reward', settings: { model: '@sft', comparisons: 1000, teacher: 'mistake:0.1' } },
    { command: 'ppo', settings: { model: '@sft', reward: '@reward' } },
    { name: 'judged', command: 'eval policy', settings: { model: '@ppo', baseline: '@sft' } },
  ];
  const report = reportOf(
    { name: 'Both', stages },
    {
      pole: {
        rows: [
          { ...returned(20) },
          { labels: 12, ...returned(499.93), 'reward/foreseen': 0.5, 'reward/held_out_accuracy': 0.99519 },
        ],
        samples: [{ kind: 'world', maxEpisodeSteps: 500, rewardThreshold: 475 }],
        result: { seconds: 567 },
      },
      sft: { rows: [{ 'loss/eval': 2 }, { 'loss/eval': 1 }], result: { seconds: 60 } },
      reward: { rows: [{ 'accuracy/eval': 0.5 }, { 'accuracy/eval': 0.8575 }], result: { accuracy: 0.8575 } },
      ppo: { config: { askPeople: false }, rows: [{ 'eval/reward': -0.2 }, { 'eval/reward': 1.5 }] },
      judged: { result: { winRate: 0.99999, interval: [0.9, 1], n: 10, ties: 0 } },
    },
    {
      prompts: [],
      models: [0.1, 5.7].map((mean, i) => ({
        name: ['base', 'ppo'][i],
        texts: [],
        measures: { 'text/accepted': 1 },
        reward: { mean, interval: [0, 6], n: 10 },
      })),
    },
  );
  expect(report.lead).toBe(
    'An agent in CartPole-v1 learned from 12 comparisons of its clips by a synthetic teacher; a language model from 300 demonstrations and 1,000 comparisons of its completions by a synthetic teacher that errs in 10 % of them. The agent’s return rose from 20.0 to 499.9 (solved at 475); the true reward of the language model’s completions rose from 0.10 to 5.70; “ppo” is preferred to “sft” on > 99.9 % of the prompts (ties count half).',
  );
  expect(cards(report)).toEqual({
    'pole: return': '499.9 (from 20.0; solved at 475)',
    'sft: held-out loss': '1.000 (from 2.000)',
    'reward: accuracy': '85.8 % (of held-out comparisons; from 50.0 %)',
    'ppo: reward': '1.50 (from −0.20)',
    'judged: win rate': '> 99.9 % (against sft; 90.0 % to 100.0 %)',
    Time: expect.stringContaining('of all stages'),
  });
  expect(changes(report)).toMatchObject([
    { accuracy: '99.5 % of random pairs of clips', return: '20.0 → 499.9', time: '9 min 27 s' },
    { accuracy: '', 'held-out loss': '2.000 → 1.000' },
    { accuracy: '50.0 % → 85.8 % of held-out comparisons' },
    { accuracy: '', reward: '−0.20 → 1.50', time: expect.stringContaining('not finished') },
    { accuracy: '', 'win rate': '> 99.9 % against sft' },
  ]);
  expect(picture(report)).toEqual([
    [
      'Policy, plays > Clips, of its play > Judgments, 12 by a synthetic teacher > Reward model, predicts the judgments',
      'pole: Policy',
    ],
    [
      'Demonstrations, 300 > sft: Policy, writes > Completions, two of a prompt > Judgments, 1,000 by a synthetic teacher, 10 % wrong > reward: Reward model, predicts the judgments',
      'ppo: Policy',
    ],
  ]);
  expect(renderReport(report)).toContain('9\u00a0min 27\u00a0s');
});

it('names what is known where there is no true judgment, and data of one’s own', () => {
  const report = reportOf(
    {
      stages: [
        { name: 'hopper', command: 'train', settings: { env: 'Hopper-v5', teacher: 'human', steps: 1000 } },
        { name: 'own', command: 'rl', settings: { env: 'CartPole-v1', steps: 1000 } },
        { command: 'reward', settings: { model: 'm', data: here } },
        { command: 'process', settings: { model: 'm' } },
        { command: 'grpo', settings: { model: 'm', reward: '@reward' } },
        { command: 'dpo', settings: { model: 'm', data: here } },
        { name: 'asked', command: 'ppo', settings: { model: 'm', reward: 'r', askPeople: true } },
      ].map((stage) => ({ ...stage, settings: JSON.parse(JSON.stringify(stage.settings).replaceAll('"m"', '"a/m"')) })),
    },
    {
      hopper: { rows: [{ labels: 1, 'reward/foreseen': 0.625, ...returned(5) }] },
      own: { rows: [{ ...returned(30) }, { ...returned(25) }] },
      reward: { rows: [{ 'accuracy/eval': 0.7 }] },
      process: { rows: [{ 'accuracy/eval': 0.9 }] },
      dpo: { rows: [{ 'eval/rewards/accuracies': 0 }, { 'eval/rewards/accuracies': 0.8 }] },
      asked: { rows: [{ labels: 64 }] },
    },
  );
  const file = 'report.test.ts';
  expect(report.lead).toBe(
    `An agent in Hopper-v5 learned from 1 comparison of its clips by people; an agent in CartPole-v1 from its environment’s own reward; a language model from the judgments in ${file}, labels of the steps of its completions, and 64 comparisons of its completions by people. The return of “hopper” is 5.0; the return of “own” fell from 30.0 to 25.0.`,
  );
  expect(changes(report).map((row) => row.accuracy)).toEqual([
    '',
    '',
    '70.0 % of held-out comparisons',
    '90.0 % of held-out steps',
    '80.0 % of held-out comparisons',
    '',
  ]);
  expect(changes(report)[0]).toMatchObject({ 'choices foreseen': '62.5 %' });
  expect(picture(report)).toEqual([
    [expect.stringContaining('Judgments, 1 by people'), 'hopper: Policy'],
    ['Policy, plays > Play, undefined > Reward, of the environment', 'own: Policy'],
    [
      'Policy, writes > Completions, of prompts > Labels of steps, good or not > process: Reward model, predicts the judgments',
    ],
    [
      `Judgments, ${file} > reward: Reward model, predicts the judgments > grpo: Policy, writes > Completions, of prompts`,
      'grpo: Reward model',
    ],
    [`Judgments, ${file} > dpo: Policy, writes`],
    [expect.stringContaining('Judgments, 64 by people'), 'asked: Policy'],
  ]);
});

it('says so when nothing has happened, or nothing is taught', () => {
  const stages = [{ command: 'eval reward', settings: { model: 'a/b', data: here } }];
  expect(reportOf({ stages }, {})).toMatchObject({ lead: 'Nothing has begun yet. Nothing has been measured yet.' });
  rmSync(join(folder, 'run'), { recursive: true });
  const { lead, sections } = reportOf({ stages }, { 'eval-reward': {} });
  expect(lead).toBe('This pipeline ran heed eval reward. Nothing has been measured yet.');
  expect(sections.map(({ kind }) => kind)).toEqual(['table']);
});
