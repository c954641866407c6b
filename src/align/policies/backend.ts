/** Where the model of a policy is: in this process, or at a service of Tinker's API. */
import { z } from 'zod';
import { valueAt } from '../../options.ts';

const FORM = /^tinker:(https?:\/\/[^#\s]+)(?:#(\S+))?$/;

/** Schema of the option `backend`. */
export const backendSchema = z
  .string()
  .refine((text) => text === 'local' || FORM.test(text), 'expected local or tinker:URL[#MODEL]')
  .default('local')
  .describe(
    "where the model is: local, or at a service of Tinker's API: tinker:URL[#MODEL]; see docs/reference/tinker.md",
  );

/** A service of Tinker's API. */
export interface BackendAddress {
  /** Its address, such as `http://127.0.0.1:7420`. */
  url: string;
  /** The base model's name there; undefined if it is that of the option `model`. */
  base: string | undefined;
}

/** The service that the option names; undefined for `local`. */
export function parseBackend(text: string): BackendAddress | undefined {
  const [, url, base] = FORM.exec(text) ?? [];
  return url === undefined ? undefined : { url, base };
}

/** A setting that a service of Tinker's API does not have. */
export interface BackendLimit {
  /** The option's path, such as `lora.rank`. */
  path: string;
  /** Whether a service can train with this value. */
  fits(value: unknown): boolean;
  /** What is expected, and why. */
  expected: string;
}

const off = (path: string, why: string): BackendLimit => ({
  path,
  fits: (value) => value === undefined || value === false,
  expected: `expected none with --backend, ${why}`,
});

/** What no service can do. */
const limits: readonly BackendLimit[] = [
  {
    path: 'lora.rank',
    fits: (rank) => Number(rank) > 0,
    expected: 'expected 1 or more with --backend, where adapters are trained',
  },
  off('lora.alpha', 'which sets the scale of adapters itself'),
  off('lora.targets', 'where all linear layers get adapters'),
  off('lora.rankStabilized', 'which sets the scale of adapters itself'),
  off('lora.baseBits', 'which keeps the weights itself'),
  {
    path: 'temperature',
    fits: (temperature) => temperature === 1,
    expected: 'expected 1 with --backend, which computes log-probabilities at temperature 1',
  },
  off('env', 'which draws whole completions and no turns'),
  off('agent', 'which draws whole completions and no turns'),
  off('checkpointLayers', 'which manages its memory itself'),
  {
    path: 'dtype',
    fits: (dtype) => dtype === 'F32',
    expected: 'expected F32 with --backend, which saves weights in its own format',
  },
];

/**
 * The last check of the options of a training that can run with `backend`: it refuses by name the settings that a
 * service does not have.
 *
 * @param more The training's own limits, besides those of all.
 */
export const fitsBackend =
  (more: readonly BackendLimit[] = []) =>
  (options: { backend: string }, context: z.core.$RefinementCtx): void => {
    if (options.backend === 'local') return;
    for (const { path, fits, expected } of [...limits, ...more]) {
      const keys = path.split('.');
      if (!fits(valueAt(options, keys))) context.addIssue({ code: 'custom', path: keys, message: expected });
    }
  };
