/** Every kind of input that the fuzzer changes. */
import { fileKinds } from './files.js';
import { serverKinds } from './servers.js';
import { storeKinds } from './stores.js';

export const kinds = { ...fileKinds, ...storeKinds, ...serverKinds };
