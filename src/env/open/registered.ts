/** Environments that plugins add by name. */
import { createRegistry } from '../../registry.ts';
import type { Environment } from '../environment.ts';

/**
 * Environments by name, beside those of heed: `environments.register('Line', () => withTimeLimit({ … }))`. A call makes a
 * copy, which shares nothing with the others. `env` then takes the name, in programs, commands and recipes.
 */
export const environments = createRegistry<() => Environment>('environment');
