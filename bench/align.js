/** Alignment: parity with PyTorch's and TRL's numbers, and the time of a step of PPO, DPO and GRPO against TRL's trainers. */
import { agents } from './align-agents.js';
import { alpaca } from './align-alpaca.js';
import { diagnosis } from './align-diagnosis.js';
import { distill } from './align-distill.js';
import { parity } from './align-parity.js';
import { rollouts } from './align-rollouts.js';
import { defaults, earlyStop, klTarget } from './align-stability.js';
import { world } from './align-world.js';
import { rate } from './figures.js';
import { alternate, inTemporaryFolder, jobsOf, middle, times } from './sides.js';

const ours = jobsOf('./align-job.js');

/** Rows of `measure` for each shape, whose models and data are in a folder meanwhile. */
function* forShapes(measure) {
  for (const shape of ['1M', '10M']) {
    yield* inTemporaryFolder(function* (folder) {
      ours('models', '--shape', shape, '--out', folder);
      yield* measure(shape, ['--shape', shape, '--folder', folder]);
    });
  }
}

const seconds = (figures, field = 'seconds') => middle(figures, field).toFixed(2);

/** "TRL fp32 5.60 s: 2.1×" */
const against = (name, mine, theirs) =>
  theirs ? `${name} ${seconds(theirs)} s: ${times(theirs, mine, 'seconds').toFixed(2)}×` : `${name} not measured`;

/** "TRL fp32's generation 0.58, scoring 0.69, update 4.33" */
const partsOf = (name, figures) =>
  `${name} ${['generation', 'scoring', 'update'].map((part) => `${part} ${seconds(figures, part)}`).join(', ')}`;

function* ppo({ peer, pairs }) {
  yield* forShapes(function* (shape, options) {
    const figures = alternate(pairs, {
      ours: () => ours('ppo', ...options),
      fp32: () => peer('trl_ppo.py', ...options),
      tuned: () => peer('trl_ppo.py', ...options, '--tuned'),
    });
    const { ours: mine, fp32, tuned } = figures;
    yield {
      name: `PPO iteration ${shape}, 32 × (16 + 48), 4 epochs, s`,
      value: seconds(mine),
      target: '≥ 2× TRL fp32, ≥ 1.3× tuned',
      note: [
        against('TRL fp32', mine, fp32),
        against('tuned', mine, tuned),
        partsOf('ours:', mine),
        ...(fp32 ? [partsOf("fp32's:", fp32)] : []),
        ...(tuned ? [partsOf("tuned's:", tuned)] : []),
      ].join('; '),
      figures,
    };
  });
}

function* dpo({ peer, pairs }) {
  yield* forShapes(function* (shape, options) {
    const figures = alternate(pairs, {
      ours: () => ours('dpo', ...options),
      fp32: () => peer('trl_dpo.py', ...options, '--dtype', 'fp32'),
      bf16: () => peer('trl_dpo.py', ...options, '--dtype', 'bf16'),
    });
    const { ours: mine, fp32, bf16 } = figures;
    const { pairs: batch } = mine[0];
    yield {
      name: `DPO ${shape}, ${batch} pairs a step, reference precomputed, pairs/s`,
      value: rate(batch / middle(mine, 'seconds')),
      target: `≥ 2× TRL fp32${shape === '10M' ? ', ≥ 1× bf16' : ''}`,
      note: [`a step ${seconds(mine)} s`, against('TRL fp32', mine, fp32), against('bf16', mine, bf16)].join('; '),
      figures,
    };
  });
}

function* grpo({ peer, pairs }) {
  yield* forShapes(function* (shape, options) {
    for (const beta of [0.04, 0]) {
      const figures = alternate(pairs, {
        ours: () => ours('grpo', ...options, '--beta', beta),
        fp32: () => peer('trl_grpo.py', ...options, '--beta', beta),
      });
      yield {
        name: `GRPO step ${shape}, 8 prompts × 4 completions, 16 + 48, β ${beta}, s`,
        value: seconds(figures.ours),
        target: '≥ 1.5× TRL fp32',
        note: against('TRL fp32', figures.ours, figures.fp32),
        figures,
      };
    }
  });
}

export const align = {
  sections: {
    parity,
    ppo,
    dpo,
    grpo,
    world,
    alpaca,
    diagnosis,
    agents,
    distill,
    rollouts,
    'early-stop': earlyStop,
    'kl-target': klTarget,
    defaults,
  },
};
