/**
 * Errors of a device. WebGPU reports many of them, such as missing memory, to ONNX Runtime's log alone: the run seems to
 * succeed, and its results are wrong. So heed listens to the log.
 */
import { HeedError, messageOf } from '../../error.ts';
import { koffi, type Pointer } from '../library.ts';

/** Thrown when a device has too little memory. The values are as they were before the run. */
export class DeviceMemoryError extends HeedError {}

const OF_DEVICE = /WebGPU device (error|lost)/i;
// cuBLAS and cuDNN want memory of their own beside ONNX Runtime's
const OF_MEMORY =
  /out of memory|allocation size too large|too many storage buffers in shader|OUT_OF_(DEVICE_|HOST_)?MEMORY|failed to allocate memory|CUBLAS failure 3:|CUDNN_STATUS_ALLOC_FAILED/i;
const HINT = 'use smaller batches or shorter sequences, train adapters (LoRA), or use --device cpu';

let reports: string[] = [];

/** A function for ONNX Runtime's log, which keeps what a device reports and prints everything else. */
export function deviceLog(): Pointer {
  const type = koffi().proto(
    'void (void *parameter, int severity, const char *category, const char *id, const char *place, const char *text)',
  );
  return koffi().register((...[, , , , place, text]: string[]) => {
    if (OF_DEVICE.test(text)) reports.push(text);
    else process.stderr.write(`ONNX Runtime: ${text} (${place})\n`);
  }, koffi().pointer(type));
}

/**
 * Calls what computes or copies on a device, or what checks that it did.
 *
 * @throws DeviceMemoryError where memory was missing, and HeedError for what else was reported meanwhile.
 */
export function reporting<T>(call: () => T): T {
  let failure: unknown;
  try {
    const result = call();
    if (reports.length === 0) return result;
  } catch (error) {
    failure = error;
  }
  const texts = [...reports, ...(failure === undefined ? [] : [messageOf(failure)])];
  reports = [];
  const lack = texts.find((text) => OF_MEMORY.test(text));
  if (lack === undefined && failure !== undefined) throw failure;
  const text = lack ?? texts[0];
  const [first] = text.replace(/^.*WebGPU device (error|lost)\S*\s*/is, '').split('\n');
  if (lack === undefined) {
    throw new HeedError(`the device failed: ${first}`, { hint: 'update its driver, or use --device cpu', cause: text });
  }
  throw new DeviceMemoryError(`the device has too little memory: ${first}`, { hint: HINT, cause: failure ?? text });
}
