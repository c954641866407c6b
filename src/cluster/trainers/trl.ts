/** TRL (Hugging Face): SFT, reward models, DPO, KTO and GRPO on one node, by its trainers' config classes. */
import {
  type Equivalent,
  here,
  type JobSettings,
  type MetricSource,
  off,
  only,
  quoted,
  same,
  type TheirValue,
  type Trainer,
  wholeParts,
} from './trainer.ts';

const gpusOf = ({ options }: JobSettings) => options.gpus ?? 0;
/** Processes that share a batch. */
const processes = (job: JobSettings) => Math.max(1, gpusOf(job));

const perDevice = (rows: number, job: JobSettings) => rows / processes(job);
const rowsFault = (rows: number, job: JobSettings) =>
  wholeParts(rows, processes(job), `a multiple of the ${processes(job)} GPUs`);

const schedules = [
  'constant',
  'constant_with_warmup',
  'linear',
  'cosine',
  'cosine_with_restarts',
  'cosine_with_min_lr',
  'polynomial',
  'inverse_sqrt',
];

/** heed's option of which the highest learning rate is made. */
const learningRate: Equivalent = {
  theirs: 'learning_rate',
  differs: 'left out: TRL’s default, not heed’s, which depends on the model’s size',
  to: (rate: number, job) => ({ learning_rate: rate * (job.of<number>('learningRateFactor') ?? 1) }),
};

const lora: Record<string, Equivalent> = {
  'lora.rank': {
    theirs: 'LoraConfig.r',
    to: (rank: number, job): Record<string, TheirValue> =>
      rank === 0
        ? {}
        : {
            'peft.r': rank,
            'peft.lora_alpha': job.of<number>('lora.alpha') ?? 2 * rank,
            'peft.target_modules': job.of<string>('lora.targets')?.split(',') ?? 'all-linear',
            'peft.use_rslora': job.of<boolean>('lora.rankStabilized') ?? false,
          },
  },
  'lora.alpha': { theirs: 'LoraConfig.lora_alpha', to: () => ({}) },
  'lora.targets': { theirs: 'LoraConfig.target_modules', to: () => ({}) },
  'lora.rankStabilized': { theirs: 'LoraConfig.use_rslora', to: () => ({}) },
};

/** Settings of every training there. */
const common: Record<string, Equivalent> = {
  model: { theirs: 'model', to: () => ({}) },
  data: { theirs: 'train_dataset', to: () => ({}), differs: 'required; heed writes it as JSON lines' },
  onBadRow: here('heed reads the data'),
  seed: same('seed', 'other random numbers'),
  learningRate,
  schedule: {
    ...only('lr_scheduler_type', schedules),
    to: (name: string, job) => ({
      // there, a constant rate has no warmup
      lr_scheduler_type: name === 'constant' && job.of<number>('warmup') ? 'constant_with_warmup' : name,
      ...(name === 'cosine_with_min_lr' && {
        lr_scheduler_kwargs: { min_lr_rate: job.of<number>('minimumRate') ?? 0 },
      }),
    }),
  },
  minimumRate: { theirs: 'lr_scheduler_kwargs.min_lr_rate', to: () => ({}) },
  warmup: same('warmup_steps', 'a share; the number of steps is rounded up, not down'),
  weightDecay: same('weight_decay'),
  beta2: same('adam_beta2'),
  maxGradientNorm: same('max_grad_norm'),
  evaluations: {
    theirs: 'eval_strategy, eval_steps',
    differs: 'none before the first step',
    to: (count: number, { evaluates }): Record<string, TheirValue> =>
      evaluates && count > 0
        ? { eval_strategy: 'steps', eval_steps: count > 1 ? 1 / count : 0.9999 }
        : { eval_strategy: 'no' },
  },
  'evaluation.data': { theirs: 'eval_dataset', to: () => ({}) },
  'evaluation.share': here('heed holds out other rows than for its own trainings'),
  keepBest: off(false, 'the last model is the result'),
  checkpointLayers: same('gradient_checkpointing'),
  dtype: {
    theirs: 'dtype of from_pretrained',
    differs: 'the weights are also trained in it; "bf16": true of trainer.settings is mixed precision',
    to: () => ({}),
  },
  chatTemplate: { theirs: 'chat_template of the tokenizer', to: () => ({}) },
  ...lora,
};

const patience = off(0, 'the training goes on to its end');
const learningRateFactor: Equivalent = {
  theirs: 'learning_rate',
  to: () => ({}),
  fault: (factor: number, job) =>
    factor === 1 || job.of('learningRate') !== undefined ? undefined : 'expected --learningRate with it',
};

const epochs = same('num_train_epochs');
const steps: Equivalent = { theirs: 'max_steps' };
const length: Equivalent = same('max_length', 'left out: 1024');
const accumulate = same('gradient_accumulation_steps');
const rows = (name: string): Equivalent => ({
  theirs: name,
  differs: 'divided by the number of GPUs',
  to: (count: number, job) => ({
    per_device_train_batch_size: perDevice(count, job),
    per_device_eval_batch_size: perDevice(count, job),
  }),
  fault: rowsFault,
});

/** Reads: batch items per optimizer step, part of them at once. */
const batchAndPart: Record<string, Equivalent> = {
  batch: {
    theirs: 'per_device_train_batch_size × gradient_accumulation_steps',
    to: (batch: number, job) => ({ gradient_accumulation_steps: batch / Math.min(batch, job.of<number>('part')!) }),
    fault: (batch: number, job) => wholeParts(batch, Math.min(batch, job.of<number>('part')!), 'a multiple of part'),
  },
  part: {
    ...rows('per_device_train_batch_size'),
    to: (part: number, job) => {
      const size = perDevice(Math.min(part, job.of<number>('batch')!), job);
      return { per_device_train_batch_size: size, per_device_eval_batch_size: size };
    },
  },
};

const truncate: Equivalent = {
  ...only('truncation_mode', ['start', 'end'], { differs: 'TRL leaves no row out' }),
  preset: 'start',
  to: (how: string) => ({ truncation_mode: how === 'start' ? 'keep_start' : 'keep_end' }),
};

const preferences: Record<string, Equivalent> = {
  ...common,
  learningRateFactor,
  patience,
  epochs,
  steps,
  ...batchAndPart,
  length,
  beta: same('beta'),
  reference: { theirs: 'ref_model', to: () => ({}) },
  precompute: {
    theirs: 'precompute_ref_log_probs',
    // with adapters the base model is the reference, and costs nothing more
    to: (value: boolean) => ({ precompute_ref_log_probs: value }),
  },
  maxKl: off(0, 'TRL does not limit the KL'),
};

const lossMetrics: MetricSource[] = [
  { ours: 'loss/train', theirs: ['loss'] },
  { ours: 'loss/eval', theirs: ['eval_loss'] },
  { ours: 'gradient/norm', theirs: ['grad_norm'] },
  { ours: 'learning_rate', theirs: ['learning_rate'] },
  { ours: 'tokens', theirs: ['num_tokens'] },
];

const pairMetrics: MetricSource[] = [
  'rewards/chosen',
  'rewards/rejected',
  'rewards/margins',
  'rewards/accuracies',
  'logps/chosen',
  'logps/rejected',
].flatMap((name) => [
  { ours: name, theirs: [name] },
  { ours: `eval/${name}`, theirs: [`eval_${name}`] },
]);

/** Checkpoints outlive a lost node only in the storage. */
const always = ({ options }: JobSettings): Record<string, TheirValue> => ({
  logging_steps: 1,
  report_to: 'none',
  ...(options.storage === undefined
    ? { save_strategy: 'no' }
    : { save_strategy: 'steps', save_steps: 0.1, save_total_limit: 1 }),
  disable_tqdm: true,
});

/** Completions of a step. */
const completions = (job: JobSettings) => job.of<number>('batch')! * job.of<number>('answers')!;
const updates = (job: JobSettings) => job.of<number>('epochs')! * job.of<number>('minibatches')!;

const grpoLosses = ['grpo', 'dr_grpo', 'dapo', 'bnpo', 'cispo', 'sapo', 'luspo', 'vespo'];
const dpoLosses = [
  ...['sigmoid', 'sigmoid_norm', 'hinge', 'ipo', 'exo_pair', 'nca_pair', 'robust', 'bco_pair', 'sppo_hard'],
  ...['aot', 'aot_unpaired', 'apo_zero', 'apo_down', 'discopop', 'sft'],
];

const grpo: Record<string, Equivalent> = {
  ...common,
  learningRateFactor,
  patience,
  reward: {
    theirs: 'reward_funcs',
    differs: 'a reward model’s folder or name on the Hub, or an address, which heed’s requests reach from the nodes',
    to: () => ({}),
  },
  'rewardCall.timeout': here('for an address'),
  'rewardCall.retries': here('for an address'),
  'rewardCall.pause': here('for an address'),
  epsilon: same('adam_epsilon'),
  steps: {
    theirs: 'max_steps',
    differs: 'optimizer steps there: times epochs and minibatches',
    to: (count: number, job) => ({ max_steps: count * updates(job) }),
  },
  batch: {
    theirs: 'generation_batch_size',
    differs: 'completions there, not prompts',
    to: (_: number, job) => ({
      generation_batch_size: completions(job),
      gradient_accumulation_steps: completions(job) / (job.of<number>('minibatches')! * job.of<number>('rows')!),
    }),
    fault: (_: number, job) => {
      const part = job.of<number>('minibatches')! * job.of<number>('rows')!;
      return wholeParts(completions(job), part, 'batch × answers to be a multiple of minibatches × rows');
    },
  },
  answers: {
    theirs: 'num_generations',
    to: (count: number) => ({ num_generations: count, num_generations_eval: 1 }),
    fault: (count: number) => (count > 1 ? undefined : 'expected at least 2'),
  },
  rows: rows('per_device_train_batch_size'),
  minibatches: { theirs: 'gradient_accumulation_steps', to: () => ({}) },
  epochs: same('num_iterations'),
  maxTokens: same('max_completion_length'),
  temperature: same('temperature'),
  beta: same('beta'),
  loss: only('loss_type', grpoLosses),
  level: same('importance_sampling_level'),
  advantages: off('group', 'TRL compares completions of a prompt'),
  scale: same('scale_rewards'),
  aggregation: off('sum_then_normalize', 'there is one reward'),
  'clip.low': same('epsilon'),
  'clip.high': same('epsilon_high'),
  delta: same('delta'),
  unbiasedKl: same('use_bias_correction_kl'),
  offPolicy: same('off_policy_mask_threshold'),
  entropy: same('entropy_coef'),
  topEntropy: same('top_entropy_quantile'),
  maskTruncated: same('mask_truncated_completions'),
  overlong: off(0),
  dropEqual: off(false),
  maxKl: off(0, 'TRL does not limit the KL'),
  'score.normalize': off('none', 'advantages are normalized by group'),
  'score.missingEos': off(0),
};

const grpoMetrics: MetricSource[] = [
  { ours: 'loss/policy', theirs: ['loss'] },
  { ours: 'gradient/norm', theirs: ['grad_norm'] },
  { ours: 'learning_rate', theirs: ['learning_rate'] },
  { ours: 'tokens', theirs: ['num_tokens'], differs: 'prompts included' },
  { ours: 'reward/mean', theirs: ['reward'] },
  { ours: 'reward/std', theirs: ['reward_std'] },
  { ours: 'reward/equal_groups', theirs: ['frac_reward_zero_std'] },
  { ours: 'policy/kl_k3', theirs: ['kl'] },
  {
    ours: 'kl/mean',
    theirs: ['kl', 'completions/mean_length'],
    change: 'product',
    differs: 'estimated: k3 per token times the mean length',
  },
  { ours: 'policy/entropy', theirs: ['entropy'] },
  { ours: 'policy/clip_fraction', theirs: ['clip_ratio/region_mean'] },
  { ours: 'policy/clipped_low', theirs: ['clip_ratio/low_mean'] },
  { ours: 'policy/clipped_high', theirs: ['clip_ratio/high_mean'] },
  { ours: 'response/length', theirs: ['completions/mean_length'] },
  { ours: 'response/eos_rate', theirs: ['completions/clipped_ratio'], change: 'share of others' },
  { ours: 'eval/reward', theirs: ['eval_reward'] },
  {
    ours: 'eval/kl',
    theirs: ['eval_kl', 'eval_completions/mean_length'],
    change: 'product',
    differs: 'estimated, as kl/mean',
  },
];

/** Hugging Face's TRL. */
export const trl: Trainer = {
  name: 'trl',
  package: 'trl',
  versions: { from: '1.0', below: '2.0', tested: '1.16.0' },
  metricsFrom: 'lines',
  modelAt: () => 'model',
  tasks: {
    sft: {
      always,
      settings: {
        ...common,
        learningRateFactor,
        patience,
        epochs,
        steps,
        length,
        rows: rows('per_device_train_batch_size'),
        accumulate,
        loss: {
          ...only('completion_only_loss, assistant_only_loss', ['completion', 'assistant', 'all', undefined]),
          differs: 'assistant: the chat template needs {% generation %}; left out: of prompts the completion, else all',
          to: (which: string) => ({
            completion_only_loss: which === 'completion',
            ...(which === 'assistant' && { assistant_only_loss: true }),
          }),
        },
        truncate: { ...only('truncation_mode', ['cut']), to: () => ({ truncation_mode: 'keep_start' }) },
        packing: {
          theirs: 'packing',
          preset: false,
          differs: 'off unless set: examples of a row see each other there without FlashAttention',
        },
      },
      metrics: [...lossMetrics, { ours: 'perplexity', theirs: ['eval_loss'], change: 'exp' }],
    },
    reward: {
      always,
      settings: {
        ...common,
        epochs,
        length,
        batch: rows('per_device_train_batch_size'),
        accumulate,
        truncate: off('drop', 'TRL leaves longer comparisons out'),
        loss: off('bradley-terry'),
        centering: same('center_rewards_coefficient'),
        normalize: off(false, 'rewards stay as they are'),
        members: off(1),
        labelSmoothing: off(0),
        lengthDebias: off(false),
        ratingMargin: off(0),
      },
      metrics: [
        ...lossMetrics,
        { ours: 'accuracy/train', theirs: ['accuracy'] },
        { ours: 'accuracy/eval', theirs: ['eval_accuracy'] },
        { ours: 'margin/mean', theirs: ['eval_margin'] },
      ],
    },
    dpo: {
      always,
      settings: {
        ...preferences,
        truncate,
        loss: {
          theirs: 'loss_type',
          to: (names: string) => ({ loss_type: names.split(',').map((name) => name.trim()) }),
          fault: (names: string) =>
            names.split(',').every((name) => dpoLosses.includes(name.trim()))
              ? undefined
              : `expected of ${dpoLosses.join(', ')}`,
        },
        lossWeights: same('loss_weights'),
        labelSmoothing: same('label_smoothing'),
        divergence: same('f_divergence_type'),
        divergenceAlpha: same('f_alpha_divergence_coef'),
        discopopTemperature: same('discopop_tau'),
        lengthAlpha: {
          theirs: 'ld_alpha',
          to: (alpha: number): Record<string, TheirValue> => (alpha === 1 ? {} : { ld_alpha: alpha }),
        },
        weighting: same('use_weighting'),
      },
      metrics: [...lossMetrics, ...pairMetrics],
    },
    kto: {
      always,
      settings: {
        ...preferences,
        truncate: off('start'),
        loss: same('loss_type'),
        desirableWeight: same('desirable_weight'),
        undesirableWeight: same('undesirable_weight'),
      },
      metrics: [...lossMetrics, ...pairMetrics, { ours: 'kl/mean', theirs: ['kl'] }],
    },
    grpo: { always, settings: grpo, metrics: grpoMetrics, stepsPer: updates },
  },
  faults: ({ options, command, of }) => [
    ...(options.nodes > 1 ? [`trainer.nodes: expected 1: trl runs on one node, got ${options.nodes}`] : []),
    ...(command === 'grpo' && of('reference') !== undefined ? ['settings.reference: trl takes the model itself'] : []),
  ],
  write(theirs, job, inputs) {
    const [config, peft]: Record<string, TheirValue>[] = [{}, {}];
    for (const [name, value] of Object.entries({ ...theirs, ...(job.options.settings as typeof theirs) })) {
      if (name.startsWith('peft.')) peft[name.slice('peft.'.length)] = value;
      else config[name] = value;
    }
    if (gpusOf(job) === 0) config.use_cpu ??= true;
    config.bf16 ??= false;
    const address = /^https?:/.test(inputs.reward ?? '');
    const order = {
      command: job.command,
      model: inputs.model,
      reference: inputs.reference ?? null,
      reward: address ? null : (inputs.reward ?? null),
      endpoint: address,
      chatTemplate: inputs.chatTemplate?.path ?? null,
      dtype: { F32: 'float32', F16: 'float16', BF16: 'bfloat16' }[job.of<'F32'>('dtype') ?? 'F32'],
      data: { train: inputs.train, eval: inputs.heldOut ?? null },
      config,
      peft: Object.keys(peft).length > 0 ? peft : null,
    };
    const launch =
      gpusOf(job) > 1 ? `-m accelerate.commands.launch --num_processes ${gpusOf(job)} trl_train.py` : 'trl_train.py';
    return {
      'launch.sh': `#!/bin/sh\n# heed: ${job.command} by TRL\nexec "$HEED_PYTHON" ${launch} ${quoted('config.json')} "$HEED_OUT"\n`,
      'config.json': `${JSON.stringify(order, null, 2)}\n`,
    };
  },
};
