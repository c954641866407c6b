/** OpenRLHF: PPO and GRPO on nodes of GPUs, with DeepSpeed and vLLM, by the flags of its train_ppo_ray. */
import {
  adapters,
  criticRate,
  each,
  gpusOf,
  placeFaults,
  rewardSetting,
  rows,
  severalCompletions,
  unwatched,
} from './policy-settings.ts';
import {
  type Equivalent,
  type JobSettings,
  learningRateFactor,
  type MetricSource,
  off,
  only,
  quoted,
  same,
  type TheirValue,
  type Trainer,
  wholeParts,
} from './trainer.ts';

/** Completions of a step. */
const completions = (job: JobSettings) => job.get<number>('batch')! * (job.get<number>('completions') ?? 1);

const common: Record<string, Equivalent> = {
  model: { theirs: 'actor.model_name_or_path', to: () => ({}) },
  data: { theirs: 'data.prompt_dataset', differs: 'required; heed writes it as JSON lines', to: () => ({}) },
  ...rewardSetting('reward.model_name_or_path, reward.remote_url'),
  seed: same('train.seed', 'other random numbers'),
  steps: {
    theirs: 'data.max_samples, train.num_episodes',
    differs: 'heed writes as many prompts as the steps take',
    to: () => ({ 'train.num_episodes': 1 }),
  },
  batch: same('rollout.batch_size'),
  rows: {
    ...rows('train.micro_batch_size, rollout.micro_batch_size', () => [
      'train.micro_batch_size',
      'rollout.micro_batch_size',
    ]),
    preset: undefined,
  },
  maxTokens: same('rollout.max_new_tokens'),
  temperature: same('rollout.temperature'),
  learningRate: {
    theirs: 'actor.adam.lr',
    differs: 'left out: OpenRLHF’s default, not heed’s, which depends on the model’s size',
    to: (rate: number, job) => ({ 'actor.adam.lr': rate * (job.get<number>('learningRateFactor') ?? 1) }),
  },
  learningRateFactor: learningRateFactor('actor.adam.lr'),
  schedule: {
    ...only('actor.lr_scheduler, critic.lr_scheduler', [
      ...['constant', 'constant_with_warmup', 'linear', 'cosine', 'cosine_with_min_lr'],
    ]),
    to: (name: string, job) => {
      const theirs = name === 'constant' && job.get<number>('warmup') ? 'constant_with_warmup' : name;
      return { 'actor.lr_scheduler': theirs, 'critic.lr_scheduler': theirs };
    },
  },
  minimumRate: same('actor.min_lr_ratio'),
  warmup: each('actor.lr_warmup_ratio', 'critic.lr_warmup_ratio'),
  weightDecay: same('actor.adam.weight_decay'),
  beta2: { theirs: 'actor.adam.betas', to: (beta2: number) => ({ 'actor.adam.betas': [0.9, beta2] }) },
  epsilon: same('actor.adam.eps'),
  maxGradientNorm: each('actor.max_norm', 'critic.max_norm'),
  checkpointLayers: same('actor.gradient_checkpointing_enable'),
  dtype: { ...only('ds.param_dtype', ['BF16']), preset: 'BF16', to: () => ({ 'ds.param_dtype': 'bf16' }) },
  'lora.rank': same('ds.lora.rank'),
  ...adapters('ds.lora.alpha', 'ds.lora.target_modules'),
  evaluations: off(0, 'OpenRLHF evaluates by rewards of rules only'),
  ...unwatched,
  maxKl: off(0, 'OpenRLHF does not limit the KL'),
  'score.normalize': off('none', 'its running normalization differs from all of heed’s'),
  'score.scale': off(1),
  'score.missingEos': off(0),
  'score.clip': {
    theirs: 'reward.clip_range',
    differs: 'left out: ±10',
    to: (bound: number) => ({ 'reward.clip_range': [-bound, bound] }),
  },
};

const always = (job: JobSettings): Record<string, TheirValue> => {
  const [gpus, nodes] = [gpusOf(job), job.options.nodes];
  const size = { num_nodes: nodes, num_gpus_per_node: gpus };
  return {
    ...Object.fromEntries(
      ['actor', 'ref', 'critic', 'reward'].flatMap((part) =>
        Object.entries(size).map(([name, value]) => [`${part}.${name}`, value]),
      ),
    ),
    'vllm.num_engines': gpus * nodes,
    'vllm.gpu_memory_utilization': 0.5,
    'vllm.enable_sleep': true,
    'ds.enable_sleep': true,
    'train.colocate_all': true,
    'logger.logging_steps': 1,
    'data.input_key': 'prompt',
    'data.label_key': 'row',
  };
};

const metrics: MetricSource[] = [
  { ours: 'loss/policy', theirs: ['train/policy_loss'] },
  { ours: 'gradient/norm', theirs: ['train/actor_grad_norm'] },
  { ours: 'learning_rate', theirs: ['train/actor_lr'] },
  { ours: 'reward/mean', theirs: ['train/reward'] },
  { ours: 'policy/kl', theirs: ['train/kl'], differs: 'nats per token' },
  {
    ours: 'kl/mean',
    theirs: ['train/kl', 'train/response_length'],
    change: 'product',
    differs: 'estimated: per token times the mean length',
  },
  { ours: 'policy/clip_fraction', theirs: ['train/ppo_clip_ratio'] },
  { ours: 'policy/entropy', theirs: ['train/entropy_loss'] },
  { ours: 'response/length', theirs: ['train/response_length'] },
];

/** OpenRLHF. */
export const openrlhf: Trainer = {
  name: 'openrlhf',
  package: 'openrlhf',
  versions: { from: '0.11', below: '0.12', tested: '0.11.2' },
  metricsFrom: 'tensorboard',
  modelAt: () => 'model',
  tasks: {
    ppo: {
      always: (job) => ({ ...always(job), 'algo.advantage.estimator': 'gae' }),
      settings: {
        ...common,
        'kl.beta': same('algo.kl.init_coef'),
        'kl.controller': {
          ...off('fixed', 'OpenRLHF calls its adaptive one incompatible'),
          theirs: 'algo.kl.init_coef',
        },
        'kl.estimator': same('algo.kl.estimator'),
        'score.place': off('last'),
        'ppo.epochs': same('train.max_epochs'),
        'ppo.minibatch': {
          theirs: 'train.batch_size',
          fault: (size: number, job) => wholeParts(completions(job), size, 'batch to be a multiple of ppo.minibatch'),
        },
        'ppo.clip': same('actor.eps_clip'),
        'ppo.discount': same('algo.advantage.gamma'),
        'ppo.lambda': same('algo.advantage.lambd'),
        'ppo.whiten': off(true, 'OpenRLHF normalizes advantages'),
        'ppo.whitenRewards': off(false),
        'ppo.entropy': {
          theirs: 'actor.entropy_coef',
          to: (weight: number): Record<string, TheirValue> => (weight === 0 ? {} : { 'actor.entropy_coef': weight }),
        },
        'critic.kind': off('own'),
        'critic.model': { theirs: 'critic.model_name_or_path', differs: 'left out: the reward model', to: () => ({}) },
        'critic.rate': criticRate('critic.adam.lr', 'times learningRate; left out: OpenRLHF’s default'),
        'critic.clip': same('critic.value_clip'),
        'critic.warmup': same('critic.freezing_steps'),
      },
      metrics: [...metrics, { ours: 'loss/value', theirs: ['train/critic_loss'] }],
    },
    grpo: {
      always,
      settings: {
        ...common,
        completions: severalCompletions('rollout.n_samples_per_prompt'),
        epochs: same('train.max_epochs'),
        minibatches: {
          theirs: 'train.batch_size',
          differs: 'completions of an optimizer step: batch × completions / minibatches',
          to: (count: number, job) => ({ 'train.batch_size': completions(job) / count }),
          fault: (count: number, job) =>
            wholeParts(completions(job), count, 'batch × completions to be a multiple of it'),
        },
        beta: {
          theirs: 'algo.kl.init_coef, algo.kl.use_loss, algo.kl.estimator',
          to: (beta: number) => ({
            'algo.kl.init_coef': beta,
            ...(beta > 0 && { 'algo.kl.use_loss': true, 'algo.kl.estimator': 'k3' }),
          }),
        },
        unbiasedKl: same('algo.kl.unbiased_gradient'),
        loss: {
          ...only('actor.loss_agg_mode', ['grpo', 'dapo', 'bnpo']),
          to: (loss: string) => ({ 'actor.loss_agg_mode': loss === 'grpo' ? 'seq-mean-token-mean' : 'token-mean' }),
        },
        level: {
          theirs: 'actor.policy_loss_type',
          to: (level: string) => ({ 'actor.policy_loss_type': level === 'sequence' ? 'gspo' : 'ppo' }),
        },
        scale: {
          ...only('algo.advantage.estimator', ['group', 'none']),
          to: (scale: string) => ({ 'algo.advantage.estimator': scale === 'group' ? 'group_norm' : 'dr_grpo' }),
        },
        advantages: off('group'),
        aggregation: off('sum_then_normalize', 'there is one reward'),
        'clip.low': {
          theirs: 'actor.eps_clip_low_high',
          to: (low: number, job) => ({ 'actor.eps_clip_low_high': [low, job.get<number>('clip.high')!] }),
        },
        'clip.high': { theirs: 'actor.eps_clip_low_high', to: () => ({}) },
        entropy: {
          theirs: 'actor.entropy_coef',
          to: (weight: number): Record<string, TheirValue> => (weight === 0 ? {} : { 'actor.entropy_coef': weight }),
        },
        overlong: {
          theirs: 'reward.overlong_buffer_len',
          to: (tokens: number): Record<string, TheirValue> =>
            tokens === 0 ? {} : { 'reward.overlong_buffer_len': tokens },
        },
        dropEqual: off(false),
        maskTruncated: off(false),
        topEntropy: off(1),
      },
      metrics,
    },
  },
  faults: (job) => [
    ...placeFaults('openrlhf', job),
    ...(job.get('chatTemplate') !== undefined ? ['settings.chatTemplate: openrlhf takes the tokenizer’s own'] : []),
  ],
  write(theirs, job, inputs) {
    const address = /^https?:/.test(inputs.reward ?? '');
    const all: Record<string, TheirValue> = {
      'actor.model_name_or_path': inputs.model,
      ...(address
        ? { 'reward.remote_url': 'heed_reward.py' }
        : { 'reward.model_name_or_path': inputs.reward ?? inputs.model }),
      ...(inputs.critic !== undefined && { 'critic.model_name_or_path': inputs.critic }),
      'data.prompt_dataset': inputs.train,
      ...(inputs.conversational && { 'data.apply_chat_template': true }),
      ...theirs,
      ...(job.options.settings as typeof theirs),
    };
    const words = Object.entries(all).flatMap(([name, value]) => {
      if (value === false || value === null) return [];
      const values = value === true ? [] : [value].flat().map((one) => quoted(String(one)));
      return [`--${name}${values.length > 0 ? ` ${values.join(' ')}` : ''}`];
    });
    const ourWords = [
      '--ckpt.output_dir "$HEED_OUT/model"',
      '--ckpt.path "$HEED_OUT/checkpoints"',
      '--logger.tensorboard_dir "$HEED_OUT/tensorboard"',
    ];
    return {
      'launch.sh': `#!/bin/sh\n# heed: ${job.command} by OpenRLHF\nexec "$HEED_PYTHON" -m openrlhf.cli.train_ppo_ray \\\n  ${[...words, ...ourWords].join(' \\\n  ')}\n`,
    };
  },
};
