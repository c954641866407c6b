/**
 * Tinker's protocol: JSON over HTTP below `/api/v1`, with three messages also as Protocol Buffers (messages.ts). The
 * page docs/reference/tinker.md tells it in words. Names are those on the wire.
 */
import { z } from 'zod';

/** Where the calls are, below the server's address. */
export const API = '/api/v1';

const id = z.string().min(1).max(200);
const sequence = z.number().int().min(0).nullish();
const labels = z.record(z.string(), z.unknown()).nullish();
/** A checkpoint's name. It becomes the name of a folder. */
const checkpointName = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/, 'expected up to 100 letters, digits, dots, dashes or underscores');
const seconds = z.number().int().min(3600).nullish();

/** A tensor: its numbers, row after row. */
export const tensorSchema = z.strictObject({
  data: z.array(z.number()),
  dtype: z.enum(['float32', 'int64']),
  shape: z.array(z.number().int().min(0)).nullish(),
});
/** A tensor: its numbers, row after row. */
export type TensorData = z.infer<typeof tensorSchema>;

/** What a model reads: tokens in one or several chunks. */
export const modelInputSchema = z.strictObject({
  chunks: z.array(
    z.strictObject({
      type: z.literal('encoded_text', 'expected encoded_text: models here read text only').default('encoded_text'),
      tokens: z.array(z.number().int().min(0)),
    }),
  ),
});

/** A sequence to learn from: the tokens that the model reads, and what the loss needs at each of them. */
export const datumSchema = z.strictObject({
  model_input: modelInputSchema,
  loss_fn_inputs: z.record(z.string(), tensorSchema),
});
/** A sequence to learn from, as on the wire. */
export type WireDatum = z.input<typeof datumSchema>;

const passSchema = z.strictObject({
  data: z.array(datumSchema).min(1),
  loss_fn: z.string(),
  loss_fn_config: z.record(z.string(), z.union([z.number(), z.string()])).nullish(),
});
const pass = { model_id: id, seq_id: sequence };
/** What requests on a model have in common: the model, and their place in the order of its requests, from 1. */
export const numberedSchema = z.object(pass);

/** `forward_backward`: gradients of a loss, added to those since the last step. */
export const forwardBackwardSchema = z.strictObject({
  ...pass,
  forward_backward_input: passSchema,
  forward_only: z.boolean().nullish(),
});
/** Body of `forward_backward`. */
export interface ForwardBackwardRequest {
  /** The model that is trained. */
  model_id: string;
  /** Its place in the order of the model's requests, from 1. */
  seq_id?: number | null;
  /** Whether gradients are left out. */
  forward_only?: boolean;
  /** The data and the loss. */
  forward_backward_input: {
    /** Sequences to learn from. */
    data: readonly WireDatum[];
    /** Name of the loss. */
    loss_fn: string;
    /** The loss's own settings. */
    loss_fn_config?: Readonly<Record<string, number | string>>;
  };
}

/** `forward`: the older name of `forward_backward` with `forward_only`. */
export const forwardSchema = z.strictObject({ ...pass, forward_input: passSchema });

/** Result of both. */
export interface ForwardBackwardOutput {
  /** Kind of the outputs. */
  loss_fn_output_type: string;
  /** Outputs of each datum by name, such as `logprobs`. */
  loss_fn_outputs: Record<string, TensorData>[];
  /** Metrics by name; after the colon, how those of several parts are combined: `loss:sum`. */
  metrics: Record<string, number>;
}

/** Settings of a step of Adam. */
export const adamSchema = z.strictObject({
  learning_rate: z.number().min(0).default(1e-4),
  beta1: z.number().min(0).lt(1).default(0.9),
  beta2: z.number().min(0).lt(1).default(0.95),
  eps: z.number().min(0).default(1e-12),
  weight_decay: z.number().min(0).default(0),
  grad_clip_norm: z.number().min(0).default(0),
});
/** Settings of a step of Adam, all filled in. */
export type AdamSettings = z.output<typeof adamSchema>;

/** `optim_step`: applies the gradients and forgets them. */
export const optimStepSchema = z.strictObject({ ...pass, adam_params: adamSchema, type: z.string().optional() });

const loraSchema = z.strictObject({
  rank: z.number().int().min(1).max(1024),
  seed: z.number().int().min(0).nullish(),
  train_unembed: z.boolean().default(true),
  train_mlp: z.boolean().default(true),
  train_attn: z.boolean().default(true),
});
/** The adapters of a model. */
export type LoraConfig = z.output<typeof loraSchema>;

const optimizerConfig = z
  .looseObject({ type: z.literal('adamw', 'expected adamw: the server has no other optimizer') })
  .nullish();

/** `create_model`: adapters to train, on a base model that others may use too. */
export const createModelSchema = z.strictObject({
  session_id: id,
  model_seq_id: z.number().int().min(0),
  base_model: z.string(),
  lora_config: loraSchema,
  optimizer_config: optimizerConfig,
  user_metadata: labels,
  type: z.string().optional(),
});

/** `load_weights`: onto a model, or (with a session) as a new model. */
export const loadWeightsSchema = z.strictObject({
  model_id: id.nullish(),
  seq_id: sequence,
  session_id: id.nullish(),
  model_seq_id: z.number().int().min(0).nullish(),
  base_model: z.string().nullish(),
  path: z.string(),
  optimizer: z.boolean(),
  optimizer_config: optimizerConfig,
  user_metadata: labels,
  type: z.string().optional(),
});

/** `save_weights`: a checkpoint to go on from. */
export const saveWeightsSchema = z.strictObject({
  ...pass,
  path: checkpointName.nullish(),
  ttl_seconds: seconds,
  overwrite: z.boolean().default(false),
  user_metadata: labels,
  type: z.string().optional(),
});

/** `save_weights_for_sampler`: a checkpoint to sample from; without a name, one that lasts as long as its session. */
export const saveForSamplerSchema = z.strictObject({
  ...pass,
  path: checkpointName.nullish(),
  sampling_session_seq_id: z.number().int().min(0).nullish(),
  kind: z
    .literal('snapshot', 'expected snapshot: a sampler here keeps the weights that it began with')
    .default('snapshot'),
  ttl_seconds: seconds,
  user_metadata: labels,
  type: z.string().optional(),
});

/** `create_session`: clients belong to one. */
export const createSessionSchema = z.strictObject({
  tags: z.array(z.string()).default([]),
  user_metadata: labels,
  sdk_version: z.string().optional(),
  project_id: z.string().nullish(),
  display_name: z.string().nullish(),
  type: z.string().optional(),
});

/** `create_sampling_session`: from a base model, or a checkpoint. */
export const createSamplingSessionSchema = z.strictObject({
  session_id: id,
  sampling_session_seq_id: z.number().int().min(0),
  base_model: z.string().nullish(),
  model_path: z.string().nullish(),
  type: z.string().optional(),
});

/** How tokens are drawn. */
export const samplingParamsSchema = z.strictObject({
  max_tokens: z.number().int().min(1).nullish(),
  seed: z.number().int().min(0).nullish(),
  stop: z.union([z.string(), z.array(z.string()), z.array(z.number().int().min(0))]).nullish(),
  temperature: z.number().min(0).default(1),
  top_k: z.number().int().min(-1).default(-1),
  top_p: z.number().gt(0).max(1).default(1),
});
/** How tokens are drawn, all filled in. */
export type SamplingParams = z.output<typeof samplingParamsSchema>;

/** `asample`: completions of a prompt. */
export const sampleSchema = z.strictObject({
  num_samples: z.number().int().min(1).max(1024).default(1),
  prompt: modelInputSchema,
  sampling_params: samplingParamsSchema,
  base_model: z.string().nullish(),
  model_path: z.string().nullish(),
  sampling_session_id: id.nullish(),
  seq_id: sequence,
  prompt_logprobs: z.boolean().nullish(),
  prompt_logprobs_last_n: z.number().int().min(1).nullish(),
  type: z.string().optional(),
});

/** Result of `asample`. */
export interface SampleResult {
  /** The kind of result. */
  type: 'sample';
  /** The completions. */
  sequences: {
    /** Whether it ended by itself, or at the limit. */
    stop_reason: 'stop' | 'length';
    /** Its tokens, including the one that ended it. */
    tokens: number[];
    /** log p of each of them. */
    logprobs?: number[];
  }[];
  /** log p of each token of the prompt; null where it is not known, as for the first. */
  prompt_logprobs?: (number | null)[];
}

/** `retrieve_future`: the result of a request, as soon as there is one. */
export const retrieveFutureSchema = z.strictObject({
  request_id: id,
  allow_metadata_only: z.boolean().nullish(),
  model_id: id.nullish(),
});

/** Requests about one model. */
export const modelRequestSchema = z.strictObject({ model_id: id, type: z.string().optional() });
/** Requests about one session. */
export const sessionRequestSchema = z.strictObject({ session_id: id, type: z.string().optional() });
/** Requests about one checkpoint. */
export const pathSchema = z.strictObject({ tinker_path: z.string() });

/** What kind of checkpoint a path leads to. */
export type CheckpointKind = 'weights' | 'sampler_weights';

/** The parts of a checkpoint's path, `tinker://MODEL/weights/NAME`. */
export interface CheckpointPath {
  /** The model that was trained. */
  model: string;
  /** Whether it is to go on from, or to sample from. */
  kind: CheckpointKind;
  /** Its name. */
  name: string;
}

/** A checkpoint's path as text. */
export const formatPath = ({ model, kind, name }: CheckpointPath): string => `tinker://${model}/${kind}/${name}`;

/** A checkpoint's path by its parts; undefined if the text is no such path. */
export function parsePath(text: string): CheckpointPath | undefined {
  const [, model, kind, name] = /^tinker:\/\/([\w:-]+)\/(weights|sampler_weights)\/([^/]+)$/.exec(text) ?? [];
  if (name === undefined || !checkpointName.safeParse(name).success) return undefined;
  return { model, kind: kind as CheckpointKind, name };
}
