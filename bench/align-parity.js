/**
 * The tests that compare with PyTorch's and TRL's numbers, and how near they came: every loss, advantage and update of the fixtures.
 */
import { startVitest } from 'vitest/node';
import { path } from './sides.js';

/** What is compared, the test's file in src without its ending, and the names of the tests in it. */
const comparisons = [
  ['losses/dpo.json', 'align/preferences/dpo-loss', /is that of TRL/],
  ['losses/kto.json', 'align/preferences/losses', /^KTO/],
  ['losses/orpo_cpo_simpo_bco.json', 'align/preferences/losses', /^(ORPO|CPO|BCO).* is that of TRL/],
  ['losses/reward_model.json', 'align/reward-model/loss', /^TRL's reward losses/],
  ['losses/grpo_rloo.json: losses', 'align/policy-gradient/grpo-loss', /^(?!advantages|.*gives places)/],
  ['losses/grpo_rloo.json: advantages', 'align/policy-gradient/grpo-loss', /^advantages/],
  ['losses/ppo.json: losses', 'nn/ppo-loss', /whitened rewards/],
  ['losses/ppo.json: GAE', 'nn/gae', /whitened rewards/],
  ['losses/ppo.json: rewards, advantages', 'align/ppo/advantages', /as TRL does/],
  ['losses/misc.json', 'engine/networks', /^losses of the reference/],
  ['losses/optimizers.json', 'nn/optimizer', /^agrees with the reference(?!.*(muon|covers))/],
  ['losses/optimizers.json: Muon, which is bfloat16 there', 'nn/optimizer', /^agrees with the reference.*muon/],
  ['train/sft.json: five steps', 'align/supervised/likelihood', /those of PyTorch/],
  ['train/preferences.json: five steps', 'align/preferences/trainer', /as in PyTorch/],
  ['train/reward.json: five steps', 'align/reward-model/loss', /^five steps of PyTorch/],
  ['train/policy.json: five steps', 'align/policies/steps', /those of PyTorch/],
  ['train/ppo.json: two whole PPO updates', 'align/ppo/update', /TRL's two updates/],
];

export async function* parity() {
  const files = [...new Set(comparisons.map(([, file]) => `src/${file}.test.ts`))];
  const vitest = await startVitest('test', files, {
    root: path('..'),
    config: false,
    watch: false,
    pool: 'forks',
    testTimeout: 120_000,
    include: files,
    setupFiles: [path('./parity-setup.js')],
    reporters: [{}],
  });
  const tests = vitest.state.getTestModules().flatMap((module) => [...module.children.allTests()]);
  await vitest.close();
  for (const [name, file, names] of comparisons) {
    const own = tests.filter((test) => test.module.moduleId.endsWith(`/${file}.test.ts`) && names.test(test.fullName));
    const failed = own.filter((test) => test.result().state !== 'passed').length;
    const missed = failed > 0 || own.length === 0;
    const share = ({ error, tolerance }) => error / tolerance;
    const [nearest] = own.flatMap((test) => test.meta().nearest ?? []).sort((a, b) => share(b) - share(a));
    yield {
      name: `${name}, largest error`,
      value: nearest?.error.toExponential(1) ?? 'not compared',
      target: nearest && `≤ ${nearest.tolerance.toExponential(0)}`,
      note: `${own.length - failed} of ${own.length} tests pass${missed ? ': MISSED' : ''}`,
      ...nearest,
      tests: own.length,
      failed,
    };
  }
}
