/** What settings of several of heed's commands are in TRL. */
import {
  type Equivalent,
  learningRateFactor as factorOf,
  here,
  type JobSettings,
  type MetricSource,
  off,
  only,
  same,
  type TheirValue,
  wholeParts,
} from './trainer.ts';

export const gpusOf = ({ options }: JobSettings) => options.gpus ?? 0;
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
  to: (rate: number, job) => ({ learning_rate: rate * (job.get<number>('learningRateFactor') ?? 1) }),
};

const lora: Record<string, Equivalent> = {
  'lora.rank': {
    theirs: 'LoraConfig.r',
    to: (rank: number, job): Record<string, TheirValue> =>
      rank === 0
        ? {}
        : {
            'peft.r': rank,
            'peft.lora_alpha': job.get<number>('lora.alpha') ?? 2 * rank,
            'peft.target_modules': job.get<string>('lora.targets')?.split(',') ?? 'all-linear',
            'peft.use_rslora': job.get<boolean>('lora.rankStabilized') ?? false,
          },
  },
  'lora.alpha': { theirs: 'LoraConfig.lora_alpha', to: () => ({}) },
  'lora.targets': { theirs: 'LoraConfig.target_modules', to: () => ({}) },
  'lora.rankStabilized': { theirs: 'LoraConfig.use_rslora', to: () => ({}) },
};

/** Settings of every training there. */
export const common: Record<string, Equivalent> = {
  model: { theirs: 'model', to: () => ({}) },
  data: { theirs: 'train_dataset', to: () => ({}), differs: 'required; heed writes it as JSON lines' },
  onBadRow: here('heed reads the data'),
  seed: same('seed', 'other random numbers'),
  learningRate,
  schedule: {
    ...only('lr_scheduler_type', schedules),
    to: (name: string, job) => ({
      // there, a constant rate has no warmup
      lr_scheduler_type: name === 'constant' && job.get<number>('warmup') ? 'constant_with_warmup' : name,
      ...(name === 'cosine_with_min_lr' && {
        lr_scheduler_kwargs: { min_lr_rate: job.get<number>('minimumRate') ?? 0 },
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

export const patience = off(0, 'the training continues to its end');
export const learningRateFactor = factorOf('learning_rate');

export const epochs = same('num_train_epochs');
export const steps: Equivalent = { theirs: 'max_steps' };
export const length: Equivalent = same('max_length', 'left out: 1024');
export const accumulate = same('gradient_accumulation_steps');
export const rows = (name: string): Equivalent => ({
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
    to: (batch: number, job) => ({ gradient_accumulation_steps: batch / Math.min(batch, job.get<number>('part')!) }),
    fault: (batch: number, job) => wholeParts(batch, Math.min(batch, job.get<number>('part')!), 'a multiple of part'),
  },
  part: {
    ...rows('per_device_train_batch_size'),
    to: (part: number, job) => {
      const size = perDevice(Math.min(part, job.get<number>('batch')!), job);
      return { per_device_train_batch_size: size, per_device_eval_batch_size: size };
    },
  },
};

export const truncate: Equivalent = {
  ...only('truncation_mode', ['start', 'end'], { differs: 'TRL leaves no row out' }),
  preset: 'start',
  to: (how: string) => ({ truncation_mode: how === 'start' ? 'keep_start' : 'keep_end' }),
};

export const preferences: Record<string, Equivalent> = {
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

export const lossMetrics: MetricSource[] = [
  { ours: 'loss/train', theirs: ['loss'] },
  { ours: 'loss/eval', theirs: ['eval_loss'] },
  { ours: 'gradient/norm', theirs: ['grad_norm'] },
  { ours: 'learning_rate', theirs: ['learning_rate'] },
  { ours: 'tokens', theirs: ['num_tokens'] },
];

export const pairMetrics: MetricSource[] = [
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
export const always = ({ options }: JobSettings): Record<string, TheirValue> => ({
  logging_steps: 1,
  report_to: 'none',
  ...(options.storage === undefined
    ? { save_strategy: 'no' }
    : { save_strategy: 'steps', save_steps: 0.1, save_total_limit: 1 }),
  disable_tqdm: true,
});
