/** verl: PPO and GRPO on nodes of GPUs, with FSDP and vLLM, by overrides of its ppo_trainer.yaml. */
import { KL_HORIZON } from '../../align/ppo/kl-controller.ts';
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

const ACTOR = 'actor_rollout_ref.actor';

const isLora = (job: JobSettings) => (job.get<number>('lora.rank') ?? 0) > 0;

const common: Record<string, Equivalent> = {
  model: { theirs: 'actor_rollout_ref.model.path', to: () => ({}) },
  data: {
    theirs: 'data.train_files',
    differs: 'required; conversations only; heed writes it as JSON lines',
    to: () => ({}),
  },
  ...rewardSetting('reward.reward_model.model_path, reward.custom_reward_function.path'),
  chatTemplate: { theirs: 'actor_rollout_ref.model.custom_chat_template', to: () => ({}) },
  seed: {
    theirs: 'data.seed, actor_rollout_ref.actor.data_loader_seed, actor_rollout_ref.rollout.seed',
    differs: 'other random numbers',
    to: (seed: number) => ({
      'data.seed': seed,
      [`${ACTOR}.data_loader_seed`]: seed,
      'actor_rollout_ref.rollout.seed': seed,
    }),
  },
  steps: {
    theirs: 'trainer.total_training_steps',
    to: (steps: number) => ({ 'trainer.total_training_steps': steps, 'trainer.save_freq': steps }),
  },
  batch: same('data.train_batch_size'),
  rows: rows(`${ACTOR}.ppo_micro_batch_size_per_gpu`, ({ command }) => [
    `${ACTOR}.ppo_micro_batch_size_per_gpu`,
    'actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu',
    'actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu',
    ...(command === 'ppo' ? ['critic.ppo_micro_batch_size_per_gpu'] : []),
  ]),
  maxTokens: same('data.max_response_length'),
  temperature: same('actor_rollout_ref.rollout.temperature'),
  learningRate: {
    theirs: `${ACTOR}.optim.lr`,
    differs: 'left out: verl’s default, not heed’s, which depends on the model’s size',
    to: (rate: number, job) => ({ [`${ACTOR}.optim.lr`]: rate * (job.get<number>('learningRateFactor') ?? 1) }),
  },
  learningRateFactor: learningRateFactor(`${ACTOR}.optim.lr`),
  schedule: {
    ...only(`${ACTOR}.optim.lr_scheduler_type`, ['constant', 'constant_with_warmup', 'cosine', 'cosine_with_min_lr']),
    to: (name: string) => ({
      [`${ACTOR}.optim.lr_scheduler_type`]: name.startsWith('cosine') ? 'cosine' : 'constant',
    }),
  },
  minimumRate: same(`${ACTOR}.optim.min_lr_ratio`),
  warmup: same(`${ACTOR}.optim.lr_warmup_steps_ratio`),
  weightDecay: same(`${ACTOR}.optim.weight_decay`),
  beta2: { theirs: `${ACTOR}.optim.betas`, to: (beta2: number) => ({ [`${ACTOR}.optim.betas`]: [0.9, beta2] }) },
  maxGradientNorm: each(`${ACTOR}.optim.clip_grad`, `${ACTOR}.grad_clip`),
  checkpointLayers: same('actor_rollout_ref.model.enable_gradient_checkpointing'),
  dtype: { ...only('actor_rollout_ref.rollout.dtype', ['BF16']), preset: 'BF16', to: () => ({}) },
  'lora.rank': same('actor_rollout_ref.model.lora_rank'),
  ...adapters('actor_rollout_ref.model.lora_alpha', 'actor_rollout_ref.model.target_modules'),
  evaluations: off(0, 'heed does not pass held-out prompts to verl'),
  ...unwatched,
  maxKl: off(0, 'verl does not limit the KL'),
  'score.normalize': off('none', 'scores stay as they are'),
  'score.scale': off(1),
  'score.missingEos': off(0),
};

const always = (job: JobSettings): Record<string, TheirValue> => ({
  'actor_rollout_ref.rollout.name': 'vllm',
  'actor_rollout_ref.rollout.tensor_model_parallel_size': 1,
  [`${ACTOR}.checkpoint.save_contents`]: ['model', 'optimizer', 'extra', 'hf_model'],
  'trainer.nnodes': job.options.nodes,
  'trainer.n_gpus_per_node': gpusOf(job),
  'trainer.logger': ['console', 'file'],
  'trainer.val_before_train': false,
  'trainer.test_freq': -1,
  'trainer.total_epochs': 1,
});

const metrics: MetricSource[] = [
  { ours: 'loss/policy', theirs: ['actor/pg_loss'] },
  { ours: 'gradient/norm', theirs: ['actor/grad_norm'] },
  { ours: 'learning_rate', theirs: ['actor/lr'] },
  { ours: 'reward/mean', theirs: ['critic/score/mean'] },
  { ours: 'reward/objective', theirs: ['critic/rewards/mean'] },
  { ours: 'policy/approx_kl', theirs: ['actor/ppo_kl'], differs: 'the mean of log ratios, not ½ of their squares' },
  { ours: 'policy/clip_fraction', theirs: ['actor/pg_clipfrac'] },
  { ours: 'policy/entropy', theirs: ['actor/entropy'] },
  { ours: 'response/length', theirs: ['response_length/mean'] },
  { ours: 'response/eos_rate', theirs: ['response_length/clip_ratio'], change: 'share of others' },
];
const product = (kl: string): MetricSource => ({
  ours: 'kl/mean',
  theirs: [kl, 'response_length/mean'],
  change: 'product',
  differs: 'estimated: per token times the mean length',
});

/** A value as Hydra reads it. */
function inHydra(value: TheirValue): string {
  if (Array.isArray(value)) return `[${value.map(inHydra).join(',')}]`;
  return typeof value === 'string' ? `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"` : String(value);
}

/** ByteDance's verl. */
export const verl: Trainer = {
  name: 'verl',
  package: 'verl',
  versions: { from: '0.9', below: '0.10', tested: '0.9.1' },
  metricsFrom: 'lines',
  modelAt: (job) => `checkpoints/global_step_*/actor/${isLora(job) ? 'lora_adapter' : 'huggingface'}`,
  tasks: {
    ppo: {
      always: (job) => ({ ...always(job), 'algorithm.adv_estimator': 'gae' }),
      settings: {
        ...common,
        'kl.beta': {
          theirs: 'algorithm.kl_ctrl.kl_coef',
          to: (beta: number) => ({ 'algorithm.use_kl_in_reward': beta > 0, 'algorithm.kl_ctrl.kl_coef': beta }),
        },
        'kl.controller': {
          ...only('algorithm.kl_ctrl.type', ['fixed', 'proportional'], { differs: 'proportional is adaptive there' }),
          preset: 'fixed',
          to: (kind: string) => ({
            'algorithm.kl_ctrl.type': kind === 'fixed' ? 'fixed' : 'adaptive',
            'algorithm.kl_ctrl.horizon': KL_HORIZON,
          }),
        },
        'kl.target': {
          theirs: 'algorithm.kl_ctrl.target_kl',
          differs: 'nats per token there: divided by maxTokens',
          to: (nats: number, job) => ({ 'algorithm.kl_ctrl.target_kl': nats / job.get<number>('maxTokens')! }),
        },
        'kl.estimator': {
          theirs: 'algorithm.kl_penalty',
          to: (name: 'k1' | 'k2' | 'k3') => ({
            'algorithm.kl_penalty': { k1: 'kl', k2: 'mse', k3: 'low_var_kl' }[name],
          }),
        },
        'score.place': off('last'),
        'ppo.epochs': {
          theirs: `${ACTOR}.ppo_epochs`,
          to: (epochs: number) => ({ [`${ACTOR}.ppo_epochs`]: epochs, 'critic.ppo_epochs': epochs }),
        },
        'ppo.minibatch': {
          theirs: `${ACTOR}.ppo_mini_batch_size`,
          to: (size: number) => ({ [`${ACTOR}.ppo_mini_batch_size`]: size, 'critic.ppo_mini_batch_size': size }),
          fault: (size: number, job) =>
            wholeParts(job.get<number>('batch')!, size, 'batch to be a multiple of ppo.minibatch'),
        },
        'ppo.clip': {
          theirs: `${ACTOR}.clip_ratio`,
          to: (clip: number) => ({
            [`${ACTOR}.clip_ratio`]: clip,
            [`${ACTOR}.clip_ratio_low`]: clip,
            [`${ACTOR}.clip_ratio_high`]: clip,
          }),
        },
        'ppo.discount': same('algorithm.gamma'),
        'ppo.lambda': same('algorithm.lam'),
        'ppo.whiten': off(true, 'verl normalizes advantages'),
        'ppo.whitenRewards': off(false),
        'ppo.entropy': same(`${ACTOR}.entropy_coeff`),
        'critic.kind': off('own'),
        'critic.model': { theirs: 'critic.model.path', differs: 'left out: the policy', to: () => ({}) },
        'critic.rate': criticRate('critic.optim.lr', 'times learningRate; left out: verl’s default'),
        'critic.clip': same('critic.cliprange_value'),
        'critic.warmup': same('trainer.critic_warmup'),
      },
      metrics: [
        ...metrics,
        { ours: 'loss/value', theirs: ['critic/vf_loss'] },
        { ours: 'value/explained_var', theirs: ['critic/vf_explained_var'] },
        { ours: 'value/clip_fraction', theirs: ['critic/vf_clipfrac'] },
        { ours: 'value/gradient_norm', theirs: ['critic/grad_norm'] },
        { ours: 'kl/beta', theirs: ['actor/reward_kl_penalty_coeff'] },
        product('actor/reward_kl_penalty'),
      ],
    },
    grpo: {
      always: (job) => ({ ...always(job), 'algorithm.adv_estimator': 'grpo' }),
      settings: {
        ...common,
        completions: severalCompletions('actor_rollout_ref.rollout.n'),
        epochs: same(`${ACTOR}.ppo_epochs`),
        minibatches: {
          theirs: `${ACTOR}.ppo_mini_batch_size`,
          differs: 'prompts of an optimizer step: batch / minibatches',
          to: (count: number, job) => ({ [`${ACTOR}.ppo_mini_batch_size`]: job.get<number>('batch')! / count }),
          fault: (count: number, job) => wholeParts(job.get<number>('batch')!, count, 'batch to be a multiple of it'),
        },
        beta: {
          theirs: `${ACTOR}.use_kl_loss, ${ACTOR}.kl_loss_coef, ${ACTOR}.kl_loss_type`,
          to: (beta: number) => ({
            [`${ACTOR}.use_kl_loss`]: beta > 0,
            [`${ACTOR}.kl_loss_coef`]: beta,
            [`${ACTOR}.kl_loss_type`]: 'low_var_kl',
          }),
        },
        loss: {
          ...only(`${ACTOR}.loss_agg_mode`, ['grpo', 'dr_grpo', 'dapo', 'bnpo']),
          to: (loss: 'grpo') => ({
            [`${ACTOR}.loss_agg_mode`]:
              { grpo: 'seq-mean-token-mean', dr_grpo: 'seq-mean-token-sum-norm' }[loss] ?? 'token-mean',
          }),
        },
        level: {
          theirs: `${ACTOR}.policy_loss.loss_mode`,
          to: (level: string) => ({ [`${ACTOR}.policy_loss.loss_mode`]: level === 'sequence' ? 'gspo' : 'vanilla' }),
        },
        scale: {
          ...only('algorithm.norm_adv_by_std_in_grpo', ['group', 'none']),
          to: (scale: string) => ({ 'algorithm.norm_adv_by_std_in_grpo': scale === 'group' }),
        },
        advantages: off('group'),
        aggregation: off('sum_then_normalize', 'there is one reward'),
        'clip.low': same(`${ACTOR}.clip_ratio_low`),
        'clip.high': same(`${ACTOR}.clip_ratio_high`),
        entropy: same(`${ACTOR}.entropy_coeff`),
        overlong: off(0),
        dropEqual: off(false),
        maskTruncated: off(false),
        topEntropy: off(1),
      },
      metrics: [...metrics, { ours: 'policy/kl_k3', theirs: ['actor/kl_loss'] }, product('actor/kl_loss')],
    },
  },
  faults: (job) => placeFaults('verl', job),
  write(theirs, job, inputs) {
    const address = /^https?:/.test(inputs.reward ?? '');
    const all: Record<string, TheirValue> = {
      'actor_rollout_ref.model.path': inputs.model,
      ...(job.command === 'ppo' && { 'critic.model.path': inputs.critic ?? inputs.model }),
      ...(address || inputs.reward === undefined
        ? { 'reward.custom_reward_function.path': 'heed_reward.py' }
        : {
            'reward.reward_model.enable': true,
            'reward.reward_model.model_path': inputs.reward,
            'reward.reward_model.rollout.name': 'vllm',
            'reward.reward_model.rollout.tensor_model_parallel_size': 1,
          }),
      ...(inputs.chatTemplate && { 'actor_rollout_ref.model.custom_chat_template': inputs.chatTemplate.text }),
      'data.train_files': inputs.train,
      'data.val_files': inputs.train,
      ...theirs,
      ...(job.options.settings as typeof theirs),
    };
    const words = Object.entries(all).map(([name, value]) => quoted(`${name}=${inHydra(value)}`));
    const ourWords = [
      '"trainer.default_local_dir=$HEED_OUT/checkpoints"',
      '"++ray_kwargs.ray_init.runtime_env.env_vars.VERL_FILE_LOGGER_PATH=$HEED_OUT/metrics.jsonl"',
    ];
    return {
      'launch.sh': `#!/bin/sh\n# heed: ${job.command} by verl\nexport VERL_FILE_LOGGER_PATH="$HEED_OUT/metrics.jsonl"\nexec "$HEED_PYTHON" -m verl.trainer.main_ppo \\\n  ${[...words, ...ourWords].join(' \\\n  ')}\n`,
    };
  },
};
