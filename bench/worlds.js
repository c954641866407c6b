/** The control half in more worlds: other algorithms, and what labels are worth. */
import { worldsQueries } from './worlds-queries.js';
import { worldsRl } from './worlds-rl.js';

export const worlds = { sections: { ...worldsRl, ...worldsQueries } };
