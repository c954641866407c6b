import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { heedError } from '../../test/support/gradients.ts';
import { HeedError } from '../error.ts';
import { optionsJson } from '../options.ts';
import { defaultRecipe } from './default-recipe.ts';
import { checkRecipe, type RecipeInput, resolvedSettings } from './recipe.ts';
import { trainings } from './trainings.ts';

type Stages = RecipeInput['stages'];
const sft = { command: 'sft' };
const complaint = (stages: unknown): string => {
  try {
    checkRecipe({ stages });
  } catch (error) {
    return (error as Error).message;
  }
  return 'nothing';
};

describe('checkRecipe', () => {
  it('fills in names and the seed, and leaves settings as they were given', () => {
    const stages: Stages = [
      { command: 'train' },
      { name: 'tuned', command: 'sft', settings: { seed: 5, samples: { count: 1 } } },
      { command: 'eval reward', settings: { model: 'a/b', data: 'c/d' } },
    ];
    expect(checkRecipe({ seed: 3, stages })).toEqual({
      name: 'pipeline',
      seed: 3,
      stages: [
        { name: 'train', command: 'train', settings: { seed: 3 } },
        { name: 'tuned', command: 'sft', settings: { seed: 5, samples: { count: 1 } } },
        { name: 'eval-reward', command: 'eval reward', settings: { model: 'a/b', data: 'c/d' } },
      ],
      completions: { count: 4, maxTokens: 96, temperature: 1 },
    });
  });

  it('takes what comes with heed, which the page on pipelines shows as it is', () => {
    expect(checkRecipe(defaultRecipe).stages.length).toBeGreaterThan(3);
    const page = readFileSync(new URL('../../docs/reference/pipeline.md', import.meta.url), 'utf8');
    expect(JSON.parse(page.match(/```json\n(.*?)```/s)![1])).toEqual(defaultRecipe);
    for (const command of Object.keys(trainings)) expect(page).toContain(`\`${command}\``);
  });

  it('names each setting of a wrong type, and throws no other error', () => {
    const wrong: string[] = [];
    for (const [command, { schema }] of Object.entries(trainings)) {
      const { properties = {} } = optionsJson(schema) as { properties?: Record<string, unknown> };
      const settings = ['env', 'model', 'data', 'reward', 'teacher', 'judge'].filter((name) => name in properties);
      for (const setting of settings) {
        try {
          checkRecipe({ stages: [{ command, settings: { [setting]: 7 } }] });
        } catch (error) {
          if (!(error instanceof HeedError)) wrong.push(`${command} ${setting}: ${error}`);
        }
      }
    }
    expect(wrong).toEqual([]);
    for (const command of ['train', 'sweep', 'ablate']) {
      expect(complaint([{ command, settings: { env: 7 } }])).toMatch(/settings\.env: .*string/);
    }
  });

  it.each<[what: string, stages: unknown, message: RegExp]>([
    ['no stages', [], /stages: .*>=1/],
    ['a field of a stage', [{ ...sft, setings: {} }], /stages\[0\]: .*"setings"/],
    ['a name that is no folder', [{ ...sft, name: '../up' }], /stages\[0\]\.name: expected letters/],
    ['a command', [{ command: 'sfft' }], /stage "sfft": there is no stage "sfft": expected one of train, rl, /],
    ['a command of another object', [{ command: 'toString' }], /there is no stage "toString"/],
    ['a setting', [{ ...sft, settings: { epoch: 1 } }], /stage "sft": settings\.epoch: heed sft has no such setting/],
    [
      'a setting within another',
      [{ ...sft, settings: { samples: { max: 1 } } }],
      /settings\.samples\.max: heed sft has no such setting/,
    ],
    ['a dotted setting', [{ ...sft, settings: { 'samples.count': 1 } }], /settings\."samples\.count": .*no such/],
    ['a value', [{ ...sft, settings: { epochs: -1 } }], /settings\.epochs: .*>0/],
    ['a missing setting', [{ command: 'ppo' }], /stage "ppo": settings\.model: /],
    [
      'an environment that is no text',
      [{ command: 'train', settings: { env: 7 } }],
      /settings\.env: .*expected string/,
    ],
    ['the same of another command', [{ command: 'rl', settings: { env: 7 } }], /settings\.env: .*expected string/],
    ['an environment', [{ command: 'rl', settings: { env: 'Nowhere-v0' } }], /stage "rl": .*"Nowhere-v0"/],
    ['a model', [{ ...sft, settings: { model: './nowhere' } }], /settings\.model: there is no "\.\/nowhere"/],
    [
      'data',
      [{ ...sft, settings: { evaluation: { data: 'nowhere.jsonl' } } }],
      /settings\.evaluation\.data: there is no "nowhere\.jsonl"/,
    ],
    ['two of a name', [sft, sft], /stage "sft": an earlier stage has this name/],
    [
      'an unknown stage',
      [sft, { command: 'ppo', settings: { model: '@stf' } }],
      /stage "ppo": settings\.model: there is no stage "stf": expected one of @sft/,
    ],
    ['a stage where none is', [{ ...sft, settings: { model: '@base' } }], /there is no stage "base": expected none/],
    ['itself', [{ ...sft, settings: { model: '@sft' } }], /settings\.model: @sft is the stage itself/],
    [
      'a later stage',
      [
        { ...sft, settings: { model: '@dpo' } },
        { command: 'dpo', settings: { model: '@sft' } },
      ],
      /stage "sft": settings\.model: @dpo comes later/,
    ],
    [
      'a stage that makes nothing',
      [{ command: 'train' }, { ...sft, settings: { model: '@train' } }],
      /heed train makes nothing that another stage could use/,
    ],
    [
      'a model that is no reward model',
      [sft, { command: 'ppo', settings: { model: '@sft', reward: '0.5*@sft + 0.5*reviews' } }],
      /settings\.reward: @sft is a language model, not a reward model/,
    ],
  ])('tells of %s', (_, stages, message) => {
    expect(complaint(stages)).toMatch(message);
  });

  it('tells all that is wrong at once', () => {
    const stages = [{ ...sft, settings: { epochs: 0, rows: 'many', x: 1 } }, { command: 'nothing' }];
    expect(() => checkRecipe({ stages })).toThrow(
      heedError(
        /settings\.x: [\s\S]*settings\.epochs: [\s\S]*settings\.rows: [\s\S]*stage "nothing"/,
        /Nothing has been trained/,
      ),
    );
    expect(() => checkRecipe({ stages: [sft], completions: { data: 'nowhere.jsonl' } })).toThrow(
      heedError(/completions\.data: there is no "nowhere\.jsonl"/),
    );
    expect(() => checkRecipe('sft')).toThrow(heedError(/recipe: .*expected object/));
  });
});

it('puts paths for references, and leaves Hub names, addresses and files alone', () => {
  const stages = checkRecipe({
    stages: [{ name: 'a', command: 'sft' }, { command: 'reward' }, { command: 'best-of-n', settings: { model: '@a' } }],
  }).stages;
  const settings = {
    model: '@a',
    best: '@a/best',
    reward: '0.7*@reward + 0.3*@reward/best',
    several: '@reward,@reward/best',
    data: '@best-of-n',
    kept: ['@a', 3, 'owner/name@main', './@a', 'https://x@a/b'],
    deep: { model: '@a' },
  };
  expect(resolvedSettings(settings, (name) => `runs/${name}`, stages)).toEqual({
    model: 'runs/a/model',
    best: 'runs/a/best',
    reward: '0.7*runs/reward/model + 0.3*runs/reward/best',
    several: 'runs/reward/model,runs/reward/best',
    data: 'runs/best-of-n/best.jsonl',
    kept: ['@a', 3, 'owner/name@main', './@a', 'https://x@a/b'],
    deep: { model: 'runs/a/model' },
  });
});
