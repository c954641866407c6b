/** The language half: parity, fine-tuning, packing, LoRA, generation and loading, against PyTorch and llama.cpp. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { random } from '../dist/random.js';
import { rate } from './figures.js';
import { alternate, inTemporaryFolder, jobsOf, lastLine, middle, node, path, times } from './sides.js';

const shapes = JSON.parse(readFileSync(new URL('./lm-shapes.json', import.meta.url), 'utf8'));
const ours = jobsOf('./lm-job.js');

/** node-llama-cpp's figures, or undefined (with a line on stderr) where it is not installed or fails. */
function llamaCpp(...args) {
  const run = node('./peers/node-llama-cpp/generate.js', args);
  if (run.status === 0) return JSON.parse(lastLine(run.stdout));
  console.error(`peer node-llama-cpp: ${run.error?.message ?? lastLine(run.stderr)}`);
  return undefined;
}

/** "PyTorch fp32 190: 2.1×" */
const against = (name, mine, theirs) =>
  theirs
    ? `${name} ${rate(middle(theirs, 'tokensPerSecond'))}: ${times(mine, theirs).toFixed(2)}×`
    : `${name} not measured`;
let bf16Support;
/** Whether this machine has products of bfloat16; says on stderr once what is missing. */
function hasBf16() {
  if (!bf16Support) {
    bf16Support = ours('bf16');
    if (!bf16Support.works) console.error(`bf16: ${bf16Support.missing}`);
  }
  return bf16Support.works;
}

const megabytes = (figures) => `${middle(figures, 'peakRssMb').toFixed(0)} MB`;

/** Against the numbers that Transformers gave for the tests' models; errors are the largest met. */
function* parity() {
  const tolerances = {
    logits: 2e-5,
    logProbabilities: 1e-5,
    loss: 1e-5,
    gradientNorms: 1e-4,
    fiveSteps: 1e-5,
    padded: 2e-5,
  };
  for (const model of ['tiny-llama', 'tiny-qwen2', 'tiny-gpt2']) {
    const { greedy, peakRssMb: _, ...errors } = ours('parity', '--model', path(`../test/fixtures/models/${model}`));
    for (const [name, error] of Object.entries(errors)) {
      yield {
        name: `${model}, ${name}, largest error`,
        value: error.toExponential(1),
        target: `≤ ${tolerances[name]}`,
        note: error <= tolerances[name] ? '' : 'MISSED',
        error,
      };
    }
    yield {
      name: `${model}, greedy tokens equal`,
      value: `${greedy.equal} of ${greedy.of}`,
      target: 'all',
      greedy,
    };
  }
}

function* sft({ peer, pairs }) {
  for (const [shape, steps, target, target16] of [
    ['1M', 40, '≥ 2× fp32, ≥ 1.05× bf16', 1.2],
    ['10M', 8, '≥ 2× fp32, ≥ 1.05× bf16', 1.5],
    ['135M', 3, '≥ 2.1× fp32, ≥ 0.75× bf16; RSS ≤ fp32’s', 1.2],
  ]) {
    const options = ['--shape', shape, '--steps', steps];
    const figures = alternate(pairs, {
      ours: () => ours('sft', ...options),
      ...(hasBf16() && { ours16: () => ours('sft', ...options, '--precision', 'bf16') }),
      fp32: () => peer('transformers_sft.py', ...options, '--dtype', 'fp32'),
      bf16: () => peer('transformers_sft.py', ...options, '--dtype', 'bf16'),
    });
    const { ours: mine, ours16, fp32, bf16 } = figures;
    const { batch, length } = shapes[shape];
    if (ours16) {
      yield {
        name: `SFT step ${shape}, ${batch}×${length}, --precision bf16, tokens/s`,
        value: rate(middle(ours16, 'tokensPerSecond')),
        target: `≥ ${target16}× bf16${shape === '135M' ? '; RSS ≤ bf16’s + 10 %' : ''}`,
        note: [
          against('our own fp32', ours16, mine),
          against('PyTorch bf16', ours16, bf16),
          `peak RSS ${megabytes(ours16)}${bf16 ? `, PyTorch bf16 ${megabytes(bf16)}` : ''}`,
        ].join('; '),
        figures: { ours16 },
      };
    }
    yield {
      name: `SFT step ${shape}, ${batch}×${length}, tokens/s`,
      value: rate(middle(mine, 'tokensPerSecond')),
      target,
      note: [
        against('PyTorch fp32', mine, fp32),
        against('bf16', mine, bf16),
        `peak RSS ${megabytes(mine)}`,
        fp32 ? `fp32 ${megabytes(fp32)}, of which imports ${middle(fp32, 'importsRssMb')}` : '',
      ]
        .filter(Boolean)
        .join('; '),
      figures,
    };
  }
}

function* forward({ peer, pairs }) {
  for (const shape of ['10M', '135M']) {
    const figures = alternate(pairs, {
      ours: () => ours('forward', '--shape', shape),
      ...(hasBf16() && { ours16: () => ours('forward', '--shape', shape, '--precision', 'bf16') }),
      fp32: () => peer('transformers_forward.py', '--shape', shape, '--dtype', 'fp32'),
      bf16: () => peer('transformers_forward.py', '--shape', shape, '--dtype', 'bf16'),
    });
    yield {
      name: `forward ${shape}, tokens/s`,
      value: rate(middle(figures.ours, 'tokensPerSecond')),
      note: [
        against('PyTorch fp32', figures.ours, figures.fp32),
        against('bf16', figures.ours, figures.bf16),
        ...(figures.ours16
          ? [
              `--precision bf16 ${rate(middle(figures.ours16, 'tokensPerSecond'))}: ` +
                `${times(figures.ours16, figures.ours).toFixed(2)}× our own fp32`,
              against('with it PyTorch bf16', figures.ours16, figures.bf16),
            ]
          : []),
      ].join('; '),
      figures,
    };
  }
}

/**
 * Deciles of the lengths of 1,600 instructions with their answers (AlpacaEval's outputs of many models), in tokens of
 * 4.2 characters.
 */
const LENGTH_DECILES = [12, 56, 96, 126, 160, 200, 259, 319, 385, 476, 956];

/** Drawn from the deciles, between two of them evenly. */
function drawLengths(count) {
  const generator = random(0, 'bench');
  return Array.from({ length: count }, () => {
    const at = generator.uniform() * (LENGTH_DECILES.length - 1);
    const below = Math.floor(at);
    return Math.round(LENGTH_DECILES[below] + (at - below) * (LENGTH_DECILES[below + 1] - LENGTH_DECILES[below]));
  });
}

function* packing({ peer, pairs }) {
  yield* inTemporaryFolder(function* (folder) {
    const file = join(folder, 'lengths.json');
    writeFileSync(file, JSON.stringify(drawLengths(64)));
    const options = ['--shape', '10M', '--batch', 8];
    const figures = alternate(pairs, {
      packed: () => ours('sft', ...options, '--packed', file),
      padded: () => ours('sft', ...options, '--padded', file),
      fp32: () => peer('transformers_sft.py', ...options, '--padded', file, '--dtype', 'fp32'),
      bf16: () => peer('transformers_sft.py', ...options, '--padded', file, '--dtype', 'bf16'),
    });
    const { packed, padded, fp32, bf16 } = figures;
    yield {
      name: `useful tokens/s, 10M, lengths ${LENGTH_DECILES[0]}–${LENGTH_DECILES.at(-1)}, median ${LENGTH_DECILES[5]} (AlpacaEval), packed`,
      value: rate(middle(packed, 'tokensPerSecond')),
      target: '≥ 1.5× padded',
      note: [
        against('our own padded, 8 rows,', packed, padded),
        against('PyTorch padded fp32', packed, fp32),
        against('bf16', packed, bf16),
      ].join('; '),
      figures,
    };
  });
}

function* lora({ pairs }) {
  const options = ['--shape', '135M', '--steps', 3];
  const figures = alternate(pairs, {
    lora: () => ours('sft', ...options, '--lora', 16),
    full: () => ours('sft', ...options),
  });
  yield {
    name: 'SFT step 135M with LoRA of rank 16 on every linear, tokens/s',
    value: rate(middle(figures.lora, 'tokensPerSecond')),
    target: '≥ 1.5× our own full fine-tuning',
    note: `${against('full', figures.lora, figures.full)}; peak RSS ${megabytes(figures.lora)}, full ${megabytes(figures.full)}`,
    figures,
  };
}

/** Adapters over weights in few bits: the memory of models that are too large otherwise, and what is lost. */
function* baseBits() {
  for (const [shape, most] of [
    ['0.5B', 2],
    ['1.7B', 5],
  ]) {
    for (const bits of [undefined, 8, 4]) {
      const figures = ours('sft', '--shape', shape, '--steps', 2, '--lora', 8, ...(bits ? ['--bits', bits] : []));
      yield {
        name: `LoRA of rank 8, ${shape}, 256 tokens, ${bits ? `${bits} bits` : 'float32'}`,
        value: `${(figures.peakRssMb / 1000).toFixed(2)} GB`,
        target: bits && `≤ ${most} GB`,
        note: `${rate(figures.tokensPerSecond)} tokens/s`,
        figures,
      };
    }
  }
  const { HEED_SMOLLM2: model, HEED_UKP: data } = process.env;
  if (!model || !data) {
    yield { name: 'SmolLM2 on arguments', value: 'skipped', note: 'HEED_SMOLLM2 and HEED_UKP name no files' };
    return;
  }
  let exact;
  for (const bits of [undefined, 8, 4]) {
    const figures = ours('adapted', '--model', model, ...(bits ? ['--bits', bits] : []));
    exact ??= figures.loss;
    yield {
      name: `SmolLM2, LoRA of rank 16 on arguments, held-out loss, ${bits ? `${bits} bits` : 'float32'}`,
      value: figures.loss.toFixed(4),
      target: bits && '≤ 1 % above float32',
      note: `${(100 * (figures.loss / exact - 1)).toFixed(2)} % above`,
      figures,
    };
  }
}

const latency = (figures) =>
  `first token ${middle(figures, 'firstTokenMs').toFixed(1)} ms, then ${middle(figures, 'perTokenMs').toFixed(1)} ms`;

function* generate({ peer, pairs }) {
  yield* inTemporaryFolder(function* (folder) {
    for (const [shape, batch, prompt, fresh] of [
      ['1M', 64, 16, 48],
      ...['10M', '135M'].flatMap((shape) => [1, 8, 32].map((batch) => [shape, batch, 64, 64])),
    ]) {
      const options = ['--shape', shape, '--batch', batch, '--prompt', prompt, '--new', fresh];
      const llama = (type) => llamaCpp(...options, '--type', type, '--file', join(folder, `${shape}-${type}.gguf`));
      const figures = alternate(pairs, {
        ours: () => ours('generate', ...options),
        fp32: () => peer('transformers_generate.py', ...options, '--dtype', 'fp32'),
        bf16: () => peer('transformers_generate.py', ...options, '--dtype', 'bf16'),
        ...(shape === '135M' && {
          llamaF32: () => llama('F32'),
          ours8: () => ours('generate', ...options, '--bits', 8),
          llamaQ8: () => llama('Q8_0'),
        }),
      });
      const { ours: mine, fp32, bf16, llamaF32, ours8, llamaQ8 } = figures;
      const name = `generate ${shape}, batch ${batch}, ${prompt}+${fresh}`;
      yield {
        name: `${name}, tokens/s`,
        value: rate(middle(mine, 'tokensPerSecond')),
        target: `≥ 2.5× fp32, ≥ 1.4× bf16${shape === '135M' ? ', > llama.cpp F32' : ''}`,
        note: [
          against('Transformers fp32', mine, fp32),
          against('bf16', mine, bf16),
          ...(shape === '135M' ? [against('node-llama-cpp F32', mine, llamaF32)] : []),
          latency(mine),
          ...(fp32 ? [`fp32 ${latency(fp32)}`] : []),
        ].join('; '),
        figures: { ours: mine, fp32, bf16, llamaF32 },
      };
      if (!ours8) continue;
      yield {
        name: `${name}, 8-bit weights, tokens/s`,
        value: rate(middle(ours8, 'tokensPerSecond')),
        target: '> llama.cpp Q8_0',
        note: `${against('node-llama-cpp Q8_0', ours8, llamaQ8)}; ${latency(ours8)}`,
        figures: { ours: ours8, llamaQ8 },
      };
    }
  });
}

/** "90 % of what bandwidth allows (21.0 GB/s), 19.2 ms" */
function shareOf(figures, limits) {
  const [{ by }] = limits;
  const limit = middle(limits, 'limitMs');
  const rateOf =
    by === 'bandwidth'
      ? `${(middle(limits, 'bytesPerSecond') / 1e9).toFixed(1)} GB/s`
      : `${(middle(limits, 'productsPerSecond') / 1e9).toFixed(0)}G products/s`;
  const share = (100 * limit) / middle(figures, 'perTokenMs');
  return `${share.toFixed(0)} % of what ${by} allows (${rateOf}: ${limit.toFixed(1)} ms a step)`;
}

/** Decoding against what the machine allows, in 32, 8 and 4 bits, and what guesses cost that are checked in one pass. */
function* decode({ peer, pairs }) {
  yield* inTemporaryFolder(function* (folder) {
    for (const [shape, batch, target] of [
      ['10M', 32, '≥ 3× bf16'],
      ['135M', 1, '≥ 90 % of the limit'],
      ['135M', 8, '≥ 80 % of the limit'],
      ['135M', 32, '≥ 60 % of the limit'],
    ]) {
      const options = ['--shape', shape, '--batch', batch, '--prompt', 64, '--new', 64];
      const rounded = shape === '135M' ? [8, 4] : [];
      const narrow = [...options, '--precision', 'bf16'];
      const llama = (type) => llamaCpp(...options, '--type', type, '--file', join(folder, `${shape}-${type}.gguf`));
      const figures = alternate(pairs, {
        limits: () => ours('limits', ...options),
        ours: () => ours('generate', ...options),
        bf16: () => peer('transformers_generate.py', ...options, '--dtype', 'bf16'),
        ...(hasBf16() && { limitsNarrow: () => ours('limits', ...narrow), narrow: () => ours('generate', ...narrow) }),
        ...Object.fromEntries(
          rounded.flatMap((bits) => [
            [`limits${bits}`, () => ours('limits', ...options, '--bits', bits)],
            [`ours${bits}`, () => ours('generate', ...options, '--bits', bits)],
          ]),
        ),
        ...(shape === '135M' && { llamaF32: () => llama('F32'), llamaQ8: () => llama('Q8_0') }),
      });
      const { ours: mine, bf16, llamaF32, llamaQ8, limits } = figures;
      const name = `decode ${shape}, batch ${batch}`;
      yield {
        name: `${name}, tokens/s`,
        value: rate(middle(mine, 'tokensPerSecond')),
        target,
        note: [
          `${middle(mine, 'perTokenMs').toFixed(1)} ms a step, ${shareOf(mine, limits)}`,
          against('Transformers bf16', mine, bf16),
          ...(shape === '135M' ? [against('node-llama-cpp F32', mine, llamaF32)] : []),
        ].join('; '),
        figures: { ours: mine, bf16, llamaF32, limits },
      };
      if (hasBf16()) {
        const own = figures.narrow;
        yield {
          name: `${name}, bf16, tokens/s`,
          value: rate(middle(own, 'tokensPerSecond')),
          target,
          note: [
            `${middle(own, 'perTokenMs').toFixed(1)} ms a step, ${shareOf(own, figures.limitsNarrow)}`,
            against('Transformers bf16', own, bf16),
            against('fp32', own, mine),
          ].join('; '),
          figures: { ours: own, limits: figures.limitsNarrow },
        };
      }
      for (const bits of rounded) {
        const own = figures[`ours${bits}`];
        yield {
          name: `${name}, ${bits}-bit weights, tokens/s`,
          value: rate(middle(own, 'tokensPerSecond')),
          target: bits === 4 && batch === 1 ? '≥ 1.6× 8 bits' : '',
          note: [
            `${middle(own, 'perTokenMs').toFixed(1)} ms a step, ${shareOf(own, figures[`limits${bits}`])}`,
            bits === 4 ? against('8 bits', own, figures.ours8) : against('node-llama-cpp Q8_0', own, llamaQ8),
          ].join('; '),
          figures: { ours: own, limits: figures[`limits${bits}`], llamaQ8 },
        };
      }
    }
    for (const [shape, bits] of [
      ['10M', undefined],
      ['135M', undefined],
      ['135M', 8],
    ]) {
      const { passes } = alternate(pairs, {
        passes: () => ours('passes', '--shape', shape, ...(bits ? ['--bits', bits] : [])),
      });
      const [{ tokens }] = passes;
      const ratios = tokens.map((_, i) => times(passes.map(at(i)), passes.map(at(0)), 'ms'));
      yield {
        name: `a pass over several tokens, ${shape}${bits ? ` in ${bits} bits` : ''}, as multiples of one over one token`,
        value: ratios.map((ratio) => ratio.toFixed(2)).join(', '),
        note: `${tokens.join(', ')} tokens; so many tokens a pass have to be right for guesses to pay`,
        figures: { passes },
      };
    }
  });
}

const at = (i) => (figures) => ({ ms: figures.ms[i] });

function* load({ peer, pairs }) {
  yield* inTemporaryFolder(function* (folder) {
    const { bytes } = ours('checkpoint', '--shape', '135M', '--out', folder);
    const figures = alternate(pairs, {
      ours: () => ours('load', '--model', folder),
      transformers: () => peer('transformers_load.py', '--model', folder),
    });
    const { ours: mine, transformers } = figures;
    yield {
      name: `loading ${(bytes / 1e6).toFixed(0)} MB of weights, warm disk, s`,
      value: middle(mine, 'seconds').toFixed(2),
      target: '≤ 2 s; RSS < 1.3× the weights',
      note: [
        `memory grew by ${(middle(mine, 'grownRssMb') / (bytes / 1e6)).toFixed(2)}× the weights`,
        transformers
          ? `Transformers ${middle(transformers, 'seconds').toFixed(2)} s: ${times(transformers, mine, 'seconds').toFixed(1)}×`
          : 'Transformers not measured',
      ].join('; '),
      figures,
    };
  });
}

const MEGA = 1e6;

/** `--device webgpu|cuda`: fine-tuning and generation on a GPU, beside PyTorch on the same one where it sees CUDA. */
function* device({ peer, pairs, device: name, shapes: chosen }) {
  if (!['webgpu', 'cuda'].includes(name)) throw new Error('the section device wants --device webgpu or --device cuda');
  process.env.HEED_DEVICE = name; // for our jobs
  for (const shape of chosen.split(',')) {
    const { batch, length } = shapes[shape];
    const steps = ['--shape', shape, '--steps', 5];
    const training = alternate(pairs, {
      ours: () => ours('sft', ...steps),
      fp32: () => peer('transformers_sft.py', ...steps, '--dtype', 'fp32', '--device', 'cuda'),
      bf16: () => peer('transformers_sft.py', ...steps, '--dtype', 'bf16', '--device', 'cuda'),
    });
    const copied = training.ours[0].copied;
    yield {
      name: `SFT step ${shape}, ${batch}×${length}, ${name}, tokens/s`,
      value: rate(middle(training.ours, 'tokensPerSecond')),
      target: '≥ 0.8× PyTorch fp32',
      note: [
        against('PyTorch fp32', training.ours, training.fp32),
        against('bf16', training.ours, training.bf16),
        `a step copies ${copied.toDevice} bytes in and ${copied.fromDevice} out`,
      ].join('; '),
      figures: training,
    };
    for (const rows of [1, 32]) {
      const options = ['--shape', shape, '--batch', rows, '--prompt', 64, '--new', 64];
      const figures = alternate(pairs, {
        ours: () => ours('generate', ...options),
        fp32: () => peer('transformers_generate.py', ...options, '--dtype', 'fp32', '--device', 'cuda'),
        bf16: () => peer('transformers_generate.py', ...options, '--dtype', 'bf16', '--device', 'cuda'),
      });
      const { toDevice, fromDevice } = figures.ours[0].copied;
      yield {
        name: `generate ${shape}, batch ${rows}, 64+64, ${name}, tokens/s`,
        value: rate(middle(figures.ours, 'tokensPerSecond')),
        target: '≥ 0.8× Transformers fp32',
        note: [
          against('Transformers fp32', figures.ours, figures.fp32),
          against('bf16', figures.ours, figures.bf16),
          latency(figures.ours),
          `64 tokens of all rows copy ${(toDevice / MEGA).toFixed(2)} MB in and ${(fromDevice / MEGA).toFixed(2)} MB out`,
        ].join('; '),
        figures,
      };
    }
  }
}

/** What commands take until they show their help: nearly all of it is loading. */
function* start({ pairs, peer }) {
  const showHelp = (command) => () => {
    const began = performance.now();
    const { status } = node('../bin/heed.js', [command, '--help']);
    return status === 0 ? { seconds: (performance.now() - began) / 1000 } : undefined;
  };
  const onesOfTrl = ['sft', 'reward', 'dpo', 'grpo'];
  for (const command of [...onesOfTrl, 'ppo', 'train', 'generate', 'serve', 'feedback']) {
    const { heed, trl } = alternate(pairs, {
      heed: showHelp(command),
      ...(onesOfTrl.includes(command) && { trl: () => peer('trl_start.py', command) }),
    });
    yield {
      name: `heed ${command} --help`,
      value: `${middle(heed, 'seconds').toFixed(2)} s`,
      ...(trl && { note: `TRL ${middle(trl, 'seconds').toFixed(1)} s: ${times(trl, heed, 'seconds').toFixed(1)}×` }),
    };
  }
}

export const lm = {
  sections: { parity, sft, forward, packing, lora, 'base-bits': baseBits, generate, decode, load, start, device },
};
