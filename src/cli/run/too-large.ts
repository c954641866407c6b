/** What a training on a device takes less memory with. */
import { DeviceMemoryError } from '../../engine/runtime/device-errors.ts';
import { HeedError } from '../../error.ts';
import { flagFor } from '../../flag-names.ts';

/** Options whose half takes about half of the memory for activations. */
const SIZES = ['rows', 'part', 'batch', 'length', 'maxTokens'];

/** An error of a run with the flags that would make it fit, where the device has too little memory for it. */
export function withWhatFits(error: unknown, options: Readonly<Record<string, unknown>>, folder: string): unknown {
  if (!(error instanceof DeviceMemoryError)) return error;
  const flags = SIZES.flatMap((name) => {
    const value = options[name];
    return typeof value === 'number' && value > 1 ? [`${flagFor(name)} ${Math.ceil(value / 2)} (now ${value})`] : [];
  });
  if (options.checkpointLayers === false) flags.push('--checkpoint-layers');
  if ((options.lora as { rank?: number } | undefined)?.rank === 0) flags.push('--lora.rank 16');
  const fitting = flags.length > 0 ? `Start again with ${flags.join(', or ')}.` : error.hint;
  return new HeedError(error.message, { hint: `${fitting} The last checkpoint in ${folder} is intact.`, cause: error });
}
